//! `zoo eval`: scores models on suites and writes the tables.

mod args;
mod find;
mod forecast;
mod foreign;
mod interrupted;
mod print;

use anyhow::Context;

use super::exit::run_error;
use super::{Global, bar};
use crate::base::stop::Stop;
use crate::run::{self, World};

pub use args::Args;
pub(super) use args::{at_least_one, parse_limit};
pub(super) use print::{Shown, print};

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    set_threads(args.threads)?;
    let options = args.options(global);
    let find = |name: &str| find::find(name, args, global).map_err(run_error);
    let stop = Stop::default();
    let world = World { find: &find, progress: &bar(global), stop: &stop };
    if args.dry_run {
        return forecast::print(&run::forecast(&options, &world)?);
    }
    interrupted::listen(&stop)?;
    let finished = run::evaluate(&options, &world).map_err(|error| interrupted::explained(error, args))?;
    print(&finished, args.shown, global)
}

/// Threads of everything that runs in parallel; all cores if `None`.
pub(super) fn set_threads(threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build_global().context("cannot set the number of threads")?;
    }
    Ok(())
}
