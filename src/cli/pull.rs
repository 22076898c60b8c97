//! `zoo pull`: Fetch a model or a suite's data.

use super::Global;

/// Fetch a model or a suite's data.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<()> {
    Ok(())
}
