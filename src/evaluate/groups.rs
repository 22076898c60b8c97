//! The values of a group of tasks, of those of its tasks.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{EXTRACTED, TaskResult};
use crate::metrics::{Aggregate, combine};
use crate::tasks::{GroupMetric, Suite, Task};

/// A metric after a filter and its value over the tasks of a group.
pub type GroupValue = (String, String, Aggregate);

/// The tasks of a group and every aggregate that any of them has a value for. `None` for a group of which a part
/// was not run: it has no number of its own.
pub fn group_values<'r>(
    node: &Suite,
    aggregates: &[GroupMetric],
    results: &'r [TaskResult],
) -> Option<(Vec<&'r TaskResult>, Vec<GroupValue>)> {
    let find = |task: &Arc<Task>| results.iter().find(|result| result.name() == task.name);
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
            // A group has no number of which a member's part is missing; that a member never had it is the task file's.
            let left_out = |member: &&&TaskResult| {
                member
                    .left_out
                    .iter()
                    .any(|own| own.metric == metric || own.metric == format!("{metric},{filter}"))
            };
            if members.iter().any(|member| left_out(&member)) {
                continue;
            }
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

/// In which part of the answers to a group's tasks each filter that all of them have found something, every document counted
/// the same.
pub fn group_extracted(members: &[&TaskResult]) -> Vec<GroupValue> {
    let Some((first, others)) = members.split_first() else { return Vec::new() };
    let filters = first.extracted.iter().map(|own| own.filter.as_str());
    let all_have = |filter: &&str| others.iter().all(|other| other.metric(EXTRACTED, filter).is_some());
    let value = |filter: &str| {
        let value = combine(&of_members(members, EXTRACTED, filter), true)?;
        Some((EXTRACTED.to_owned(), filter.to_owned(), value))
    };
    filters.filter(all_have).filter_map(value).collect()
}

/// For every value of a group the average that its file does not ask for: `acc_macro`, each task counted once,
/// beside `acc` by size, or `acc_micro`, by size, beside `acc` of each task once. None where all tasks are of one
/// size, since both are the same then.
pub fn other_averages(
    aggregates: &[GroupMetric],
    members: &[&TaskResult],
    values: &[GroupValue],
) -> Vec<GroupValue> {
    let mut all = Vec::new();
    for (metric, filter, _) in values {
        let aggregate = aggregates.iter().find(|aggregate| aggregate.metric == *metric);
        let aggregate = aggregate.expect("a value is of one of the aggregates");
        let own = of_members(members, metric, filter);
        let same = own.windows(2).all(|pair| matches!(pair, [a, b] if a.n == b.n));
        if let (false, Some(value)) = (same, combine(&own, !aggregate.weight_by_size)) {
            let name = if aggregate.weight_by_size { "macro" } else { "micro" };
            all.push((format!("{metric}_{name}"), filter.clone(), value));
        }
    }
    all
}
