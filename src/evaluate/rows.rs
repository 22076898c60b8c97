//! Task results → rows, along the tree of a suite: groups before their tasks.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::{TaskMetric, TaskResult};
use crate::metrics::{Aggregate, combine};
use crate::registry::Published;
use crate::report::{Row, TaskKind};
use crate::tasks::{Group, Suite};

/// What the rows say about the model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelIdentity {
    /// Name in the tables.
    pub name: String,
    /// Digest of its weights.
    pub weights_sha256: String,
    /// Whose numbers these are meant to be.
    pub protocol: String,
    /// Published scores to put beside.
    pub published: Vec<Published>,
}

/// The rows of one suite for one model. `results` must hold every task of the suite.
pub fn suite_rows(suite: &Suite, results: &[TaskResult], model: &ModelIdentity) -> Vec<Row> {
    let mut rows = Vec::new();
    let walk = Walk { suite: suite.name(), results, model };
    walk.visit(suite, 0, &mut rows);
    rows
}

/// Says of rows that were read back where they stand in `suite`, as [`suite_rows`] says of new ones.
pub fn place_rows(suite: &Suite, rows: &mut [Row]) {
    fn visit(suite: &str, node: &Suite, depth: usize, rows: &mut [Row]) {
        let kind = if matches!(node, Suite::Task(_)) { TaskKind::Task } else { TaskKind::Group };
        let own = rows.iter_mut().filter(|row| row.suite == suite && row.task == node.name());
        let found = own.map(|row| (row.depth, row.kind) = (depth, kind)).count() > 0;
        if let Suite::Group(group) = node {
            let below = depth + usize::from(found);
            group.children.iter().for_each(|child| visit(suite, child, below, rows));
        }
    }
    visit(suite.name(), suite, 0, rows);
}

struct Walk<'a> {
    suite: &'a str,
    results: &'a [TaskResult],
    model: &'a ModelIdentity,
}

impl Walk<'_> {
    fn visit(&self, node: &Suite, depth: usize, rows: &mut Vec<Row>) {
        match node {
            Suite::Task(task) => {
                if let Some(result) = self.results.iter().find(|r| r.task.name == task.name) {
                    for TaskMetric { metric, filter, value } in &result.metrics {
                        rows.push(self.row(
                            &task.name,
                            (depth, TaskKind::Task),
                            (metric, filter),
                            *value,
                            Some(result.num_fewshot),
                            &result.data_sha256,
                        ));
                    }
                }
            }
            Suite::Group(group) => {
                let own = rows.len();
                self.group_rows(node, group, depth, rows);
                let below = if rows.len() > own { depth + 1 } else { depth };
                for child in &group.children {
                    self.visit(child, below, rows);
                }
            }
        }
    }

    /// One row per aggregate that any task below has a value for.
    fn group_rows(&self, node: &Suite, group: &Group, depth: usize, rows: &mut Vec<Row>) {
        let members: Vec<&TaskResult> = node
            .tasks()
            .iter()
            .filter_map(|task| self.results.iter().find(|r| r.task.name == task.name))
            .collect();
        // A group of which a part was not run has no number of its own.
        if members.len() < node.tasks().len() {
            return;
        }
        let shots = members.first().map(|m| m.num_fewshot);
        let shots = shots.filter(|first| members.iter().all(|m| m.num_fewshot == *first));
        let mut digest = Sha256::new();
        for member in &members {
            digest.update(member.data_sha256.as_bytes());
        }
        let data_sha256: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        for aggregate in &group.aggregates {
            let metric = aggregate.metric.as_str();
            let found = || {
                let own = members.iter().flat_map(|m| &m.metrics).filter(|m| m.metric == metric);
                own.map(|m| m.filter.clone()).collect::<BTreeSet<_>>().into_iter().collect()
            };
            let filters: Vec<String> = aggregate.filters.clone().unwrap_or_else(found);
            for filter in &filters {
                let values: Vec<Aggregate> =
                    members.iter().filter_map(|m| m.metric(metric, filter)).collect();
                if let Some(value) = combine(&values, aggregate.weight_by_size) {
                    let place = (depth, TaskKind::Group);
                    rows.push(self.row(&group.name, place, (metric, filter), value, shots, &data_sha256));
                }
            }
        }
    }

    fn row(
        &self,
        task: &str,
        (depth, kind): (usize, TaskKind),
        (metric, filter): (&str, &str),
        value: Aggregate,
        num_fewshot: Option<usize>,
        data_sha256: &str,
    ) -> Row {
        let published = self.model.published.iter().find(|p| {
            p.suite == task
                && p.metric == metric
                && p.num_fewshot.is_none_or(|n| Some(n as usize) == num_fewshot)
        });
        Row {
            model: self.model.name.clone(),
            suite: self.suite.to_owned(),
            task: task.to_owned(),
            num_fewshot,
            metric: metric.to_owned(),
            filter: filter.to_owned(),
            value: value.value,
            stderr: value.stderr,
            n: value.n,
            published: published.map(|p| p.value),
            published_source: published.map(|p| p.source.clone()),
            protocol: self.model.protocol.clone(),
            weights_sha256: self.model.weights_sha256.clone(),
            data_sha256: data_sha256.to_owned(),
            depth,
            kind,
        }
    }
}
