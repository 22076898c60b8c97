//! Rows side by side: one line per task and metric, one column per model.

use super::{Row, TaskKind};

/// What all models have in common on one line.
#[derive(Debug, Clone, PartialEq)]
pub struct WideRow<'a> {
    /// The first model's row: suite, task, shots, metric, filter.
    pub first: &'a Row,
    /// One per model; `None` where a model lacks the value.
    pub cells: Vec<Option<&'a Row>>,
}

/// A comparison table.
#[derive(Debug, Clone, PartialEq)]
pub struct Wide<'a> {
    /// Column heads, in the order of first appearance.
    pub models: Vec<&'a str>,
    /// Lines, in the order of first appearance.
    pub rows: Vec<WideRow<'a>>,
}

impl<'a> Wide<'a> {
    /// Puts rows of several models side by side.
    pub fn new(rows: &'a [Row]) -> Self {
        let mut models: Vec<&str> = Vec::new();
        for row in rows {
            if !models.contains(&row.model.as_str()) {
                models.push(&row.model);
            }
        }
        let mut wide: Vec<WideRow> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for row in rows {
            let key = (&row.suite, &row.task, row.num_fewshot, &row.metric, &row.filter);
            let place = *places.entry(key).or_insert_with(|| {
                wide.push(WideRow { first: row, cells: vec![None; models.len()] });
                wide.len() - 1
            });
            if let Some(column) = models.iter().position(|m| *m == row.model) {
                wide[place].cells[column] = Some(row);
            }
        }
        Self { models, rows: wide }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::rows;

    #[test]
    fn models_stand_side_by_side() {
        let rows = rows();
        let wide = Wide::new(&rows);
        assert_eq!(wide.models, ["llama-7b", "alpaca-7b"]);
        assert_eq!(wide.rows.len(), 4);
        assert_eq!(wide.rows[0].cells[1].unwrap().value, 0.25);
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
