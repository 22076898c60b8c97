//! The flags of `zoo eval`.

use std::path::PathBuf;

use clap::builder::TypedValueParser;

use super::Shown;
use super::foreign::Foreign;
use crate::cli::build::Given;
use crate::cli::format::one_of;
use crate::cli::size::ByteSize;
use crate::cli::{Global, models};
use crate::evaluate::Overlong;
use crate::kernels::Precision;
use crate::model::Residence;
use crate::run::{Computing, Options, Places};
use crate::tasks::Limit;
use crate::tasks::protocol::DEFAULT_PROTOCOL;

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
  zoo eval smollm2-135m --suite mmlu --protocol lm-eval-0.4.13,original-mmlu --metrics acc_token";

/// Score models on suites and write the tables
///
/// Prompts, tokens, metrics and standard errors are those of lm-evaluation-harness 0.4.13. A run's folder gets
/// results.csv, comparison.csv, comparison.md, sanity.csv, run.yaml, one line per document in samples/, and
/// results.json in the harness's own form. Data and weights that are not here are listed with sizes and licences, and fetched,
/// data first. Scores are kept in ledger/ about every 20 seconds, so that a run that was interrupted goes on with --resume;
/// Ctrl-C says how.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Models: names of the registry (zoo list), folders in Hugging Face's layout, or .gguf files
    #[arg(required_unless_present = "config", value_name = "MODEL")]
    pub models: Vec<String>,
    /// Suites, groups or single tasks (zoo suites), separated by commas
    #[arg(
        short,
        long,
        required_unless_present = "config",
        value_delimiter = ',',
        visible_alias = "tasks",
        value_name = "SUITE"
    )]
    pub suite: Vec<String>,
    /// Repeat a finished run: its folder or run.yaml says the models, suites and flags that are not given here
    #[arg(long, value_name = "RUN")]
    pub config: Option<PathBuf>,
    /// Few-shot examples before each question [default: what the task file says]
    #[arg(short = 'f', long, alias = "num_fewshot", value_name = "N")]
    pub num_fewshot: Option<usize>,
    /// Only the first N documents of each task, or a part of them: 0.1, 10%
    #[arg(short = 'L', long, value_name = "N", value_parser = parse_limit)]
    pub limit: Option<Limit>,
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
    /// A folder of data sets in the hub's layout, read in place [default: $ZOO_HOME, see zoo pull]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A folder with task files of your own; may be given several times
    #[arg(long, alias = "include_path", value_name = "DIR")]
    pub include_path: Vec<PathBuf>,
    /// Weights to use for a registry name instead of its published sources
    #[arg(long, value_name = "PATH")]
    pub weights: Option<PathBuf>,
    /// Where to find a part of a model that has to be rebuilt first (zoo build); may be given several times
    #[arg(long, value_name = "NAME=PATH", conflicts_with = "weights")]
    pub from: Vec<Given>,
    /// Use only what is on this machine
    #[arg(long)]
    pub offline: bool,
    /// Go on without the tasks whose data cannot be had; every table says which, and groups over them have no value
    #[arg(long)]
    pub skip_missing_data: bool,
    /// Score weights even if they look like a difference from a base rather than a model
    #[arg(long)]
    pub allow_difference: bool,
    /// Whose rules to follow for prompts, special tokens, scored tokens and metrics; several are reported side by
    /// side (zoo suites --protocols)
    #[arg(long, value_delimiter = ',', default_value = DEFAULT_PROTOCOL, value_name = "NAME")]
    pub protocol: Vec<String>,
    /// Extra metrics for multiple-choice tasks: acc, acc_norm (by characters), acc_bytes,
    /// acc_token (by tokens), acc_mutual_info, exact_match, brier_score, f1, mcc
    #[arg(long, value_delimiter = ',', value_name = "METRIC")]
    pub metrics: Vec<String>,
    /// Write prompts as conversations, with the template of the model's card (or the checkpoint's own if it has
    /// none), or with the one named: card, checkpoint, both (with and without, side by side), a template of the
    /// checkpoint, one of zoo/prompts, or several of these separated by commas
    #[arg(
        long,
        alias = "apply_chat_template",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "default",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub apply_chat_template: Vec<String>,
    /// Whether few-shot examples are turns of the conversation rather than text in a single message [default: true if
    /// the template has turns]
    #[arg(
        long,
        alias = "fewshot_as_multiturn",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub fewshot_as_multiturn: Option<bool>,
    /// Text to put before every prompt; with a chat template, the system message
    #[arg(long, alias = "system_instruction", value_name = "TEXT")]
    pub system_instruction: Option<String>,
    /// Seed of the few-shot sampler
    #[arg(long, default_value_t = 1234, value_name = "N")]
    pub fewshot_seed: u32,
    /// Context length in tokens [default: the model's]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub max_length: Option<usize>,
    /// What to do with documents that do not fit into the context
    #[arg(long, default_value = "left", value_name = "HOW", value_parser = policies())]
    pub overlong: Overlong,
    /// Memory to use, such as 4GiB or 500MB; a larger model is read from the disk layer by layer, once per forward
    /// pass [default: what is free]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Distinct tokens in one forward pass [default: chosen by model size and memory]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub batch_tokens: Option<usize>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// Arithmetic of matrix products: exact (weights as they are stored, everything in f32), bf16 or int8
    #[arg(long, default_value = "exact", value_name = "NAME", value_parser = precisions())]
    pub precision: Precision,
    /// Compute everything in this precision as well, and report what --precision changes against it: KL divergence,
    /// agreement of the most probable token, and the difference of every metric with its paired standard error
    /// (precision.csv)
    #[arg(long, value_name = "NAME", value_parser = precisions())]
    pub against: Option<Precision>,
    /// Where layers are kept between forward passes [default: in memory if they fit]
    #[arg(long, value_name = "WHERE", value_parser = one_of([
        (Residence::Memory, "memory", "In memory, all of them"),
        (Residence::Disk, "disk", "On the disk, read once per pass"),
    ]))]
    pub layers: Option<Residence>,
    /// Implementation of matrix products: native, blas (OpenBLAS, exact only) or portable (no vector instructions)
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(["native", "blas", "portable"]))]
    pub matmul: Option<String>,
    #[command(flatten)]
    pub shown: Shown,
    /// Also write documents, prompts and answers in the reference harness's format (lm-eval/ in the run's folder)
    #[arg(long, alias = "log_samples")]
    pub log_samples: bool,
    /// Print what would be fetched and computed, how much memory it would take and about how long, then stop
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub foreign: Foreign,
}

fn policies() -> impl TypedValueParser<Value = Overlong> {
    let helps = [
        (Overlong::Left, "Cut on the left, BOS and description first, as the reference harness does"),
        (Overlong::DropShots, "Drop examples from the front until the prompt fits"),
        (Overlong::Skip, "Leave the document out"),
        (Overlong::Error, "Refuse the run"),
    ];
    one_of(helps.map(|(policy, help)| (policy, policy.name(), help)))
}

fn precisions() -> impl TypedValueParser<Value = Precision> {
    let helps = [
        (Precision::Exact, "Weights as they are stored, everything in f32"),
        (Precision::Bf16, "Weights and activations rounded to bf16, sums in f32"),
        (Precision::Int8, "Weights and activations as 8-bit integers in blocks of 32"),
    ];
    one_of(helps.map(|(precision, help)| (precision, precision.name(), help)))
}

impl Args {
    /// What the run is asked to do.
    pub fn options(&self, global: &Global) -> Options {
        Options {
            suite: self.suite.clone(),
            num_fewshot: self.num_fewshot,
            limit: self.limit,
            protocol: self.protocol.clone(),
            metrics: self.metrics.clone(),
            apply_chat_template: self.apply_chat_template.clone(),
            fewshot_as_multiturn: self.fewshot_as_multiturn,
            system_instruction: self.system_instruction.clone(),
            fewshot_seed: self.fewshot_seed,
            overlong: self.overlong,
            models: self.models.clone(),
            places: Places {
                out: self.out.clone(),
                resume: self.resume,
                reuse: self.reuse.clone(),
                data_dir: self.data_dir.clone(),
                include_path: self.include_path.clone(),
                own_cards: models::own_folder(global),
                skip_missing_data: self.skip_missing_data,
                log_samples: self.log_samples,
            },
            computing: Computing {
                allow_difference: self.allow_difference,
                max_length: self.max_length,
                memory: self.memory.map(|size| size.0),
                batch_tokens: self.batch_tokens,
                precision: self.precision,
                against: self.against,
                layers: self.layers,
                matmul: self.matmul.clone(),
            },
            ..Options::default()
        }
    }
}

/// Reads a whole number above 0.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("expected a whole number".to_owned()),
    }
}

/// Reads `100`, `0.1` or `10%`.
pub fn parse_limit(text: &str) -> Result<Limit, String> {
    let expected = "expected a number of documents (100), or a part of them below 1 (0.1, 10%)";
    let (number, is_percentage) = text.strip_suffix('%').map_or((text, false), |number| (number, true));
    match (number.trim().parse::<f64>(), is_percentage) {
        (Ok(per_cent), true) if per_cent > 0.0 && per_cent < 100.0 => Ok(Limit::Fraction(per_cent / 100.0)),
        (Ok(fraction), false) if fraction > 0.0 && fraction < 1.0 => Ok(Limit::Fraction(fraction)),
        (Ok(count), false) if count >= 1.0 && count.is_finite() => Ok(Limit::Count(count as usize)),
        _ => Err(expected.to_owned()),
    }
}
