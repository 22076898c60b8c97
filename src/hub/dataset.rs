//! Data sets: the data files of the named configurations and the README.md that maps them to splits.
//!
//! The card gives each configuration's files as patterns. Without it, files that lie in a folder of the
//! configuration's name, or are named after it, are its files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::cache::{self, Manifest};
use super::data_card::{CARD_FILE, DatasetCard, DatasetConfig, MAX_CARD};
use super::download::Filling;
use super::http::Http;
use super::listing::{RemoteFile, Repo, RepoKind};
use super::missing::Missing;
use super::{HubConfig, HubError, names};
use crate::base::glob::Glob;
use crate::base::progress::{Progress, Silent};

/// Formats that can be read.
const ENDINGS: [&str; 5] = [".parquet", ".jsonl", ".json", ".csv", ".tsv"];
/// Most configurations that an error names.
const SHOWN: usize = 12;
/// Metadata in formats that are also data.
const NO_DATA: [&str; 2] = ["dataset_info.json", "dataset_infos.json"];

/// A data set's folder if all files of this configuration are in the cache; never uses the network.
/// `None` as configuration is the data set's default one.
pub fn cached_dataset(repo: &str, config_name: Option<&str>, config: &HubConfig) -> Option<PathBuf> {
    if !names::is_repo(repo) {
        return None;
    }
    let folder = config.home.join("datasets").join(repo);
    let manifest = Manifest::load(&folder)?;
    is_complete(&manifest, &folder, config_name).then(|| folder.clone())
}

/// Whether a configuration's files are there, and the card that says which of them are which split.
fn is_complete(manifest: &Manifest, folder: &Path, config_name: Option<&str>) -> bool {
    let has_card = !manifest.files.contains_key(CARD_FILE) || manifest.has(folder, CARD_FILE).is_some();
    has_card && manifest.complete(folder, set(config_name)).is_some()
}

/// Whether fetching this configuration into the cache at `home` was begun and not finished, so that some of its files may not be
/// there.
pub fn is_partial_dataset(repo: &str, config_name: Option<&str>, home: &Path) -> bool {
    let folder = home.join("datasets").join(repo);
    let begun = |list: &Manifest| list.sets.contains_key(set(config_name));
    let list = Manifest::load(&folder).filter(|list| names::is_repo(repo) && begun(list));
    list.is_some_and(|list| !is_complete(&list, &folder, config_name))
}

/// Fetches the files of these configurations of `repo` (`organisation/name`) that are not cached yet
/// and returns the data set's folder, laid out like the repository. Everything in the folder is of one
/// commit: the one that was current when it was first filled.
pub fn fetch_dataset(
    repo: &str,
    config_names: &[Option<&str>],
    config: &HubConfig,
    progress: &dyn Progress,
) -> Result<PathBuf, HubError> {
    checked(repo)?;
    let folder = config.home.join("datasets").join(repo);
    let all_cached = || config_names.iter().all(|name| cached_dataset(repo, *name, config).is_some());
    if all_cached() {
        return Ok(folder);
    }
    listed(repo, config, progress, |filling, files, card| {
        // Another process may have fetched it while this one waited.
        if !all_cached() {
            for config_name in config_names {
                filling.fetch_set(set(*config_name), &choose(repo, card, files, *config_name)?)?;
            }
        }
        Ok(())
    })?;
    Ok(folder)
}

/// How much of these configurations would be fetched. Lists are asked for, and the data set's README, but no data.
///
/// # Errors
/// Whatever keeps the hub from saying, and configurations that the data set does not have.
pub fn missing_of_dataset(
    repo: &str,
    config_names: &[Option<&str>],
    config: &HubConfig,
) -> Result<Missing, HubError> {
    checked(repo)?;
    listed(repo, config, &Silent, |filling, files, card| {
        let mut missing =
            Missing { license: card.license.clone(), ..Missing::nothing(format!("hub data set {repo}")) };
        let mut counted = BTreeSet::new();
        for config_name in config_names {
            for file in choose(repo, card, files, *config_name)? {
                if counted.insert(&file.path) {
                    filling.count(file, &mut missing);
                }
            }
        }
        Ok(missing)
    })
}

/// Refuses what is no repository's name.
fn checked(repo: &str) -> Result<(), HubError> {
    if names::is_repo(repo) {
        return Ok(());
    }
    Err(HubError::BadRepoName { repo: names::printable(repo, 100) })
}

/// Does some work on the folder of a data set, which this process alone fills, with the list of the hub's files and what its card says.
fn listed<T>(
    repo: &str,
    config: &HubConfig,
    progress: &dyn Progress,
    work: impl FnOnce(&mut Filling<'_>, &[RemoteFile], &DatasetCard) -> Result<T, HubError>,
) -> Result<T, HubError> {
    if config.offline {
        return Err(HubError::Offline { what: format!("data set {repo}") });
    }
    let folder = config.home.join("datasets").join(repo);
    let http = Http::new(config)?;
    let remote = Repo { kind: RepoKind::Dataset, id: repo, revision: "main" };
    let _lock = cache::lock(&folder)?;
    let mut manifest = Manifest::load(&folder).unwrap_or_default();
    let commit = match &manifest.commit {
        Some(commit) => commit.clone(),
        None => remote.commit(&http)?,
    };
    manifest.source = format!("hub data set {repo}");
    manifest.commit = Some(commit.clone());
    let files = remote.files(&http, &commit)?;
    let mut filling =
        Filling { http: &http, repo: &remote, commit: &commit, folder: &folder, manifest, progress };
    let mut card = DatasetCard::default();
    if let Some(file) = files.iter().find(|file| file.path == CARD_FILE && file.size <= MAX_CARD) {
        filling.fetch(file)?;
        cache::refuse_changed_file(&folder.join(CARD_FILE))?;
        card = DatasetCard::read(&folder)?;
    }
    work(&mut filling, &files, &card)
}

/// The name under which a configuration's files are listed.
fn set(config_name: Option<&str>) -> &str {
    config_name.unwrap_or_default()
}

/// The data files of a configuration; at least one.
fn choose<'f>(
    repo: &str,
    card: &DatasetCard,
    files: &'f [RemoteFile],
    config_name: Option<&str>,
) -> Result<Vec<&'f RemoteFile>, HubError> {
    let is_data = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let unpacked = path.strip_suffix(".gz").or_else(|| path.strip_suffix(".zst")).unwrap_or(path);
        ENDINGS.iter().any(|ending| unpacked.ends_with(ending)) && !NO_DATA.contains(&name)
    };
    let data: Vec<&RemoteFile> = files.iter().filter(|file| is_data(&file.path)).collect();
    let patterns = card.find(config_name).map_or_else(Vec::new, DatasetConfig::patterns);
    let read = |pattern: &String| {
        Glob::new(pattern).map_err(|bad| {
            let what = format!("data set {repo}, {CARD_FILE}");
            HubError::bad_answer(&what, "patterns of file names under data_files", bad.to_string())
        })
    };
    let globs: Vec<Glob> = patterns.iter().map(read).collect::<Result<_, _>>()?;
    let by_pattern = |file: &&&RemoteFile| globs.iter().any(|glob| glob.fits(&file.path));
    let mut chosen: Vec<&RemoteFile> = data.iter().filter(by_pattern).copied().collect();
    if chosen.is_empty() {
        chosen = match config_name {
            None => data.clone(),
            Some(name) => data.iter().filter(|file| is_named_after(&file.path, name)).copied().collect(),
        };
    }
    if chosen.is_empty() && matches!(config_name, Some("default")) && card.configs.is_empty() {
        chosen.clone_from(&data);
    }
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    if data.is_empty() {
        return Err(HubError::NothingToFetch {
            repo: repo.to_owned(),
            expected: format!("data files ({})", ENDINGS.join(", ")),
            found: format!("{} others", files.len()),
        });
    }
    let known: Vec<&str> = card.configs.iter().map(|config| config.name.as_str()).collect();
    let has = match known.split_at_checked(SHOWN) {
        _ if known.is_empty() => "none of its files is named after it".to_owned(),
        Some((first, rest)) if !rest.is_empty() => {
            format!("it has {} and {} more", first.join(", "), rest.len())
        }
        _ => format!("it has {}", known.join(", ")),
    };
    let wanted = config_name.unwrap_or("default");
    Err(HubError::NoSource(format!("data set {repo} has no configuration {wanted:?}; {has}")))
}

/// Whether a path has a folder called `config_name`, or its file name is that or starts with it.
fn is_named_after(path: &str, config_name: &str) -> bool {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or(path);
    let rest = file.strip_prefix(config_name);
    parts.any(|folder| folder == config_name) || rest.is_some_and(|rest| rest.starts_with(['-', '_', '.']))
}

#[cfg(test)]
mod tests {
    use super::super::digest::Promise;
    use super::*;

    fn files(paths: &[&str]) -> Vec<RemoteFile> {
        let file = |path: &&str| RemoteFile {
            path: (*path).to_owned(),
            size: 1,
            digest: Promise::Git("0".repeat(40)),
        };
        paths.iter().map(file).collect()
    }

    fn chosen(readme: &str, paths: &[&str], config_name: Option<&str>) -> Result<Vec<String>, String> {
        let files = files(paths);
        let card = DatasetCard::parse(CARD_FILE, readme).map_err(|error| error.to_string())?;
        let chosen = choose("o/n", &card, &files, config_name).map_err(|error| error.to_string())?;
        Ok(chosen.into_iter().map(|file| file.path.clone()).collect())
    }

    const README: &str = "---
license: mit
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: [main/test-*, more/**/test.jsonl]
- config_name: other
  data_dir: other
- config_name: third
  data_files: third.csv
---
# Text
";
    const PATHS: [&str; 7] = [
        "README.md",
        "main/extra.parquet",
        "main/test-0.parquet",
        "main/train-0.parquet",
        "more/a/b/test.jsonl",
        "other/x.csv",
        "third.csv",
    ];

    #[test]
    fn the_readme_names_the_files() {
        let main = ["main/test-0.parquet", "main/train-0.parquet", "more/a/b/test.jsonl"];
        assert_eq!(chosen(README, &PATHS, Some("main")).unwrap(), main);
        assert_eq!(chosen(README, &PATHS, Some("other")).unwrap(), ["other/x.csv"]);
        assert_eq!(chosen(README, &PATHS, Some("third")).unwrap(), ["third.csv"]);
        let error = chosen(README, &PATHS, Some("fourth")).unwrap_err();
        assert!(error.contains("fourth") && error.contains("main, other, third"), "{error}");
    }

    #[test]
    fn no_configuration_means_the_default_one_or_everything() {
        assert_eq!(chosen(README, &PATHS, None).unwrap().len(), 6);
        let default = README.replace("- config_name: third", "- config_name: third\n  default: true");
        assert_eq!(chosen(&default, &PATHS, None).unwrap(), ["third.csv"]);
        let one = "---\nconfigs:\n- config_name: x\n  data_files: third.csv\n---\n";
        assert_eq!(chosen(one, &PATHS, None).unwrap(), ["third.csv"]);
    }

    #[test]
    fn without_a_readme_folders_and_names_decide() {
        for readme in ["", "# no front matter", "---\nconfigs: 3\n---\n", "---\n: [\n---\n"] {
            assert_eq!(chosen(readme, &PATHS, Some("other")).unwrap(), ["other/x.csv"]);
            assert_eq!(
                chosen(readme, &["data/a_test.csv", "data/ab.csv"], Some("a")).unwrap(),
                ["data/a_test.csv"]
            );
            assert!(chosen(readme, &PATHS, Some("fourth")).unwrap_err().contains("none of its files"));
        }
        assert_eq!(
            chosen("", &["data/x.csv", "dataset_infos.json"], Some("default")).unwrap(),
            ["data/x.csv"]
        );
        assert!(chosen("", &["script.py", "README.md"], None).unwrap_err().contains(".parquet"));
    }
}
