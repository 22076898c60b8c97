//! `zoo report`: runs side by side.

mod page;

use std::path::PathBuf;

use super::flags::TaskFolders;
use super::format::formats;
use super::{Global, models};
use crate::finished::{Run, find_runs, join, measured_steps, published, sources};
use crate::report::{Format, Look, terminal_width};
use page::Page;

/// Compare runs: one table of many models and suites, for the terminal, papers and programs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo report reports/vicuna-13b reports/llama-13b
  zoo report reports --format html --out comparison.html
  zoo report reports --suite mmlu,ceval-valid --percent --format latex
  zoo report reports/own results_2026-11-30T09-00-00.json   (of lm-evaluation-harness)
  zoo report reports --format csv --out all.csv

Columns are models as they were asked: weights, protocol, chat template, arithmetic. Runs of one column that do not agree on a value
have a column each.")]
pub struct Args {
    /// Folders of finished runs, folders that hold them, or results files of lm-evaluation-harness
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// How to write it
    #[arg(long, default_value = "table", value_name = "FORM", value_parser = formats([
        (Format::Table, "For the terminal"),
        (Format::Csv, "A line for each model, task and metric"),
        (Format::Wide, "CSV with a line for each task and a column for each model"),
        (Format::Md, "Markdown"),
        (Format::Latex, "A table for papers, with booktabs"),
        (Format::Json, "Everything, for programs"),
    ]))]
    format: Format,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only these suites
    #[arg(long, value_delimiter = ',', value_name = "SUITE")]
    suite: Vec<String>,
    /// Only these metrics, as acc or exact_match
    #[arg(long, value_delimiter = ',', value_name = "METRIC")]
    metric: Vec<String>,
    /// Shares per cent with one decimal, as papers have them
    #[arg(long)]
    percent: bool,
    /// Show every task of large groups
    #[arg(long)]
    all_tasks: bool,
    #[command(flatten)]
    tasks: TaskFolders,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for path in &args.runs {
        for path in find_runs(path)? {
            runs.push(Run::open(&path, &args.tasks.include_path)?);
        }
    }
    keep(&mut runs, "--suite", &args.suite, |row| &row.suite)?;
    keep(&mut runs, "--metric", &args.metric, |row| &row.metric)?;
    let joined = join(&runs);
    let registry = models::registry(global)?;
    let page = Page {
        published: published(&joined, &runs, &registry),
        steps: measured_steps(&joined, &registry),
        sources: sources(&joined, &runs),
        rows: joined.rows,
        look: Look { percent: args.percent, all_tasks: args.all_tasks },
    };
    let width = if args.out.is_some() { crate::report::table::NO_BOUND } else { terminal_width() };
    models::deliver(&page.draw(args.format, width), args.out.as_deref())?;
    if let Some(file) = &args.out {
        models::note(global, &format!("{} runs, {} values: {}", runs.len(), page.rows.len(), file.display()));
    }
    Ok(())
}

/// Leaves out the rows that are not wanted; that none is left, or that a name is nowhere, is wrong usage.
fn keep(
    runs: &mut [Run],
    flag: &str,
    wanted: &[String],
    of: impl Fn(&crate::report::Row) -> &String,
) -> anyhow::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let known: std::collections::BTreeSet<String> =
        runs.iter().flat_map(|run| run.rows.iter().map(|row| of(row).clone())).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(*name)) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(super::exit::Usage(format!("{flag} {unknown}: the runs have {known}")).into());
    }
    for run in runs {
        run.rows.retain(|row| wanted.contains(of(row)));
    }
    Ok(())
}
