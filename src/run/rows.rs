//! Task results → rows, along the tree of a suite: groups before their tasks.

use std::sync::Arc;

use crate::base::digest::sha256;
use crate::evaluate::{TaskMetric, TaskResult, group_extracted, group_values, other_averages};
use crate::finished::add_facts;
use crate::metrics::Aggregate;
use crate::records::{MissingData, SuiteRecord};
use crate::registry::Published;
use crate::report::table::Stress;
use crate::report::{Row, TaskKind};
use crate::tasks::{Group, GroupMetric, Suite, Task};

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
    /// The arithmetic, where a model was asked here.
    pub precision: Option<String>,
    /// The chat template that wrote its prompts.
    pub template: Option<String>,
    /// The revision of its repository.
    pub revision: Option<String>,
}

/// The rows of one suite for one model; `tasks` is what a run says of the tasks. Those that were left out because their data is
/// missing, and groups that hold one of them, have rows without a value.
pub fn suite_rows(
    suite: &Suite,
    results: &[TaskResult],
    left: &[MissingData],
    tasks: &[SuiteRecord],
    model: &ModelIdentity,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let walk = Walk { suite: suite.name(), results, left, model };
    walk.visit(suite, 0, &mut rows);
    add_facts(suite, tasks, &mut rows);
    rows
}

struct Walk<'a> {
    suite: &'a str,
    results: &'a [TaskResult],
    left: &'a [MissingData],
    model: &'a ModelIdentity,
}

/// What a task or a group has to say.
struct Numbers {
    /// Of a group, where all its tasks have the same.
    num_fewshot: Option<usize>,
    data_sha256: String,
    version: Option<String>,
    values: Vec<(String, String, Option<Aggregate>)>,
}

impl Walk<'_> {
    fn visit(&self, node: &Suite, depth: usize, rows: &mut Vec<Row>) {
        let (kind, numbers) = match node {
            Suite::Task(task) => (TaskKind::Task, self.of_task(&task.name)),
            Suite::Group(group) => (TaskKind::Group, self.of_group(node, group)),
        };
        let numbers = numbers.or_else(|| self.without_data(node));
        let before = rows.len();
        if let Some(Numbers { num_fewshot, data_sha256, version, values }) = numbers {
            let ModelIdentity { name, weights_sha256, protocol, published, .. } = self.model;
            let ModelIdentity { precision, template, revision, .. } = self.model;
            for (metric, filter, value) in values {
                let published = published.iter().find(|p| {
                    // What was measured in another way is no value of the same thing.
                    p.suite == node.name()
                        && p.protocol.is_none()
                        && is_same_metric(&p.metric, &metric)
                        && p.num_fewshot.is_none_or(|n| Some(n as usize) == num_fewshot)
                });
                rows.push(Row {
                    model: name.clone(),
                    suite: self.suite.to_owned(),
                    task: node.name().to_owned(),
                    num_fewshot,
                    metric,
                    filter,
                    value: value.map(|value| value.value),
                    stderr: value.and_then(|value| value.stderr),
                    n: value.map_or(0, |value| value.n),
                    published: published.map(|p| p.value),
                    published_source: published.map(|p| p.source.clone()),
                    protocol: protocol.clone(),
                    weights_sha256: weights_sha256.clone(),
                    data_sha256: data_sha256.clone(),
                    precision: precision.clone(),
                    template: template.clone(),
                    version: version.clone(),
                    revision: revision.clone(),
                    of: None,
                    is_share: false,
                    place: 0,
                    depth,
                    kind,
                    label: None,
                    missing: None,
                    stress: Stress::None,
                });
            }
        }
        if let Suite::Group(group) = node {
            let below = depth + usize::from(rows.len() > before);
            group.children.iter().for_each(|child| self.visit(child, below, rows));
        }
    }

    fn of_task(&self, name: &str) -> Option<Numbers> {
        let TaskResult { asked, metrics, extracted, .. } =
            self.results.iter().find(|result| result.name() == name)?;
        let value = |one: &TaskMetric| (one.metric.clone(), one.filter.clone(), Some(one.value));
        Some(Numbers {
            num_fewshot: Some(asked.num_fewshot),
            data_sha256: asked.data_sha256.clone(),
            version: version(asked.task.config.version()),
            // Beside scores: where nothing is graded there is no row for it either.
            values: metrics
                .iter()
                .chain(extracted.iter().filter(|_| !metrics.is_empty()))
                .map(value)
                .collect(),
        })
    }

    /// Every aggregate that any task below has a value for, and the other average where it differs.
    fn of_group(&self, node: &Suite, group: &Group) -> Option<Numbers> {
        let aggregates: Vec<GroupMetric> =
            group.aggregates.iter().cloned().chain(self.more_aggregates(group)).collect();
        let (members, mut values) = group_values(node, &aggregates, self.results)?;
        values.extend(other_averages(&aggregates, &members, &values));
        if !values.is_empty() {
            values.extend(group_extracted(&members));
        }
        let values =
            values.into_iter().map(|(metric, filter, value)| (metric, filter, Some(value))).collect();
        let shots = members.first().map(|member| member.asked.num_fewshot);
        Some(Numbers {
            num_fewshot: shots
                .filter(|first| members.iter().all(|member| member.asked.num_fewshot == *first)),
            data_sha256: sha256(
                members.iter().map(|member| member.asked.data_sha256.as_str()).collect::<String>(),
            ),
            version: version(group.version.as_ref()),
            values,
        })
    }

    /// What stands for a task that was left out because its data is missing, and for a group that holds one.
    fn without_data(&self, node: &Suite) -> Option<Numbers> {
        let is_left = |task: &Arc<Task>| self.left.iter().any(|left| left.task == task.name);
        node.tasks().iter().find(|task| is_left(task))?;
        let metrics: Vec<String> = match node {
            Suite::Task(task) => task.config.metrics().into_iter().map(|metric| metric.name).collect(),
            Suite::Group(group) => {
                group.aggregates.iter().map(|aggregate| aggregate.metric.clone()).collect()
            }
        };
        let values = metrics.into_iter().map(|metric| (metric, "none".to_owned(), None)).collect();
        Some(Numbers { num_fewshot: None, data_sha256: String::new(), version: None, values })
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
}

/// The version that a task file states, as it is written there.
pub fn version(stated: Option<&serde_json::Value>) -> Option<String> {
    stated.map(|version| version.to_string().trim_matches('"').to_owned())
}

/// Whether a metric that was published is the one that was measured, which has a name of its own in the reference's MBPP.
fn is_same_metric(published: &str, measured: &str) -> bool {
    published == measured || (published, measured) == ("pass@1", "pass_at_1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_stands_beside_what_was_measured() {
        assert!(is_same_metric("pass@1", "pass@1") && is_same_metric("pass@1", "pass_at_1"));
        assert!(!is_same_metric("pass@100", "pass_at_1") && !is_same_metric("acc", "acc_norm"));
    }
}
