//! `zoo report`: runs side by side.

mod html;
mod page;

use std::path::PathBuf;

use super::exit::Usage;
use super::flags::TaskFolders;
use super::format::formats;
use super::{Global, models};
use crate::base::atomic::write_atomically;
use crate::finished::{Comparison, Joined, Pairs, Run, join, measured_steps, published, sources};
use crate::records::own_file_name;
use crate::report::{Format, Look, adjust, mark_best, terminal_width};
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
  zoo report reports --baseline llama-7b --format csv       (differences, with tests and intervals)

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
        (Format::Html, "One page for a browser, with figures and documents"),
        (Format::Json, "Everything, for programs"),
    ]))]
    format: Format,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the figures as SVG files to this folder
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Only these suites
    #[arg(long, value_delimiter = ',', value_name = "SUITE")]
    suite: Vec<String>,
    /// Only these metrics, as acc or exact_match
    #[arg(long, value_delimiter = ',', value_name = "METRIC")]
    metric: Vec<String>,
    /// Shares per cent with one decimal, as papers have them
    #[arg(long)]
    percent: bool,
    /// Compare each model with this one on the same documents: differences with errors, intervals and tests. In CSV they stand in
    /// place of the values
    #[arg(long, value_name = "MODEL", conflicts_with = "pairs")]
    baseline: Option<String>,
    /// The same of each model with each
    #[arg(long)]
    pairs: bool,
    /// Say how sure models are of their choices (calibration error, Brier score), and which places they prefer
    #[arg(long)]
    calibration: bool,
    /// Show every task of large groups
    #[arg(long)]
    all_tasks: bool,
    #[command(flatten)]
    tasks: TaskFolders,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let mut runs = Run::open_all(&args.runs, &args.tasks.include_path)?;
    keep(&mut runs, "--suite", &args.suite, |row| &row.suite)?;
    known(&runs, "--metric", &args.metric, |row| &row.metric)?;
    let mut joined = join(&runs);
    let pairs = match &args.baseline {
        Some(name) => Some(Baseline::With(column(&joined, "--baseline", name)?)),
        None => args.pairs.then_some(Baseline::All),
    };
    if let (Some(_), [only]) = (&pairs, &joined.columns[..]) {
        return Err(Usage(format!("expected several models to compare, found {} alone", only.label)).into());
    }
    let comparison = (joined.columns.len() > 1).then(|| Comparison::read(&joined, &runs));
    let of = |pairs| comparison.as_ref().map_or_else(Vec::new, |own| own.differences(pairs));
    let with_best = of(Pairs::WithBest);
    let is_wanted = |metric: &String| args.metric.is_empty() || args.metric.contains(metric);
    let differences = pairs.as_ref().map(|pairs| {
        let mut all = of(pairs.as_pairs());
        all.retain(|line| is_wanted(&line.metric));
        adjust(&mut all);
        all
    });
    mark_best(&mut joined.rows, &with_best);
    // What is not shown was compared all the same: a mean over tasks is recomputed from another metric of them.
    let shown: Vec<bool> = joined.rows.iter().map(|row| is_wanted(&row.metric)).collect();
    let (mut of_rows, mut of_runs) = (shown.iter(), shown.iter());
    joined.rows.retain(|_| *of_rows.next().expect("said of every row"));
    joined.run_of.retain(|_| *of_runs.next().expect("said of every row"));
    let Joined { rows, columns, .. } = &mut joined;
    columns.retain(|column| rows.iter().any(|row| row.label.as_ref() == Some(&column.label)));
    let registry = models::registry(global)?;
    let mut page = Page {
        published: published(&joined, &runs, &registry),
        calibrated: Vec::new(),
        steps: measured_steps(&joined, &registry),
        sources: sources(&joined, &runs),
        rows: joined.rows.clone(),
        differences,
        look: Look { percent: args.percent, all_tasks: args.all_tasks },
    };
    let width = if args.out.is_some() { crate::report::table::NO_BOUND } else { terminal_width() };
    let is_page = args.format == Format::Html;
    let is_looked = is_page || args.figures.is_some() || args.calibration;
    let looked = is_looked.then(|| html::look(&page, &joined, &runs, &registry)).transpose()?;
    if let Some(looked) = looked.as_ref().filter(|_| args.calibration) {
        page.calibrated.clone_from(&looked.calibrated);
    }
    if let (Some(folder), Some(looked)) = (&args.figures, &looked) {
        for picture in &looked.pictures {
            let path = folder.join(own_file_name(&picture.name) + ".svg");
            write_atomically(&path, picture.svg.as_bytes())?;
        }
        models::note(global, &format!("{} figures: {}", looked.pictures.len(), folder.display()));
    }
    let text = match looked.filter(|_| is_page) {
        Some(looked) => html::page(&page, &joined, &runs, looked)?,
        None => page.draw(args.format, width),
    };
    models::deliver(&text, args.out.as_deref())?;
    if let Some(file) = &args.out {
        models::note(
            global,
            &format!("{}, {}: {}", count(runs.len(), "run"), count(page.rows.len(), "value"), file.display()),
        );
    }
    Ok(())
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Whom models are compared with.
enum Baseline {
    With(String),
    All,
}

impl Baseline {
    fn as_pairs(&self) -> Pairs<'_> {
        match self {
            Self::With(label) => Pairs::With(label),
            Self::All => Pairs::All,
        }
    }
}

/// The head of the column that a name means: that head, or a model of which there is but one column.
pub(super) fn column(joined: &Joined, flag: &str, name: &str) -> anyhow::Result<String> {
    let labels = || joined.columns.iter().map(|column| column.label.as_str());
    if labels().any(|label| label == name) {
        return Ok(name.to_owned());
    }
    let own: Vec<&str> =
        joined.columns.iter().filter(|c| c.model == name).map(|c| c.label.as_str()).collect();
    match own[..] {
        [label] => Ok(label.to_owned()),
        [] => {
            Err(Usage(format!("{flag} {name}: the runs have {}", labels().collect::<Vec<_>>().join(", ")))
                .into())
        }
        _ => Err(Usage(format!("{flag} {name}: it is one of {}", own.join(", "))).into()),
    }
}

/// Leaves out the rows that are not wanted; that none is left, or that a name is nowhere, is wrong usage.
pub(super) fn keep(
    runs: &mut [Run],
    flag: &str,
    wanted: &[String],
    of: impl Fn(&crate::report::Row) -> &String,
) -> anyhow::Result<()> {
    known(runs, flag, wanted, &of)?;
    for run in runs.iter_mut().filter(|_| !wanted.is_empty()) {
        run.rows.retain(|row| wanted.contains(of(row)));
    }
    Ok(())
}

/// That a name is nowhere is wrong usage.
fn known(
    runs: &[Run],
    flag: &str,
    wanted: &[String],
    of: impl Fn(&crate::report::Row) -> &String,
) -> anyhow::Result<()> {
    let known: std::collections::BTreeSet<String> =
        runs.iter().flat_map(|run| run.rows.iter().map(|row| of(row).clone())).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(*name)) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Usage(format!("{flag} {unknown}: the runs have {known}")).into());
    }
    Ok(())
}
