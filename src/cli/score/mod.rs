//! `zoo score`: grades stored answers again, without the model.

use std::path::PathBuf;

use super::eval::{Shown, parse_limit, print};
use super::{Global, models};
use crate::run::{Options, Places, WrittenAnswers, score_answers, score_run};
use crate::tasks::Limit;

const EXAMPLES: &str = "\
Examples:
  zoo score reports/mmlu-run
  zoo score reports/mmlu-run --suite mmlu_anatomy --format csv
  zoo score --answers answers.jsonl --suite gsm8k --num-fewshot 5
  zoo score --answers samples_gsm8k_2024-05-01T10-00-00.jsonl --suite gsm8k --limit 10 --out reports/gsm8k

A file of answers has one JSON object per line:
  {\"doc_id\": 0, \"text\": \"So the answer is 4.\"}
doc_id is the row of the evaluation split, from 0. Also read are texts (several answers to one prompt), task,
prompt_sha256 (an answer to another prompt is refused), and the samples files that lm-evaluation-harness writes (resps,
prompt_hash). Texts are cut at the task's stops; texts that were cut already stay as they are.";

/// Grade the answers of a run again, or answers that were written elsewhere
///
/// Of a RUN, its samples are graded by the task files and data as they are now; log-probabilities are taken from the
/// samples, so that neither weights nor tokenizer are needed. Prompts that have changed since are refused.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder of a finished run
    #[arg(value_name = "RUN", required_unless_present = "answers", conflicts_with = "answers")]
    pub run: Option<PathBuf>,
    /// A file of written answers; may be given several times
    #[arg(long, value_name = "FILE", requires = "suite")]
    pub answers: Vec<PathBuf>,
    /// Suites, groups or single tasks, separated by commas [default: those of the run]
    #[arg(short, long, value_delimiter = ',', visible_alias = "tasks", value_name = "SUITE")]
    pub suite: Vec<String>,
    /// Name of the model that wrote the answers [default: what the file says]
    #[arg(long, value_name = "NAME", requires = "answers")]
    pub model: Option<String>,
    /// Few-shot examples that stood before each question [default: what the task file says]
    #[arg(short = 'f', long, value_name = "N", requires = "answers")]
    pub num_fewshot: Option<usize>,
    /// Only the first N documents of each task, or a fraction below 1 of them
    #[arg(short = 'L', long, value_name = "N", value_parser = parse_limit, requires = "answers")]
    pub limit: Option<Limit>,
    /// Text that went before every prompt
    #[arg(long, value_name = "TEXT", requires = "answers")]
    pub system_instruction: Option<String>,
    /// Seed of the few-shot sampler
    #[arg(long, default_value_t = 1234, value_name = "N", requires = "answers")]
    pub fewshot_seed: u32,
    /// Grade only the documents that have an answer, and report how many have none
    #[arg(long, requires = "answers")]
    pub skip_missing: bool,
    /// Only cut and filter the answers, for programs, which zoo does not run
    #[arg(long, requires = "answers")]
    pub predict_only: bool,
    /// Write the files of a run to this folder; a run that is already there is moved aside
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// A folder of data sets in the hub's layout, read in place [default: $ZOO_HOME, see zoo pull]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A folder with task files of your own; may be given several times
    #[arg(long, value_name = "DIR")]
    pub include_path: Vec<PathBuf>,
    #[command(flatten)]
    pub shown: Shown,
}

impl Args {
    /// How the prompts were made that were answered, and where things are.
    fn options(&self, global: &Global) -> Options {
        Options {
            suite: self.suite.clone(),
            num_fewshot: self.num_fewshot,
            limit: self.limit,
            fewshot_seed: self.fewshot_seed,
            system_instruction: self.system_instruction.clone(),
            places: Places {
                out: self.out.clone(),
                data_dir: self.data_dir.clone(),
                include_path: self.include_path.clone(),
                own_cards: models::own_folder(global),
                ..Places::default()
            },
            ..Options::default()
        }
    }
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let options = args.options(global);
    let finished = match &args.run {
        Some(folder) => score_run(folder, &options)?,
        None => {
            let written = WrittenAnswers {
                files: args.answers.clone(),
                model: args.model.clone(),
                skip_missing: args.skip_missing,
                predict_only: args.predict_only,
            };
            score_answers(&written, &options)?
        }
    };
    print(&finished, args.shown, global)
}
