//! `--against exact`: what a faster arithmetic changes, measured on the same documents.

use super::respondent::Against;
use crate::engine::Divergence;
use crate::evaluate::{TaskMetric, TaskResult};
use crate::kernels::Precision;
use crate::report::Table;
use crate::report::table::{Cell, data, number, text};

/// A line of the table and of `precision.csv`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compared {
    pub model: String,
    pub precision: &'static str,
    pub against: &'static str,
    /// Empty for what is over all tasks together.
    pub task: String,
    pub metric: String,
    pub filter: String,
    /// Of the faster arithmetic.
    pub value: f64,
    /// Of the other one; empty where there is but one value.
    pub reference: Option<f64>,
    pub difference: Option<f64>,
    /// Standard error of the difference, documents paired, as its aggregation has it; of the value where there is no other.
    pub stderr: Option<f64>,
    /// Documents, or scored positions.
    pub n: u64,
}

/// What `against` says of results: of predictions over all positions, and of every metric.
pub fn rows(against: &Against, own: &[TaskResult], others: &[TaskResult]) -> Vec<Compared> {
    let [precision, reference] = against.precisions.map(Precision::name);
    let row = Compared { model: against.model.clone(), precision, against: reference, ..Compared::default() };
    let divergence = divergence_rows(&row, against.divergence);
    divergence.into_iter().chain(metric_rows(&row, own, others)).collect()
}

fn divergence_rows(row: &Compared, divergence: Divergence) -> [Compared; 3] {
    let of = |metric: &str, (value, stderr): (f64, Option<f64>)| Compared {
        metric: metric.to_owned(),
        value,
        stderr,
        n: divergence.positions,
        ..row.clone()
    };
    [
        of("kl_divergence", divergence.mean_kl()),
        of("highest_kl_divergence", (divergence.highest_kl, None)),
        of("top_token_agreement", divergence.agreement()),
    ]
}

fn metric_rows(row: &Compared, own: &[TaskResult], others: &[TaskResult]) -> Vec<Compared> {
    let mut rows = Vec::new();
    assert_eq!(own.len(), others.len(), "the same tasks are graded twice");
    for (own, other) in own.iter().zip(others) {
        for metric in &own.metrics {
            // What cannot be computed of one of both is left out, and said of it.
            let same = |one: &&TaskMetric| one.metric == metric.metric && one.filter == metric.filter;
            let Some(reference) = other.metrics.iter().find(same) else { continue };
            rows.push(Compared {
                task: own.name().to_owned(),
                metric: metric.metric.clone(),
                filter: metric.filter.clone(),
                value: metric.value.value,
                reference: Some(reference.value.value),
                difference: Some(metric.value.value - reference.value.value),
                stderr: metric.aggregation.paired_error(&metric.documents, &reference.documents),
                n: metric.value.n as u64,
                ..row.clone()
            });
        }
    }
    rows
}

/// `precision.csv`, and what of it is printed.
pub fn compared_table(rows: &[Compared]) -> Table<&Compared> {
    let four = |value: f64| format!("{value:.4}");
    Table::of(rows)
        .column(data("model"), |row| &row.model)
        .column(text("precision").wraps(), |row| {
            Cell::from(row.precision)
                .shown(format!("{} {} against {}", row.model, row.precision, row.against))
        })
        .column(data("against"), |row| row.against)
        .column(text("task").wraps(), |row| match row.task.as_str() {
            "" => Cell::from("").shown("all scored positions"),
            task => Cell::from(task),
        })
        .column(text("metric"), |row| &row.metric)
        .column(data("filter"), |row| &row.filter)
        .column(number("value"), |row| {
            Cell::written(row.value, |value: f64| {
                if row.reference.is_some() { four(value) } else { format!("{value:.6}") }
            })
        })
        .column(number("reference"), |row| Cell::written(row.reference, four))
        .column(number("difference"), |row| Cell::written(row.difference, |d: f64| format!("{d:+.4}")))
        .column(number("stderr").titled("±"), |row| Cell::written(row.stderr, four))
        .column(number("n"), |row| row.n)
}
