//! A model as the user names it, found on disk or fetched.

use std::path::{MAIN_SEPARATOR, PathBuf};

use anyhow::{Context, bail};

use super::build::{Given, built, find_or_build};
use super::exit::Usage;
use super::{Global, bar, models};
use crate::forms;
use crate::hub::{self, HubConfig};
use crate::registry::{Card, Registry, ReleaseKind, Source};
use crate::remote::Address;
use crate::run::{LocatedModel, name_of};
use crate::weights::{TensorSource, is_weights};

/// Finds `name`: an existing path, or a model of the registry, which is fetched or built if need be.
pub(crate) fn find(name: &str, global: &Global) -> anyhow::Result<LocatedModel> {
    find_with(name, global, |card, registry| locate(card, registry, &[], &HubConfig::from_env()?, global))
}

/// Finds `name`: an existing path, or a model of the registry, whose folder or file `place` says.
pub(crate) fn find_with(
    name: &str,
    global: &Global,
    place: impl FnOnce(&Card, &Registry) -> anyhow::Result<PathBuf>,
) -> anyhow::Result<LocatedModel> {
    if let Some(path) = existing_path(name)? {
        hub::refuse_changed(&path)?;
        return Ok(LocatedModel { name: name_of(&path), card: None, path });
    }
    let registry = models::registry(global)?;
    let card = models::find_or_make(&registry, name)?;
    let path = match place(&card, &registry) {
        Err(error) if name.contains('/') => {
            return Err(
                error.context(format!("{name}: no such file or folder, and not to be had from the hub"))
            );
        }
        path => path?,
    };
    Ok(LocatedModel { name: card.id.clone(), path, card: Some(card.into_owned()) })
}

/// The tensors of a model under Hugging Face's names; nothing is read before it is asked for. A configuration is not needed.
pub(crate) fn tensors(model: &LocatedModel) -> anyhow::Result<Box<dyn TensorSource>> {
    Ok(forms::open(&model.path)?.tensors)
}

/// The path, if the name is one; an error if it can only be one and does not exist.
pub(crate) fn existing_path(name: &str) -> anyhow::Result<Option<PathBuf>> {
    if Address::is_one(name) {
        bail!(Usage(format!("{name}: a served model is asked by zoo eval; this needs the weights")));
    }
    let path = PathBuf::from(name);
    if path.exists() {
        return Ok(Some(hub::snapshot(&path)?.unwrap_or(path)));
    }
    if is_weights(&path) || (name.contains(MAIN_SEPARATOR) && Card::of_hub(name).is_none()) {
        let expected =
            "expected a model of the registry (zoo list), org/name of the hub, a folder or a file of weights";
        bail!(Usage(format!("{name}: no such file or folder; {expected}")));
    }
    Ok(None)
}

/// The weights of a card: rebuilt if only parts of it were released or if parts are `given`, else from the cache or
/// the hub.
pub(crate) fn locate(
    card: &Card,
    registry: &Registry,
    given: &[Given],
    config: &HubConfig,
    global: &Global,
) -> anyhow::Result<PathBuf> {
    let is_whole = card.release.kind == ReleaseKind::Full;
    if !given.is_empty() || (!is_whole && card.to_rebuild().is_some()) {
        return find_or_build(card, registry, given, config, global);
    }
    if let Some(folder) = built(card, config) {
        return Ok(folder);
    }
    if let Some(bring) = card.to_bring() {
        bail!(Usage(format!("{}: {bring}", card.id)));
    }
    hub::fetch_model(card, config, &bar(global))
        .with_context(|| format!("cannot get the weights of {}", card.id))
}

/// What other programs can find a model by that was found under `name`: the hub's name, or the path.
pub(crate) fn reference(model: &LocatedModel, name: &str) -> String {
    let Some(card) = &model.card else { return name.to_owned() };
    let repo = card.sources.iter().find_map(|source| match source {
        Source::Hub(hub) => Some(hub.repo.clone()),
        _ => None,
    });
    repo.unwrap_or_else(|| model.path.display().to_string())
}
