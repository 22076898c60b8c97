//! Rows side by side: one line per task and metric, one column per model.

use super::table::Stress;
use super::{Row, TaskKind};
use crate::tasks::protocol::DEFAULT_PROTOCOL;

/// What all models have in common on one line.
#[derive(Debug, Clone, PartialEq)]
pub struct WideRow<'a> {
    /// The first model's row: suite, task, shots, metric, filter.
    pub first: &'a Row,
    /// One per model; `None` where a model lacks the value.
    pub cells: Vec<Option<&'a Row>>,
}

impl WideRow<'_> {
    /// Whether its values are not all of as many documents.
    pub fn differs_in_documents(&self) -> bool {
        let mut counts =
            self.cells.iter().flatten().filter(|row| row.value.is_some()).map(|row| (row.n, row.of));
        let first = counts.next();
        counts.any(|other| Some(other) != first)
    }
}

/// A comparison table.
#[derive(Debug, Clone, PartialEq)]
pub struct Wide<'a> {
    /// Column heads, in the order of first appearance: models, with the protocol where it is not the default one or
    /// not the only one.
    pub models: Vec<String>,
    /// Lines: suites in the order of first appearance, in each what is a group's below it, in the order of the papers.
    pub rows: Vec<WideRow<'a>>,
}

impl<'a> Wide<'a> {
    /// Puts rows of several models side by side.
    pub fn new(rows: &'a [Row]) -> Self {
        let mut columns: Vec<(&str, &str, Option<&str>)> = Vec::new();
        for row in rows {
            if !columns.contains(&column_of(row)) {
                columns.push(column_of(row));
            }
        }
        let plain = columns.iter().all(|(_, protocol, _)| *protocol == DEFAULT_PROTOCOL);
        let head = |column: &(&str, &str, Option<&str>)| match column {
            (_, _, Some(label)) => (*label).to_owned(),
            (model, _, None) if plain => (*model).to_owned(),
            (model, protocol, None) => format!("{model} [{protocol}]"),
        };
        let models: Vec<String> = columns.iter().map(head).collect();
        let mut wide: Vec<WideRow> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for row in rows {
            let key = (&row.suite, &row.task, row.num_fewshot, &row.metric, &row.filter);
            let place = *places.entry(key).or_insert_with(|| {
                wide.push(WideRow { first: row, cells: vec![None; models.len()] });
                wide.len() - 1
            });
            let column = columns.iter().position(|column| *column == column_of(row));
            wide[place].cells[column.expect("every row has added its column")] = Some(row);
        }
        // Suites in the order of first appearance, their rows in the order of tables for people.
        let mut suites: Vec<&str> = Vec::new();
        for row in rows {
            if !suites.contains(&row.suite.as_str()) {
                suites.push(&row.suite);
            }
        }
        wide.sort_by_key(|row| (suites.iter().position(|suite| *suite == row.first.suite), row.first.place));
        Self { models, rows: wide }
    }

    /// Whether a value is of a part of its documents.
    pub fn is_limited(&self) -> bool {
        let mut cells = self.rows.iter().flat_map(|row| row.cells.iter().flatten());
        cells.any(|row| row.limited_to_part_of().is_some())
    }

    /// The tasks of which columns have different data, or other versions of the task.
    pub fn unlike(&self) -> Vec<&str> {
        let mut tasks: Vec<&str> = Vec::new();
        for WideRow { first, cells } in &self.rows {
            let differ = |of: fn(&Row) -> Option<&str>| {
                let mut said =
                    cells.iter().flatten().filter_map(|row| of(row)).filter(|said| !said.is_empty());
                let first = said.next();
                said.any(|other| Some(other) != first)
            };
            let differ = differ(|row| Some(&row.data_sha256)) || differ(|row| row.version.as_deref());
            if first.kind == TaskKind::Task && differ && !tasks.contains(&first.task.as_str()) {
                tasks.push(&first.task);
            }
        }
        tasks
    }

    /// Whether a value is marked as the best, or as good.
    pub fn is_stressed(&self) -> bool {
        self.rows.iter().flat_map(|row| row.cells.iter().flatten()).any(|row| row.stress != Stress::None)
    }

    /// Leaves out the tasks below groups when there are more than `most` lines; says how many tasks went.
    pub fn fold(&mut self, most: usize) -> usize {
        if self.rows.len() <= most {
            return 0;
        }
        let mut folded: Vec<&str> = Vec::new();
        self.rows.retain(|row| {
            let keep = row.first.kind == TaskKind::Group || row.first.depth == 0;
            if !keep && !folded.contains(&row.first.task.as_str()) {
                folded.push(&row.first.task);
            }
            keep
        });
        folded.len()
    }
}

/// What has a column of its own.
fn column_of(row: &Row) -> (&str, &str, Option<&str>) {
    (&row.model, &row.protocol, row.label.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::rows;

    #[test]
    fn protocols_stand_side_by_side_and_are_named() {
        let mut rows = rows();
        rows.truncate(1);
        rows.push(Row { protocol: "original-mmlu".into(), value: Some(0.5), ..rows[0].clone() });
        let wide = Wide::new(&rows);
        assert_eq!(wide.models, ["llama-7b [lm-eval-0.4.13]", "llama-7b [original-mmlu]"]);
        assert_eq!(wide.rows.len(), 1);
        assert_eq!(wide.rows[0].cells[1].unwrap().value, Some(0.5));
        assert_eq!(Wide::new(&rows[1..]).models, ["llama-7b [original-mmlu]"]);
    }

    #[test]
    fn models_stand_side_by_side() {
        let rows = rows();
        let wide = Wide::new(&rows);
        assert_eq!(wide.models, ["llama-7b", "alpaca-7b"]);
        assert_eq!(wide.rows.len(), 4);
        assert_eq!(wide.rows[0].cells[1].unwrap().value, Some(0.25));
        assert!(wide.rows[3].cells[1].is_none());
    }

    #[test]
    fn long_tables_fold_to_their_groups() {
        let rows = rows();
        let mut wide = Wide::new(&rows);
        assert_eq!(wide.fold(4), 0);
        assert_eq!(wide.fold(3), 2);
        assert_eq!(wide.rows.len(), 1);
    }
}
