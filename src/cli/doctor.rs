//! `zoo doctor`: Say what this machine can do.

use super::Global;

/// Say what this machine can do.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<()> {
    Ok(())
}
