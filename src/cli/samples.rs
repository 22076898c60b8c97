//! `zoo samples`: the questions behind the numbers.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::exit::Usage;
use super::flags::TaskFolders;
use super::format::formats;
use super::report::{column, keep};
use super::{Global, models};
use crate::finished::{Found, Joined, Run, Wanted, join, questions};
use crate::report::table::NO_BOUND;
use crate::report::{Format, samples_table, terminal_width};

/// Documents that are shown, unless it is said how many.
const SHOWN: usize = 10;

/// Look at the questions behind the numbers: prompts, answers and what was right.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo samples reports/vicuna-13b --task arc_easy --wrong
  zoo samples reports/vicuna-13b --task gsm8k --doc 17 --full
  zoo samples reports/vicuna-13b reports/llama-13b --suite mmlu --disagree vicuna-13b llama-13b
  zoo samples reports/vicuna-13b --wrong --format csv --out wrong.csv

Prompts are in runs that keep texts (`zoo eval` without --no-texts); of others their digests are shown.")]
pub struct Args {
    /// Folders of finished runs, or folders that hold them
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Only these tasks
    #[arg(long, value_delimiter = ',', value_name = "TASK")]
    task: Vec<String>,
    /// Only the tasks of these suites
    #[arg(long, value_delimiter = ',', value_name = "SUITE")]
    suite: Vec<String>,
    /// Only these models
    #[arg(long, value_delimiter = ',', value_name = "MODEL", conflicts_with = "disagree")]
    model: Vec<String>,
    /// Only these documents, by their numbers (from 0)
    #[arg(long, value_delimiter = ',', value_name = "N")]
    doc: Vec<usize>,
    /// Only wrong answers
    #[arg(long, conflicts_with = "right")]
    wrong: bool,
    /// Only right answers
    #[arg(long)]
    right: bool,
    /// Only documents that one of these two models has right and the other wrong
    #[arg(long, num_args = 2, value_names = ["MODEL", "MODEL"], conflicts_with_all = ["wrong", "right"])]
    disagree: Vec<String>,
    /// Judge by this metric, as acc_norm [default: the task's first one with right and wrong]
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// So many documents at most [default: 10 in the table, all in the other formats]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Whole prompts, with all their examples, and the ids of tokens
    #[arg(long)]
    full: bool,
    /// How to write it
    #[arg(long, default_value = "table", value_name = "FORM", value_parser = formats([
        (Format::Table, "Documents for reading"),
        (Format::Csv, "A line for each document and model"),
        (Format::Json, "Everything, for programs"),
    ]))]
    format: Format,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    tasks: TaskFolders,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let mut runs = Run::open_all(&args.runs, &args.tasks.include_path)?;
    keep(&mut runs, "--suite", &args.suite, |row| &row.suite)?;
    keep(&mut runs, "--task", &args.task, |row| &row.task)?;
    let joined = join(&runs);
    let found = questions(&joined, &runs, &args.wanted(&joined)?)?;
    let (text, shown) = args.draw(&found);
    models::deliver(&text, args.out.as_deref())?;
    if found.documents == 0 {
        models::note(global, "no document is like that");
    } else if shown < found.documents {
        let more = found.documents - shown;
        models::note(global, &format!("{more} more documents are like that: --limit {}", found.documents));
    }
    Ok(())
}

impl Args {
    fn wanted(&self, joined: &Joined) -> anyhow::Result<Wanted> {
        let flags = [("--model", &self.model), ("--disagree", &self.disagree)];
        let mut columns = Vec::new();
        for (flag, names) in flags {
            for name in names {
                columns.push(column(joined, flag, name)?);
            }
        }
        if let [first, second] = &columns[..]
            && first == second
            && !self.disagree.is_empty()
        {
            return Err(Usage(format!("--disagree: expected two models, found {first} twice")).into());
        }
        if let Some(metric) = &self.metric
            && !joined.rows.iter().any(|row| row.metric == *metric)
        {
            let known: BTreeSet<&str> = joined.rows.iter().map(|row| row.metric.as_str()).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Usage(format!("--metric {metric}: the tasks have {known}")).into());
        }
        Ok(Wanted {
            columns,
            metric: self.metric.clone(),
            documents: self.doc.clone(),
            right: (self.wrong || self.right).then_some(self.right),
            disagree: !self.disagree.is_empty(),
            limit: self.limit.or((self.format == Format::Table).then_some(SHOWN)),
        })
    }

    /// The text, and how many documents are in it.
    fn draw(&self, found: &Found) -> (String, usize) {
        let samples = found.samples.iter();
        let documents: BTreeSet<(&str, Option<usize>, usize)> =
            samples.map(|sample| (sample.task.as_str(), sample.num_fewshot, sample.doc_id)).collect();
        let width = if self.out.is_some() { NO_BOUND } else { terminal_width() };
        let text = match self.format {
            Format::Csv => samples_table(&found.samples).csv(),
            Format::Json => {
                let all = serde_json::to_value(&found.samples).expect("samples are JSON");
                format!("{all:#}\n")
            }
            _ => {
                let pages: Vec<String> =
                    found.samples.iter().map(|sample| sample.page(width, self.full)).collect();
                pages.join("\n")
            }
        };
        (text, documents.len())
    }
}
