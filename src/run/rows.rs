//! Task results → rows, along the tree of a suite: groups before their tasks.

use crate::base::digest::sha256;
use crate::evaluate::{TaskMetric, TaskResult, group_values, other_averages};
use crate::metrics::Aggregate;
use crate::registry::Published;
use crate::report::{Row, TaskKind};
use crate::tasks::{Aggregate as GroupMetric, Group, Suite};

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
                if let Some(result) = self.results.iter().find(|result| result.name() == task.name) {
                    for TaskMetric { metric, filter, value, .. } in &result.metrics {
                        rows.push(self.row(
                            &task.name,
                            (depth, TaskKind::Task),
                            (metric, filter),
                            *value,
                            Some(result.asked.num_fewshot),
                            &result.asked.data_sha256,
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
        let shots = members.first().map(|member| member.asked.num_fewshot);
        let shots = shots.filter(|first| members.iter().all(|member| member.asked.num_fewshot == *first));
        let data_sha256 =
            sha256(members.iter().map(|member| member.asked.data_sha256.as_str()).collect::<String>());
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
