//! `zoo pull`: fetch a model, so that later verbs need no network.

use std::io::{self, Write};

use super::{Global, bar, models};
use crate::hub::{HubConfig, cached_model, fetch_model};

/// Fetch a model.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo pull smollm2-135m
  HF_TOKEN=hf_… zoo pull my-gated-model

The path of what was fetched goes to stdout. An interrupted transfer is resumed by the next call.
HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE are respected; ZOO_HOME is the cache folder.")]
pub struct Args {
    /// A registry id or alias
    model: String,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let card = models::find(&registry, &args.model)?;
    let config = HubConfig::from_env()?;
    if cached_model(card, &config).is_some() {
        models::note(global, &format!("{} is here already", card.id));
    }
    let location = fetch_model(card, &config, &bar(global))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", location.path().display())?;
    out.flush()?;
    Ok(())
}
