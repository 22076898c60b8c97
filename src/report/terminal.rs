//! The table at the end of a run.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, Width};

use super::style::{plain_table, render};
use super::{Row, Wide};

/// Lines beyond which tasks are folded into their groups.
const MOST_LINES: usize = 40;
/// Columns that the names of tasks keep in a wide table.
const TASK_WIDTH: u16 = 18;

/// The wide table for `width` columns, without colour. Long ones show groups alone unless `all`.
pub fn terminal_table(rows: &[Row], width: usize, all: bool) -> String {
    let mut wide = Wide::new(rows);
    let folded = if all { 0 } else { wide.fold(MOST_LINES) };
    let has_published = |column: usize| {
        wide.rows.iter().any(|row| row.cells[column].is_some_and(|cell| cell.published.is_some()))
    };
    let published: Vec<bool> = (0..wide.models.len()).map(has_published).collect();
    let mut table = plain_table(width);
    let mut head = vec![Cell::new("task"), right("shots"), Cell::new("metric"), right("n")];
    for (model, published) in wide.models.iter().zip(&published) {
        // The protocol below the name: columns are as wide as their heads.
        head.push(right(model.replace(" [", "\n[")));
        if *published {
            head.push(right("published"));
        }
    }
    table.set_header(head);
    for row in &wide.rows {
        let first = row.first;
        let metric = if first.filter == "none" {
            first.metric.clone()
        } else {
            format!("{},{}", first.metric, first.filter)
        };
        let mut cells = vec![
            Cell::new(format!("{}{}", "·\u{a0}".repeat(first.depth), first.task)),
            right(first.num_fewshot.map(|n| n.to_string()).unwrap_or_default()),
            Cell::new(metric),
            right(first.n.to_string()),
        ];
        for (cell, published) in row.cells.iter().zip(&published) {
            cells.push(right(match cell {
                Some(Row { value, stderr: Some(stderr), .. }) => format!("{value:.4} ± {stderr:.4}"),
                Some(Row { value, .. }) => format!("{value:.4}"),
                None => "–".to_owned(),
            }));
            if *published {
                cells.push(right(
                    cell.and_then(|c| c.published).map(|p| format!("{p:.4}")).unwrap_or_default(),
                ));
            }
        }
        table.add_row(cells);
    }
    // With many columns the table gets wider than asked for, rather than names of tasks letter by letter.
    if let Some(column) = table.column_mut(0).filter(|_| wide.models.len() > 2) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(TASK_WIDTH)));
    }
    let mut text = render(&mut table, &[0]);
    if folded > 0 {
        text.push_str(&format!(
            "{folded} tasks are not shown: --all-tasks shows them, results.csv has each.\n"
        ));
    }
    text
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::{row, rows};

    #[test]
    fn one_hundred_columns() {
        insta::assert_snapshot!(terminal_table(&rows(), 100, false));
    }

    #[test]
    fn protocols_stand_below_the_names() {
        let protocols = ["lm-eval-0.4.13", "lm-eval-0.4.9", "llama.cpp"];
        let mut rows = Vec::new();
        for (protocol, metric) in protocols.into_iter().zip(["acc", "acc", "acc_token"]) {
            rows.push(Row { protocol: protocol.into(), ..row("llama-7b", "zoology_birds", metric, 0.5) });
        }
        insta::assert_snapshot!(terminal_table(&rows, 80, false));
    }

    #[test]
    fn eighty_columns_stay_eighty() {
        let table = terminal_table(&rows()[..4], 80, false);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(!table.contains("alpaca"));
    }

    #[test]
    fn a_long_suite_is_folded_and_says_so() {
        let mut rows = vec![row("m", "zoology", "acc", 0.5)];
        rows.extend((0..60).map(|i| row("m", &format!("zoology_{i}"), "acc", 0.5)));
        let table = terminal_table(&rows, 100, false);
        assert!(table.contains("60 tasks are not shown") && table.lines().count() < 12, "{table}");
        assert_eq!(terminal_table(&rows, 100, true).matches("zoology_").count(), 60);
    }
}
