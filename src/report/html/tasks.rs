//! The tasks whose documents can be looked at, and whose rows they are.

use super::page::PageTask;
use crate::report::{Row, TaskKind};

/// The tasks of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tasks {
    /// Each once for each number of examples.
    pub tasks: Vec<PageTask>,
    /// The suites that have them.
    pub suites: Vec<String>,
    /// For each task and each column a row of it, by its place; `None` where the column was not asked.
    pub rows: Vec<Vec<Option<usize>>>,
}

/// Finds the tasks of rows whose columns have these labels.
pub fn tasks(rows: &[Row], columns: &[String]) -> Tasks {
    let mut found = Tasks::default();
    let mut keys: Vec<(&str, Option<usize>)> = Vec::new();
    let of_tasks =
        rows.iter().enumerate().filter(|(_, row)| row.kind == TaskKind::Task && row.value.is_some());
    for (at, row) in of_tasks {
        let suite = found.suites.iter().position(|suite| *suite == row.suite).unwrap_or_else(|| {
            found.suites.push(row.suite.clone());
            found.suites.len() - 1
        });
        let key = (row.task.as_str(), row.num_fewshot);
        let place = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            keys.push(key);
            found.tasks.push(PageTask { name: String::new(), suites: Vec::new() });
            found.rows.push(vec![None; columns.len()]);
            keys.len() - 1
        });
        if !found.tasks[place].suites.contains(&suite) {
            found.tasks[place].suites.push(suite);
        }
        let label = row.label.as_ref().unwrap_or(&row.model);
        if let Some(column) = columns.iter().position(|column| column == label) {
            found.rows[place][column].get_or_insert(at);
        }
    }
    for (task, (name, shots)) in found.tasks.iter_mut().zip(&keys) {
        let alone = keys.iter().filter(|(other, _)| other == name).count() == 1;
        task.name = name_of(name, *shots, alone);
    }
    found
}

/// The name of a task, with its examples where there are several numbers of them.
fn name_of(task: &str, shots: Option<usize>, alone: bool) -> String {
    match shots {
        Some(shots) if !alone => format!("{task} ({shots} shots)"),
        _ => task.to_owned(),
    }
}

impl Tasks {
    /// The name of the task that a row is of.
    pub(super) fn name(&self, row: &Row) -> Option<&str> {
        let names = [true, false].map(|alone| name_of(&row.task, row.num_fewshot, alone));
        self.tasks.iter().map(|task| task.name.as_str()).find(|name| names.iter().any(|own| own == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::rows;

    #[test]
    fn tasks_stand_once_with_a_row_of_each_column() {
        let mut all = rows();
        all.push(Row { num_fewshot: Some(0), ..all[1].clone() });
        all.push(Row { suite: "birds".to_owned(), ..all[1].clone() });
        let columns = ["llama-7b", "alpaca-7b"].map(str::to_owned);
        let found = tasks(&all, &columns);
        let names: Vec<&str> = found.tasks.iter().map(|task| task.name.as_str()).collect();
        assert_eq!(names, ["zoology_birds (5 shots)", "zoology_fish", "zoology_birds (0 shots)"]);
        assert_eq!(found.suites, ["zoology", "birds"]);
        assert_eq!(found.tasks[0].suites, [0, 1]);
        assert_eq!(found.rows, [vec![Some(1), Some(5)], vec![Some(3), None], vec![Some(7), None]]);
        assert_eq!(found.name(&all[1]), Some("zoology_birds (5 shots)"));
        assert_eq!((found.name(&all[3]), found.name(&all[0])), (Some("zoology_fish"), None));
    }
}
