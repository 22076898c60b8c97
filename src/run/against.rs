//! `--against exact`: what a faster arithmetic changes, measured on the same documents.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use comfy_table::{Cell, CellAlignment};
use serde::Serialize;

use super::asked::AskedTask;
use super::subject::Subject;
use crate::base::atomic::write_atomically;
use crate::base::progress::{Progress, Silent};
use crate::engine::{
    Divergence, Journal, JournalError, LanguageModel, PairedModel, Recorded, Score, ScoreRequest,
};
use crate::evaluate::{self, Evaluated};
use crate::kernels::Precision;
use crate::metrics::paired_difference;
use crate::report::{plain_table, render, terminal_width};
use crate::tasks::DocValue;

/// The file in a run's folder.
pub const FILE: &str = "precision.csv";

/// A line of the table and of `precision.csv`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    model: String,
    precision: &'static str,
    against: &'static str,
    /// Empty for what is over all tasks together.
    task: String,
    metric: String,
    filter: String,
    /// Of the faster arithmetic.
    value: f64,
    /// Of the other one; empty where there is but one value.
    reference: Option<f64>,
    difference: Option<f64>,
    /// Standard error of the difference, documents paired; of the value where there is no other.
    stderr: Option<f64>,
    /// Documents, or scored positions.
    n: u64,
}

/// Scores a model in its precision and in another one, and compares.
pub fn evaluate(
    subject: &Subject,
    against: Precision,
    tasks: &[AskedTask<'_>],
    journal: &mut dyn Journal,
    progress: &dyn Progress,
) -> anyhow::Result<(Evaluated, Vec<Row>)> {
    let networks = [subject.precision, against].map(|precision| subject.network(precision, progress));
    let [candidate, reference] = networks;
    let model = PairedModel::new(candidate?, reference?, subject.limits());
    let evaluated = evaluate::evaluate(&model as &dyn LanguageModel, tasks, journal, progress)?;
    let (scores, divergence) = model.take_outcome();
    drop(model);
    let asked = tasks.iter().flat_map(|(_, encoded)| encoded.requests()).cloned();
    let mut known = Known(asked.zip(scores).collect());
    let other = evaluate::evaluate(&Recorded(subject.limits()), tasks, &mut known, &Silent)?;
    let row = Row {
        model: subject.name.clone(),
        precision: subject.precision.name(),
        against: against.name(),
        task: String::new(),
        metric: String::new(),
        filter: String::new(),
        value: 0.0,
        reference: None,
        difference: None,
        stderr: None,
        n: 0,
    };
    let rows =
        divergence_rows(&row, divergence).into_iter().chain(metric_rows(&row, &evaluated, &other)).collect();
    Ok((evaluated, rows))
}

/// Answers that are there already.
struct Known(HashMap<ScoreRequest, Score>);

impl Journal for Known {
    fn known(&self, request: &ScoreRequest) -> Option<Score> {
        self.0.get(request).copied()
    }

    fn record(&mut self, _: &[(&ScoreRequest, Score)]) -> Result<(), JournalError> {
        Ok(())
    }
}

fn divergence_rows(row: &Row, divergence: Divergence) -> [Row; 3] {
    let of = |metric: &str, (value, stderr): (f64, Option<f64>)| Row {
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

fn metric_rows(row: &Row, own: &Evaluated, other: &Evaluated) -> Vec<Row> {
    let mut rows = Vec::new();
    for (own, other) in own.tasks.iter().zip(&other.tasks) {
        for (metric, reference) in own.metrics.iter().zip(&other.metrics) {
            let paired = numbers(&metric.documents)
                .zip(numbers(&reference.documents))
                .and_then(|(a, b)| paired_difference(&a, &b));
            rows.push(Row {
                task: own.task.name.clone(),
                metric: metric.metric.clone(),
                filter: metric.filter.clone(),
                value: metric.value.value,
                reference: Some(reference.value.value),
                difference: Some(metric.value.value - reference.value.value),
                stderr: paired.and_then(|paired| paired.stderr),
                n: metric.value.n as u64,
                ..row.clone()
            });
        }
    }
    rows
}

/// One number per document, where the metric is a mean of such.
fn numbers(documents: &[DocValue]) -> Option<Vec<f64>> {
    let number = |value: &DocValue| match value {
        DocValue::Number(number) => Some(*number),
        _ => None,
    };
    documents.iter().map(number).collect()
}

/// Writes `precision.csv` into a run's folder.
pub fn write(folder: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    let path = folder.join(FILE);
    write_atomically(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// The rows for the terminal.
pub fn table(rows: &[Row]) -> String {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let shown = |number: Option<f64>| number.map(|number| format!("{number:.4}")).unwrap_or_default();
    let mut table = plain_table(terminal_width());
    let mut head = vec![Cell::new("precision"), Cell::new("task"), Cell::new("metric")];
    head.extend(["value", "reference", "difference", "±", "n"].map(|title| right(title.to_owned())));
    table.set_header(head);
    for row in rows {
        let value =
            if row.reference.is_some() { shown(Some(row.value)) } else { format!("{:.6}", row.value) };
        let stderr = row.stderr.map(|error| format!("{error:.4}")).unwrap_or_default();
        table.add_row(vec![
            Cell::new(format!("{} {} against {}", row.model, row.precision, row.against)),
            Cell::new(if row.task.is_empty() { "all scored positions" } else { &row.task }),
            Cell::new(&row.metric),
            right(value),
            right(shown(row.reference)),
            right(row.difference.map(|d| format!("{d:+.4}")).unwrap_or_default()),
            right(stderr),
            right(row.n.to_string()),
        ]);
    }
    render(&mut table, &[0, 1])
}
