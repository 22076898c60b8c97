//! The models that a command line names, found on the disk, fetched or built.

use anyhow::bail;

use super::Args;
use crate::cli::build::{Given, given_for};
use crate::cli::exit::Usage;
use crate::cli::{Global, models, source};
use crate::registry::{Card, Registry};
use crate::run::LocatedModel;

/// Resolves `name`: an existing path, or a model of the registry, which is fetched or built if need be.
pub fn find(name: &str, args: &Args, global: &Global) -> anyhow::Result<LocatedModel> {
    if args.weights.is_some() && args.models.len() > 1 {
        bail!(Usage("--weights goes with a single model".to_owned()));
    }
    if !args.from.is_empty() {
        refuse_unused_parts(args, &models::registry(global)?)?;
    }
    source::find_with(name, global, |card, registry| {
        if let Some(path) = &args.weights {
            return Ok(path.clone());
        }
        // A stray part is refused by name where it can only be meant for this model.
        let several = args.models.len() > 1;
        let own = several.then(|| given_for(card, registry, &args.from)).transpose()?;
        source::locate(card, registry, own.as_deref().unwrap_or(&args.from), global)
    })
}

/// Refuses a `--from` that is part of none of the models.
fn refuse_unused_parts(args: &Args, registry: &Registry) -> anyhow::Result<()> {
    let cards: Vec<&Card> = args.models.iter().filter_map(|name| registry.find(name).ok()).collect();
    let used: Vec<Vec<Given>> =
        cards.iter().map(|card| given_for(card, registry, &args.from)).collect::<Result<_, _>>()?;
    match args.from.iter().find(|given| !used.iter().any(|used| used.contains(given))) {
        Some(Given { name, .. }) => {
            let models = args.models.join(", ");
            bail!(Usage(format!("--from {name}=…: nothing that {models} is built from is called {name}")))
        }
        None => Ok(()),
    }
}
