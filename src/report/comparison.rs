//! Models side by side: the table at the end of a run, `comparison.csv` and `comparison.md`.

use super::table::{Cell, data, number, people, text};
use super::wide::{Wide, WideRow};
use super::{Row, Table};

/// Lines beyond which tasks are folded into their groups.
const MOST_LINES: usize = 40;
/// Columns that the names of tasks keep in a wide table: it gets wider than asked for, rather than names of tasks letter
/// by letter.
const TASK_WIDTH: u16 = 18;

/// For a terminal of `width` columns. Long ones show groups alone unless `all`.
pub fn terminal_table(rows: &[Row], width: usize, all: bool) -> String {
    let mut wide = Wide::new(rows);
    let folded = if all { 0 } else { wide.fold(MOST_LINES) };
    let table = comparison(&wide).text(width);
    if folded == 0 {
        return table;
    }
    format!("{table}{folded} tasks are not shown: --all-tasks shows them, results.csv has each.\n")
}

/// For people and pull requests: values with their standard errors.
pub fn comparison_markdown(rows: &[Row]) -> String {
    comparison(&Wide::new(rows)).markdown()
}

/// For every model its value and standard error.
pub fn comparison_csv(rows: &[Row]) -> String {
    comparison(&Wide::new(rows)).csv()
}

/// One line per task and metric.
fn comparison<'w>(wide: &'w Wide<'w>) -> Table<&'w WideRow<'w>> {
    let task = if wide.models.len() > 2 { text("task").wraps_from(TASK_WIDTH) } else { text("task").wraps() };
    let mut table = Table::of(&wide.rows)
        .column(data("suite"), |row| &row.first.suite)
        .column(task, |row| {
            let Row { task, depth, .. } = row.first;
            let below = |mark: &str| format!("{}{task}", mark.repeat(*depth));
            Cell::from(task).shown(below("&nbsp;&nbsp;")).short(below("·\u{a0}"))
        })
        .column(number("num_fewshot").titled("shots"), |row| row.first.num_fewshot)
        .column(people(text("metric")), |row| match row.first {
            Row { metric, filter, .. } if filter == "none" => Cell::from(metric),
            Row { metric, filter, .. } => {
                Cell::from(format!("{metric}, {filter}")).short(format!("{metric},{filter}"))
            }
        })
        .column(data("metric"), |row| &row.first.metric)
        .column(data("filter"), |row| &row.first.filter)
        .column(number("n"), |row| row.first.n);
    for (place, model) in wide.models.iter().enumerate() {
        let of = |row: &'w WideRow<'w>| row.cells[place];
        // The protocol below the name: columns are as wide as their heads.
        let heading = people(number(model)).short(model.replace(" [", "\n["));
        table = table
            .column(heading, |row| match of(row) {
                Some(Row { value, stderr: Some(stderr), .. }) => format!("{value:.4} ± {stderr:.4}"),
                Some(Row { value, .. }) => four(*value),
                None => "–".to_owned(),
            })
            .column(data(model), |row| of(row).map(|cell| cell.value))
            .column(data(format!("{model} stderr")), |row| of(row).and_then(|cell| cell.stderr));
        let published = |row| Cell::written(of(row).and_then(|cell| cell.published), four);
        if wide.rows.iter().any(|row| published(row) != Cell::empty()) {
            table = table.column(people(number("published")).not_in_markdown(), published);
        }
    }
    table.decimal_floats()
}

fn four(value: f64) -> String {
    format!("{value:.4}")
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
    fn the_wide_form() {
        insta::assert_snapshot!(comparison_csv(&rows()));
    }

    #[test]
    fn the_table() {
        insta::assert_snapshot!(comparison_markdown(&rows()));
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
