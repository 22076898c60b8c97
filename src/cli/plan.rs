//! `zoo plan`: what a run would fetch, hold and take, before anything large is fetched.

use std::path::PathBuf;

use super::build::Given;
use super::eval::{at_least_one, parse_limit, set_threads};
use super::format::formats;
use super::size::ByteSize;
use super::supply::Supply;
use super::{Global, forecast, models};
use crate::base::stop::Stop;
use crate::kernels::Precision;
use crate::report::Format;
use crate::run::{self, Computing, Options, Places};
use crate::tasks::Limit;
use crate::tasks::protocol::DEFAULT_PROTOCOL;

/// Say what a run would fetch, hold and take
///
/// Weights are not needed: the model's card tells its shape. What is small is fetched, the tokenizer and the data of the suites,
/// to count tokens before and after shared beginnings are computed once; with --offline what is missing is said instead. Times
/// come from what zoo bench has measured on this machine, or from a measurement of about two seconds.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo plan vicuna-13b --suite mmlu --num-fewshot 5
  zoo plan llama-2-7b llama-2-13b --suite open-llm-v1 --memory 8GiB
  zoo plan vicuna-13b-v0 --suite mmlu --from llama-13b=/models/llama/13B
  zoo plan smollm2-135m --suite basics --format json")]
pub struct Args {
    /// Models: names of the registry (zoo list), folders in Hugging Face's layout, or .gguf files
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    /// Suites, groups or single tasks (zoo suites), separated by commas
    #[arg(short, long, required = true, value_delimiter = ',', value_name = "SUITE")]
    suite: Vec<String>,
    /// Examples before each question [default: what the task file says]
    #[arg(short = 'f', long, value_name = "N")]
    num_fewshot: Option<usize>,
    /// Only the first N documents of each task, or a fraction below 1 of them
    #[arg(short = 'L', long, value_name = "N", value_parser = parse_limit)]
    limit: Option<Limit>,
    /// By whose rules, separated by commas (zoo suites --protocols)
    #[arg(long, value_delimiter = ',', default_value = DEFAULT_PROTOCOL, value_name = "NAME")]
    protocol: Vec<String>,
    /// Write prompts as conversations, as in zoo eval
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "default",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    apply_chat_template: Vec<String>,
    /// Positions of the model [default: the configuration's]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_length: Option<usize>,
    /// Memory that may be used, as 4GiB or 500MB [default: what is free]
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// What is multiplied: exact, bf16 or int8
    #[arg(long, default_value = "exact", value_name = "NAME", value_parser = str::parse::<Precision>)]
    precision: Precision,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    threads: Option<usize>,
    /// A part of a model that has to be rebuilt first, and where it is (zoo build); may be given several times
    #[arg(long, value_name = "NAME=PATH")]
    from: Vec<Given>,
    /// Data sets in the hub's layout, used in place [default: $ZOO_HOME, see zoo pull]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A folder with task files of your own; may be given several times
    #[arg(long, value_name = "DIR")]
    include_path: Vec<PathBuf>,
    /// Use only what is on this machine
    #[arg(long)]
    offline: bool,
    /// How to print
    #[arg(long, default_value = "table", value_parser = formats([
        (Format::Table, "A page for each model"),
        (Format::Csv, "Comma-separated values, one quantity a line"),
        (Format::Json, "An array of objects, one for each quantity"),
    ]))]
    format: Format,
}

impl Args {
    fn options(&self, global: &Global) -> Options {
        Options {
            suite: self.suite.clone(),
            num_fewshot: self.num_fewshot,
            limit: self.limit,
            protocol: self.protocol.clone(),
            apply_chat_template: self.apply_chat_template.clone(),
            models: self.models.clone(),
            places: Places {
                data_dir: self.data_dir.clone(),
                include_path: self.include_path.clone(),
                own_cards: models::own_folder(global),
                ..Places::default()
            },
            computing: Computing {
                max_length: self.max_length,
                memory: self.memory.map(|size| size.0),
                precision: self.precision,
                ..Computing::default()
            },
            ..Options::default()
        }
    }
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    set_threads(args.threads)?;
    let options = args.options(global);
    let supply = Supply {
        models: &args.models,
        weights: None,
        from: &args.from,
        include_path: &args.include_path,
        offline: args.offline,
        stop: &Stop::default(),
        global,
    };
    forecast::print(&supply.with(|world| run::forecast(&options, world))?, args.format)
}
