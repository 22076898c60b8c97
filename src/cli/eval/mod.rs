//! `zoo eval`: scores models on suites and writes the tables.

mod args;
mod foreign;
mod interrupted;
mod print;
mod repeat;

use super::flags::ShardFlag;
use super::supply::Supply;
use super::{Global, forecast, models};
use crate::base::stop::Stop;
use crate::run::{self, Options, read_repeated};

pub use args::Args;
pub(super) use print::{Shown, print};
pub(super) use repeat::repeated_run;

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    args.computing.threads.apply()?;
    let shard = args.shard.map(ShardFlag::shard).transpose()?;
    if let Some((shard, Some(by))) = &shard {
        models::note(global, &format!("shard {shard}, by {by}"));
    }
    let options = Options {
        shard: shard.map(|(shard, _)| shard),
        flags: repeat::flags(args)?,
        repeats: args.config.as_deref().map(read_repeated).transpose()?,
        ..args.options(global)
    };
    let stop = Stop::default();
    let supply = Supply {
        models: &args.models.models,
        sources: &args.models.sources,
        tasks: &args.asked.folders.tasks,
        stop: &stop,
        global,
    };
    if args.dry_run {
        return forecast::print(&supply.with(|world| run::forecast(&options, world))?, args.shown.format);
    }
    interrupted::listen_for(&stop, args)?;
    let finished = supply.with(|world| Ok(run::evaluate(&options, world)))?;
    print(&finished.map_err(|error| interrupted::explained(error, args))?, args.shown, global)
}
