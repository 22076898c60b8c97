//! Suites as they are handed on: one task, or a group of them.

use std::sync::Arc;

use serde_json::Value;

use super::schema::{Aggregate, Location, MetricSpec, TaskConfig};

/// A task with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The name under which it is asked for and reported.
    pub name: String,
    /// The name in tables.
    pub alias: String,
    /// Everything the task file says.
    pub config: TaskConfig,
    /// The task file.
    pub file: Location,
}

impl Task {
    /// The metrics with defaults filled in.
    pub fn metrics(&self) -> Vec<MetricSpec> {
        self.config.metrics()
    }

    /// `metadata.version` as written, if given.
    pub fn version(&self) -> Option<&Value> {
        self.config.version()
    }
}

/// Tasks that stand together.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The name under which it is asked for and reported.
    pub name: String,
    /// The name in tables.
    pub alias: String,
    /// What stands in it, in order.
    pub children: Vec<Suite>,
    /// How the results of its tasks become one; empty for a tag.
    pub aggregates: Vec<Aggregate>,
    /// `metadata.version` as written, if given.
    pub version: Option<Value>,
    /// The group file; none for a tag.
    pub file: Option<Location>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Suite {
    /// One task.
    Task(Arc<Task>),
    /// A group, or the tasks of a tag.
    Group(Group),
}

impl Suite {
    /// The name under which it is asked for and reported.
    pub fn name(&self) -> &str {
        match self {
            Self::Task(task) => &task.name,
            Self::Group(group) => &group.name,
        }
    }

    /// The name in tables.
    pub fn alias(&self) -> &str {
        match self {
            Self::Task(task) => &task.alias,
            Self::Group(group) => &group.alias,
        }
    }

    /// The folder of its file, empty for a tag.
    pub fn folder(&self) -> String {
        match self {
            Self::Task(task) => task.file.folder(),
            Self::Group(group) => group.file.as_ref().map(Location::folder).unwrap_or_default(),
        }
    }

    /// All tasks below, in order; a task that stands in several groups comes once.
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        let mut tasks = Vec::new();
        self.collect(&mut tasks);
        tasks
    }

    fn collect(&self, tasks: &mut Vec<Arc<Task>>) {
        match self {
            Self::Task(task) => {
                if !tasks.iter().any(|known| known.name == task.name) {
                    tasks.push(Arc::clone(task));
                }
            }
            Self::Group(group) => group.children.iter().for_each(|child| child.collect(tasks)),
        }
    }
}
