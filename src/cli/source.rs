//! A model as the user names it, found on disk or fetched.

use std::path::{MAIN_SEPARATOR, PathBuf};

use anyhow::{Context, bail};

use super::build::{Given, built, find_or_build};
use super::exit::Usage;
use super::{Global, bar, models};
use crate::forms;
use crate::hub::{self, HubConfig};
use crate::registry::{Card, Registry, ReleaseKind, Source};
pub(crate) use crate::run::name_of;
use crate::weights::{TensorSource, is_weights};

/// Where a model is.
pub(crate) struct Named {
    /// The name in tables: the card's id, or the name of the folder or file.
    pub name: String,
    /// What other programs can find it by: the hub's name, or the path.
    pub reference: String,
    /// Folder or file.
    pub path: PathBuf,
}

impl Named {
    /// Finds `name`: an existing path, or a model of the registry, which is fetched if need be.
    pub fn find(name: &str, global: &Global) -> anyhow::Result<Self> {
        if let Some(path) = existing_path(name)? {
            return Ok(Self { name: name_of(&path), reference: name.to_owned(), path });
        }
        let registry = models::registry(global)?;
        let card = models::find(&registry, name)?;
        let path = locate(card, &registry, &[], global)?;
        let reference = hub_name(card).unwrap_or_else(|| path.display().to_string());
        Ok(Self { name: card.id.clone(), reference, path })
    }

    /// Its tensors under Hugging Face's names; nothing is read before it is asked for. A configuration is not needed.
    pub fn tensors(&self) -> anyhow::Result<Box<dyn TensorSource>> {
        Ok(forms::open(&self.path)?.tensors)
    }
}

/// The path, if the name is one; an error if it can only be one and does not exist.
pub(crate) fn existing_path(name: &str) -> anyhow::Result<Option<PathBuf>> {
    let path = PathBuf::from(name);
    if path.exists() {
        return Ok(Some(path));
    }
    if name.contains(MAIN_SEPARATOR) || is_weights(&path) {
        let expected = "expected a model of the registry (zoo list), a folder or a file of weights";
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
    global: &Global,
) -> anyhow::Result<PathBuf> {
    let config = HubConfig::from_env()?;
    let is_whole = card.release.kind == ReleaseKind::Full;
    if !given.is_empty() || (!is_whole && card.to_rebuild().is_some()) {
        return find_or_build(card, registry, given, &config, global);
    }
    if let Some(folder) = built(card, &config) {
        return Ok(folder);
    }
    if let Some(bring) = card.to_bring() {
        bail!(Usage(format!("{}: {bring}", card.id)));
    }
    hub::fetch_model(card, &config, &bar(global))
        .with_context(|| format!("cannot get the weights of {}", card.id))
}

/// The repository that a card's weights come from.
fn hub_name(card: &Card) -> Option<String> {
    card.sources.iter().find_map(|source| match source {
        Source::Hub(hub) => Some(hub.repo.clone()),
        _ => None,
    })
}
