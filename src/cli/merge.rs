//! `zoo merge`: puts the shards of a run together.

use std::path::PathBuf;

use super::eval::{Shown, print};
use super::flags::Folders;
use super::{Global, bar, models};
use crate::run::{Places, merge};

/// Put the shards of a run together
///
/// Shards are runs with --shard i/n, each of which has the documents whose number divided by n leaves i. All n have to be there, once,
/// and of one run: whatever its numbers depend on is compared, and what differs is named with both values. Their samples are then
/// graded as one, by the task files and data, which have to be here as they were; neither weights nor tokenizer are needed. The
/// files are byte for byte those of one run, but for times, and for ledger/, which has the lines of one run in the order of their keys,
/// for --reuse. merged.yaml has what each shard took.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo eval smollm2-135m --suite mmlu --shard 0/2 --out shards/0
  zoo eval smollm2-135m --suite mmlu --shard 1/2 --out shards/1
  zoo merge shards/0 shards/1 --out reports/mmlu
  zoo merge shards --out reports/mmlu")]
pub struct Args {
    /// The folders of the shards, or folders that hold them
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The folder of the merged run; a run that is already there is moved aside
    #[arg(short, long, alias = "output_path", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    shown: Shown,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let places = Places {
        out: Some(args.out.clone()),
        data_dir: args.folders.data_dir.clone(),
        include_path: args.folders.tasks.include_path.clone(),
        own_cards: models::own_folder(global),
        ..Places::default()
    };
    print(&merge(&args.runs, &places, &bar(global))?, args.shown, global)
}
