//! `zoo eval`: scores models on suites and writes the tables.

mod args;
mod foreign;
mod interrupted;
mod print;
mod repeat;

use anyhow::Context;

use super::supply::Supply;
use super::{Global, forecast};
use crate::base::stop::Stop;
use crate::run::{self, Options, read_repeated};

pub use args::Args;
pub(super) use args::{at_least_one, parse_limit};
pub(super) use print::{Shown, print};
pub(super) use repeat::repeated_run;

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    set_threads(args.threads)?;
    let options = Options {
        flags: repeat::flags(args)?,
        repeats: args.config.as_deref().map(read_repeated).transpose()?,
        ..args.options(global)
    };
    let stop = Stop::default();
    let supply = Supply {
        models: &args.models,
        weights: args.weights.as_ref(),
        from: &args.from,
        include_path: &args.include_path,
        offline: args.offline,
        stop: &stop,
        global,
    };
    if args.dry_run {
        return forecast::print(&supply.with(|world| run::forecast(&options, world))?, args.shown.format);
    }
    interrupted::listen(&stop, args)?;
    let finished = supply.with(|world| Ok(run::evaluate(&options, world)))?;
    print(&finished.map_err(|error| interrupted::explained(error, args))?, args.shown, global)
}

/// Threads of everything that runs in parallel; all cores if `None`.
pub(super) fn set_threads(threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build_global().context("cannot set the number of threads")?;
    }
    Ok(())
}
