//! `zoo runs`: the runs of a folder and what they hold.

use std::path::PathBuf;

use super::format::formats;
use super::{Global, models};
use crate::finished::{Listed, list_runs};
use crate::report::table::{Cell, data, number, text};
use crate::report::{Format, Table, terminal_width};

/// List the runs of a folder: what was asked of which models, and when.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo runs
  zoo runs reports --format csv
  zoo report $(zoo runs --paths)")]
pub struct Args {
    /// A folder with runs, or with results files of lm-evaluation-harness
    #[arg(default_value = "reports", value_name = "DIR")]
    folder: PathBuf,
    /// How to print
    #[arg(long, default_value = "table", value_name = "FORM", value_parser = formats([
        (Format::Table, "Aligned columns"),
        (Format::Csv, "Comma-separated values with a header line"),
        (Format::Json, "An array of objects"),
        (Format::Md, "A Markdown table"),
    ]))]
    format: Format,
    /// Print the paths of the finished runs alone, a line each
    #[arg(long, conflicts_with = "format")]
    paths: bool,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let runs = list_runs(&args.folder)?;
    let unreadable = runs.iter().filter_map(|run| run.problem.as_ref());
    unreadable.for_each(|problem| models::note(global, problem));
    if args.paths {
        let finished = runs.iter().filter(|run| matches!(run.state, "finished" | "lm-eval"));
        let lines: String = finished.map(|run| format!("{}\n", run.path.display())).collect();
        return models::deliver(&lines, None);
    }
    models::deliver(&args.format.draw(&table(&runs), terminal_width()), None)?;
    if runs.is_empty() {
        models::note(
            global,
            &format!("{}: no runs; `zoo eval MODEL --suite SUITE` makes one", args.folder.display()),
        );
    }
    Ok(())
}

fn table(runs: &[Listed]) -> Table<&Listed> {
    Table::of(runs)
        .column(text("run"), |run| run.path.display().to_string())
        .column(text("state"), |run| match &run.shard {
            Some(shard) if run.state == "shard" => format!("shard {shard}"),
            Some(shard) => format!("{}, shard {shard}", run.state),
            None => run.state.to_owned(),
        })
        .column(text("started"), |run| {
            let Some(started) = &run.started else { return Cell::empty().or_dash() };
            Cell::from(started).shown(started.get(..16).unwrap_or(started).replace('T', " "))
        })
        .column(text("models").wraps(), |run| run.models.join(", "))
        .column(text("suites").wraps(), |run| run.suites.join(", "))
        .column(text("protocol").spare(2), |run| Cell::from(run.protocol.as_ref()).or_dash())
        .column(text("precision").spare(3), |run| Cell::from(run.precision.as_ref()).or_dash())
        .column(number("tasks").spare(1), |run| run.tasks)
        .column(number("documents"), |run| run.documents)
        .column(text("limit").spare(4), |run| Cell::from(run.limit.as_ref()).or_dash())
        .column(number("seconds").spare(5), |run| {
            Cell::written(run.seconds, |seconds: f64| format!("{seconds:.1}")).or_dash()
        })
        .column(data("problem"), |run| run.problem.as_ref())
}
