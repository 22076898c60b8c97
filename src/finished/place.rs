//! Where rows stand in their suite, and what of them is not in `results.csv`.

use std::sync::Arc;

use crate::evaluate::EXTRACTED;
use crate::records::SuiteRecord;
use crate::report::{Row, TaskKind};
use crate::tasks::{Group, Suite, Task};

/// Says of rows what their file does not: of how many documents they are, which values are shares of documents, and where
/// tables for people have them.
pub fn add_facts(suite: &Suite, tasks: &[SuiteRecord], rows: &mut [Row]) {
    fn visit(suite: &str, node: &Suite, place: &mut usize, tasks: &[SuiteRecord], rows: &mut [Row]) {
        *place += 1;
        let find = |task: &Arc<Task>| tasks.iter().find(|record| record.task == task.name);
        let members: Option<Vec<&SuiteRecord>> = node.tasks().iter().map(find).collect();
        for row in rows.iter_mut().filter(|row| row.suite == suite && row.task == node.name()) {
            // What stands in several groups of a suite is shown where it comes first.
            if row.place == 0 {
                row.place = *place;
            }
            let Some(members) = &members else { continue };
            row.of = Some(members.iter().map(|member| member.of).sum());
            let share = match node {
                Suite::Task(_) => Some(row.metric.as_str()),
                Suite::Group(group) => metric_by_size(group, &row.metric),
            };
            let key = share.map(|metric| format!("{metric},{}", row.filter));
            row.is_share = key.is_some_and(|key| members.iter().all(|member| member.shares.contains(&key)));
        }
        if let Suite::Group(group) = node {
            group.in_table_order().into_iter().for_each(|child| visit(suite, child, place, tasks, rows));
        }
    }
    visit(suite.name(), suite, &mut 0, tasks, rows);
}

/// The metric of the tasks that a value of their group is of, if each document counts the same in it: then the group's value
/// is that of one large task.
fn metric_by_size<'m>(group: &Group, metric: &'m str) -> Option<&'m str> {
    if metric == EXTRACTED {
        return Some(metric);
    }
    let own =
        group.aggregates.iter().find(|aggregate| aggregate.metric == metric).or(group.aggregates.first());
    match (metric.strip_suffix("_micro"), own) {
        (Some(metric), _) => Some(metric),
        (None, own) => own.filter(|own| own.weight_by_size && !metric.ends_with("_macro")).map(|_| metric),
    }
}

/// Says of rows that were read back where they stand in `suite`, as is said of new ones; `tasks` is what the run
/// says of its tasks.
pub fn place_rows(suite: &Suite, tasks: &[SuiteRecord], rows: &mut [Row]) {
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
    add_facts(suite, tasks, rows);
}
