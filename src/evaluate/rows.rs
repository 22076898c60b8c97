//! Task results → rows, along the tree of a suite: groups before their tasks.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{TaskMetric, TaskResult};
use crate::base::digest::sha256;
use crate::metrics::{Aggregate, combine};
use crate::registry::Published;
use crate::report::{Row, TaskKind};
use crate::tasks::{Aggregate as GroupMetric, Group, Suite, Task};

/// What the rows say about the model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelIdentity {
    /// Name in the tables.
    pub name: String,
    /// Digest of its weights.
    pub weights_sha256: String,
    /// Whose numbers these are meant to be.
    pub protocol: String,
    /// Metrics that the task files do not list: those of the protocol, and what was asked for.
    pub metrics: Vec<String>,
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
                    for TaskMetric { metric, filter, value, .. } in &result.metrics {
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

    /// One row per aggregate that any task below has a value for, and one for the other average where it differs.
    fn group_rows(&self, node: &Suite, group: &Group, depth: usize, rows: &mut Vec<Row>) {
        let aggregates: Vec<GroupMetric> =
            group.aggregates.iter().cloned().chain(self.more_aggregates(group)).collect();
        let Some((members, values)) = group_values(node, &aggregates, self.results) else { return };
        let shots = members.first().map(|m| m.num_fewshot);
        let shots = shots.filter(|first| members.iter().all(|m| m.num_fewshot == *first));
        let data_sha256 =
            sha256(members.iter().map(|member| member.data_sha256.as_str()).collect::<String>());
        let place = (depth, TaskKind::Group);
        for (metric, filter, value) in &values {
            rows.push(self.row(&group.name, place, (metric, filter), *value, shots, &data_sha256));
        }
        for (metric, filter, value) in other_averages(&aggregates, &members, &values) {
            rows.push(self.row(&group.name, place, (&metric, &filter), value, shots, &data_sha256));
        }
    }

    /// Metrics that the group file cannot know, weighted as its first one.
    fn more_aggregates(&self, group: &Group) -> Vec<GroupMetric> {
        let Some(first) = group.aggregates.first() else { return Vec::new() };
        let mut more: Vec<GroupMetric> = Vec::new();
        for metric in &self.model.metrics {
            let known = group.aggregates.iter().chain(&more).any(|aggregate| aggregate.metric == *metric);
            if !known {
                more.push(GroupMetric { metric: metric.clone(), filters: None, ..first.clone() });
            }
        }
        more
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

/// A metric after a filter and its value over the tasks of a group.
pub(super) type GroupValue = (String, String, Aggregate);

/// The tasks of a group and every aggregate that any of them has a value for. `None` for a group of which a part
/// was not run: it has no number of its own.
pub(super) fn group_values<'r>(
    node: &Suite,
    aggregates: &[GroupMetric],
    results: &'r [TaskResult],
) -> Option<(Vec<&'r TaskResult>, Vec<GroupValue>)> {
    let find = |task: &Arc<Task>| results.iter().find(|result| result.task.name == task.name);
    let members: Vec<&TaskResult> = node.tasks().iter().map(find).collect::<Option<_>>()?;
    let mut all = Vec::new();
    for aggregate in aggregates {
        let metric = aggregate.metric.as_str();
        let found = || {
            let own = members.iter().flat_map(|m| &m.metrics).filter(|m| m.metric == metric);
            own.map(|m| m.filter.clone()).collect::<BTreeSet<_>>().into_iter().collect()
        };
        let filters: Vec<String> = aggregate.filters.clone().unwrap_or_else(found);
        for filter in filters {
            let values = of_members(&members, metric, &filter);
            let value = combine(&values, aggregate.weight_by_size);
            all.extend(value.map(|value| (metric.to_owned(), filter, value)));
        }
    }
    Some((members, all))
}

fn of_members(members: &[&TaskResult], metric: &str, filter: &str) -> Vec<Aggregate> {
    members.iter().filter_map(|member| member.metric(metric, filter)).collect()
}

/// For every value of a group the average that its file does not ask for: `acc_macro`, each task counted once,
/// beside `acc` by size, or `acc_micro`, by size, beside `acc` of each task once. None where all tasks are of one
/// size, since both are the same then.
fn other_averages(
    aggregates: &[GroupMetric],
    members: &[&TaskResult],
    values: &[GroupValue],
) -> Vec<GroupValue> {
    let mut all = Vec::new();
    for (metric, filter, _) in values {
        let Some(aggregate) = aggregates.iter().find(|a| a.metric == *metric) else { continue };
        let own = of_members(members, metric, filter);
        let same = own.windows(2).all(|pair| matches!(pair, [a, b] if a.n == b.n));
        if let (false, Some(value)) = (same, combine(&own, !aggregate.weight_by_size)) {
            let name = if aggregate.weight_by_size { "macro" } else { "micro" };
            all.push((format!("{metric}_{name}"), filter.clone(), value));
        }
    }
    all
}
