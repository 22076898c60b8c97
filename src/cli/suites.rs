//! `zoo suites`: List the suites.

use super::Global;

/// List the suites.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<()> {
    Ok(())
}
