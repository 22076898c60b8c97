//! A run that is done: its tables on stdout, notes on stderr.

use crate::cli::format::formats;
use crate::cli::{Global, models};
use crate::report::{Format, Look, comparison_markdown, results, terminal_table, terminal_width};
use crate::run::{Finished, compared_table, rotations_table};

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

/// Prints the tables on stdout; what the run took, what is to be known of documents and where the files are goes to stderr.
pub fn print(run: &Finished, shown: Shown, global: &Global) -> anyhow::Result<()> {
    let Finished { rows, compared, rotations, note, folder, shard, complete_since } = run;
    let width = terminal_width();
    let mut text = match shown.format {
        Format::Table if rows.is_empty() => String::new(),
        Format::Table => terminal_table(rows, width, Look { all_tasks: shown.all_tasks, ..Look::default() }),
        Format::Md => comparison_markdown(rows),
        format => format.draw(&results(rows), width),
    };
    if shown.format == Format::Table && !compared.is_empty() {
        text += &format!("\n{}", compared_table(compared).text(width));
    }
    if shown.format == Format::Table && !rotations.is_empty() {
        text += &format!("\nOptions moved on\n\n{}", rotations_table(rotations).text(width));
    }
    models::deliver(&text, None)?;
    models::note(global, note.trim_end());
    if let Some(folder) = folder {
        if let Some(since) = complete_since {
            models::note(global, &format!("{}: this run is complete, since {since}", folder.display()));
        }
        let place = match shard {
            Some(shard) => format!("shard {shard}: {}", folder.display()),
            None => format!("results: {}", folder.join("results.csv").display()),
        };
        models::note(global, &place);
    }
    Ok(())
}
