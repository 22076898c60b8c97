//! A run that is done, on stdout.

use std::io::{IsTerminal, Write};

use crate::cli::format::formats;
use crate::cli::{Global, models};
use crate::report::{Format, comparison_markdown, results, terminal_table, terminal_width};
use crate::run::{Finished, compared_table};

/// What of a run is printed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Shown {
    /// Format of the table on stdout
    #[arg(long, default_value = "table", value_name = "FORM", value_parser = formats([
        (Format::Table, "For the terminal"),
        (Format::Csv, "results.csv"),
        (Format::Md, "comparison.md"),
        (Format::Json, "An array of rows"),
    ]))]
    pub format: Format,
    /// Show every task of large groups in the table
    #[arg(long)]
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
        Format::Md => comparison_markdown(rows),
        format => format.draw(&results(rows), terminal_width()),
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
        write!(out, "\n{}", compared_table(compared).text(terminal_width()))?;
    }
    Ok(out.flush()?)
}
