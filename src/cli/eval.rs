//! `zoo eval`: Score models on suites.

use super::Global;

/// Score models on suites.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<()> {
    Ok(())
}
