//! A run that is done, on stdout.

use std::io::{IsTerminal, Write};

use comfy_table::{Cell, CellAlignment};

use super::Format;
use crate::cli::{Global, models};
use crate::report::{
    comparison_markdown, plain_table, render, results_csv, rows_json, terminal_table, terminal_width,
};
use crate::run::{Compared, Finished};

/// What of a run is printed.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// The form.
    pub format: Format,
    /// Whether large groups show every task.
    pub all_tasks: bool,
}

/// Prints the tables, and says where the files of the run are.
pub fn print(run: &Finished, shown: Shown, global: &Global) -> anyhow::Result<()> {
    let Finished { rows, compared, note, findings, folder, complete_since } = run;
    if let (Some(since), Some(folder)) = (complete_since, folder) {
        models::note(global, &format!("{}: this run is complete, since {since}", folder.display()));
    }
    // Where stdout is data, what is to be known goes to stderr.
    if shown.format != Format::Table {
        for line in findings {
            tracing::warn!("{line}");
        }
    }
    let text = match shown.format {
        Format::Table if rows.is_empty() => note.clone(),
        Format::Table => terminal_table(rows, terminal_width(), shown.all_tasks) + "\n" + note,
        Format::Csv => String::from_utf8(results_csv(rows)?)?,
        Format::Md => comparison_markdown(rows),
        Format::Json => rows_json(rows)?,
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if let Some(folder) = folder.as_ref().filter(|_| !global.quiet) {
        let results = folder.join("results.csv");
        let place = results.display();
        // Beside the table where a person reads it, on stderr where stdout is data.
        if shown.format == Format::Table {
            writeln!(out, "results: {place}")?;
        } else if std::io::stderr().is_terminal() {
            out.flush()?;
            eprintln!("results: {place}");
        }
    }
    if shown.format == Format::Table && !compared.is_empty() {
        write!(out, "\n{}", precision_table(compared))?;
    }
    Ok(out.flush()?)
}

/// What another arithmetic changes.
fn precision_table(rows: &[Compared]) -> String {
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
