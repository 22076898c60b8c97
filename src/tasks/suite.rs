//! Suites as they are handed on: one task, or a group of them.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::error::TaskError;
use super::schema::{GroupMetric, Location, TaskConfig};

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
    /// The task of a file that has been read.
    pub(super) fn of(config: TaskConfig, file: &Location) -> Arc<Self> {
        let name = config.task.clone();
        let alias = config.task_alias.clone().unwrap_or_else(|| name.clone());
        Arc::new(Self { name, alias, config, file: file.clone() })
    }

    /// The error that a key of the task file is missing or cannot be used.
    pub(crate) fn wrong(&self, key: impl fmt::Display, message: impl Into<String>) -> TaskError {
        TaskError::wrong(format!("{}: {key}", self.file.display()), message)
    }

    /// The error that a document cannot be used: the `doc`th of `set`, from 0, because of a field of the task.
    pub(super) fn wrong_document(&self, set: &str, doc: usize, field: &str, message: String) -> TaskError {
        self.wrong(format!("task {:?}, {set} document {doc}, {field}", self.name), message)
    }

    /// The error that what is asked for contradicts the task or its data.
    pub(super) fn refusal(&self, message: impl Into<String>) -> TaskError {
        TaskError::wrong(format!("task {:?}", self.name), message)
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
    pub aggregates: Vec<GroupMetric>,
    /// `metadata.version` as written, if given.
    pub version: Option<Value>,
    /// The order of its groups in tables for people, that of the papers: names of children, `metadata.table_order`. Empty
    /// where it is that of the file.
    pub table_order: Vec<String>,
    /// The group file; none for a tag.
    pub file: Option<Location>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Suite {
    /// A task by itself.
    Task(Arc<Task>),
    /// A group, or the tasks of a tag.
    Group(Box<Group>),
}

impl Group {
    /// What stands in it, in the order of tables for people.
    pub fn in_table_order(&self) -> Vec<&Suite> {
        let place = |child: &&Suite| {
            let named = self.table_order.iter().position(|name| name == child.name());
            named.unwrap_or(self.table_order.len())
        };
        let mut children: Vec<&Suite> = self.children.iter().collect();
        children.sort_by_key(place);
        children
    }
}

impl Suite {
    pub(super) fn of_group(group: Group) -> Self {
        Self::Group(Box::new(group))
    }

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
