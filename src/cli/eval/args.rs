//! The flags of `zoo eval`.

use std::path::PathBuf;

use super::Shown;
use super::foreign::Foreign;
use crate::cli::Global;
use crate::cli::flags::{
    AskedFlags, CodeFlags, ComputingFlags, ModelFlags, ServingFlags, ShardFlag, VariantFlags, WritingFlags,
    precisions,
};
use crate::kernels::Precision;
use crate::run::{Computing, Options, Places};

const EXAMPLES: &str = "\
Examples:
  zoo eval smollm2-135m --suite basics
  zoo eval smollm2-135m --suite mmlu --num-fewshot 5 --limit 50
  zoo eval ./my-model ./other.gguf --suite arc_easy,hellaswag --data-dir ~/hub --out reports/two-models
  zoo eval vicuna-13b-v0 --from llama-13b=/models/llama/13B --suite mmlu
  zoo eval smollm2-135m --suite mmlu --num-fewshot 5 --dry-run
  zoo eval smollm2-135m --suite mmlu --out reports/mmlu --resume
  zoo eval --config reports/mmlu --out reports/mmlu-again
  zoo eval smollm2-135m --suite arc_easy --apply-chat-template=both
  zoo eval ./llama-13b --suite mmlu --memory 4GiB
  zoo eval smollm2-135m --suite mmlu --precision int8 --against exact
  zoo eval remote:http://10.0.0.7:8000 --tokenizer smollm2-135m --suite mmlu --dtype bfloat16
  zoo eval smollm2-135m --suite mmlu --protocol lm-eval-0.4.13,original-mmlu --metrics acc_token
  zoo eval smollm2-135m --suite mmlu --shard 0/8 --out shards/0";

/// Score models on suites and write the tables
///
/// Prompts, tokens, metrics and standard errors are those of lm-evaluation-harness 0.4.13. A run's folder gets
/// results.csv, comparison.csv, comparison.md, sanity.csv, run.yaml, one line per document in samples/, what was asked in
/// texts/, and results.json in the harness's own form. Data and weights that are not here are listed with sizes and licences, and fetched,
/// data first. Scores are kept in ledger/ about every 20 seconds, so that a run that was interrupted goes on with --resume;
/// Ctrl-C says how.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("models", |arg| arg.required_unless_present("config")),
    mut_arg("suite", |arg| arg.required_unless_present("config"))
)]
pub struct Args {
    /// Repeat a finished run: its folder or run.yaml says the models, suites and flags that are not given here
    #[arg(long, value_name = "RUN")]
    pub config: Option<PathBuf>,
    /// The run's folder; a run that is already there is moved aside [default: reports/<model>-<suite>-<time>]
    #[arg(short, long, alias = "output_path", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Resume the interrupted run in --out, given the same options; print the table of a finished one. Refused if models,
    /// tasks or data have changed since
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Earlier runs, separated by commas, whose scores are reused where model, arithmetic and tokens are the same
    #[arg(long, value_delimiter = ',', value_name = "RUN")]
    pub reuse: Vec<PathBuf>,
    #[command(flatten)]
    pub shown: Shown,
    /// Also write documents, prompts and answers in the reference harness's format (lm-eval/ in the run's folder)
    #[arg(long, alias = "log_samples")]
    pub log_samples: bool,
    /// Keep no prompts, choices and right answers in words (texts/ in the run's folder), for data sets whose licences ask for it
    #[arg(long)]
    pub no_texts: bool,
    /// Print what would be fetched and computed, how much memory it would take and about how long, then stop
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten, next_help_heading = "Questions")]
    pub asked: AskedFlags,
    /// Ask only the documents whose number divided by n leaves i, as they are asked in the whole run: 0/8 is the first of eight shards, 7/8
    /// the last. auto reads i and n from the scheduler (Slurm, srun, torchrun, MPI, AWS Batch, LSF, SGE), auto/n only i (Kubernetes, PBS, GNU
    /// parallel). zoo merge puts shards together
    #[arg(long, value_name = "i/n", help_heading = "Questions", allow_hyphen_values = true)]
    pub shard: Option<ShardFlag>,
    #[command(flatten, next_help_heading = "Questions")]
    pub variants: VariantFlags,
    #[command(flatten, next_help_heading = "Questions")]
    pub writing: WritingFlags,
    #[command(flatten, next_help_heading = "Questions")]
    pub code: CodeFlags,
    #[command(flatten, next_help_heading = "Models")]
    pub models: ModelFlags,
    /// Score weights even if they look like a difference from a base rather than a model
    #[arg(long, help_heading = "Models")]
    pub allow_difference: bool,
    #[command(flatten, next_help_heading = "Served models")]
    pub serving: ServingFlags,
    #[command(flatten, next_help_heading = "Computation")]
    pub computing: ComputingFlags,
    /// Compute everything in this precision as well, and report what --precision changes against it: KL divergence,
    /// agreement of the most probable token, and the difference of every metric with its paired standard error
    /// (precision.csv)
    #[arg(long, help_heading = "Computation", value_name = "NAME", value_parser = precisions())]
    pub against: Option<Precision>,
    #[command(flatten)]
    pub foreign: Foreign,
}

impl Args {
    /// What the run is asked to do.
    pub fn options(&self, global: &Global) -> Options {
        let options = self.variants.in_options(self.asked.options(global));
        let options = self.serving.in_options(self.writing.in_options(options));
        Options {
            models: self.models.models.clone(),
            code: self.code.code(),
            places: Places {
                out: self.out.clone(),
                resume: self.resume,
                reuse: self.reuse.clone(),
                log_samples: self.log_samples,
                no_texts: self.no_texts,
                ..options.places
            },
            computing: Computing {
                allow_difference: self.allow_difference,
                against: self.against,
                ..self.computing.computing()
            },
            ..options
        }
    }
}
