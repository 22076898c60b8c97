//! `zoo show`: Show one model card.

use super::Global;

/// Show one model card.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<()> {
    Ok(())
}
