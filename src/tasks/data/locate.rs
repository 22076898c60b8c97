//! Files that hold a split of a data set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::json::row_error;
use super::kwargs::Kwargs;
use super::{DataStore, DatasetRef};
use crate::base::glob::{BadPattern, Glob};
use crate::hub::{CARD_FILE, DatasetCard, is_partial_dataset, refuse_changed_file};
use crate::tasks::embedded::FILES;
use crate::tasks::error::TaskError;
use crate::tasks::folder::files_below;
use crate::tasks::known::known_dataset;
use crate::tasks::schema::Location;

/// The kinds of files that can be read, in order of preference.
const ENDINGS: [&str; 5] = ["parquet", "jsonl", "json", "csv", "tsv"];

/// The endings of packed files.
pub(super) const PACKED: [&str; 2] = [".gz", ".zst"];

/// A file that holds documents of a split, or some of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Its name below the folder of the data set.
    pub name: String,
    /// Where it is.
    pub at: Location,
}

/// The files of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedSplit {
    /// The files, in the order of the patterns that name them, and of their names.
    pub files: Vec<DataFile>,
    /// Where they are: a folder, or `built in`.
    pub place: String,
}

/// A folder of a data set: its card and its files.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    card: DatasetCard,
    files: Vec<String>,
}

impl Folder {
    pub(super) fn read(path: &Path) -> Result<Self, TaskError> {
        let files = files_below(path, is_data);
        let files = files.map_err(|source| TaskError::Io { file: path.display().to_string(), source })?;
        // It says which files are which split: one of the cache has to be the one that was fetched.
        refuse_changed_file(&path.join(CARD_FILE))
            .map_err(|error| row_error(path, (None, error.to_string())))?;
        Ok(Self { path: path.to_owned(), card: DatasetCard::read(path)?, files })
    }

    /// The files that `dataset_kwargs` name for a split, or those by the card and by names.
    fn chosen(
        &self,
        config: Option<&str>,
        kwargs: &Kwargs<'_>,
        split: &str,
    ) -> Result<Vec<DataFile>, String> {
        let below = match kwargs.data_dir.trim_matches('/').trim_start_matches("./") {
            "" | "." => String::new(),
            folder => format!("{folder}/"),
        };
        if kwargs.data_files.is_some() {
            let Some(patterns) = kwargs.patterns(split) else {
                return Err(format!("dataset_kwargs.data_files: names nothing for the split {split:?}"));
            };
            let patterns: Vec<String> = patterns
                .iter()
                .map(|pattern| format!("{below}{}", pattern.trim_start_matches("./")))
                .collect();
            let files = self.matching(&patterns).map_err(|bad| bad.to_string())?;
            return match files.is_empty() {
                true => Err(format!("no file is called {}", patterns.join(", "))),
                false => Ok(files),
            };
        }
        if !below.is_empty() {
            return self
                .by_name(&[below], split)?
                .ok_or_else(|| format!("no file for this split in {}", kwargs.data_dir));
        }
        self.split(config, split)
    }

    /// The files of a split, or what the folder has instead.
    fn split(&self, config: Option<&str>, split: &str) -> Result<Vec<DataFile>, String> {
        let mut note = "no file for this split".to_owned();
        let configs = &self.card.configs;
        match self.card.find(config) {
            Some(selected) => match selected.splits.iter().find(|(name, _)| name == split) {
                Some((_, patterns)) => {
                    let files = self.matching(patterns).map_err(|bad| bad.to_string())?;
                    if !files.is_empty() {
                        return complete(files);
                    }
                    note = format!("its card names {}, no such file", patterns.join(", "));
                }
                None if !selected.splits.is_empty() => {
                    let known: Vec<&str> = selected.splits.iter().map(|(name, _)| name.as_str()).collect();
                    note = format!("config {:?} has the splits {}", selected.name, known.join(", "));
                }
                None => {}
            },
            None if !configs.is_empty() => {
                let known: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
                note = format!("its card has the configs {}", known.join(", "));
            }
            None => {}
        }
        self.by_name(&folders(config), split)?.ok_or(note)
    }

    /// The files of some folders that are called after a split.
    fn by_name(&self, folders: &[String], split: &str) -> Result<Option<Vec<DataFile>>, String> {
        for folder in folders {
            let sharded = [format!("{folder}{split}-*.parquet"), format!("{folder}{split}-*")];
            let plain = ENDINGS.map(|ending| format!("{folder}{split}.{ending}"));
            let packed = ENDINGS.map(|ending| format!("{folder}{split}.{ending}.{{gz,zst}}"));
            for pattern in sharded.into_iter().chain(plain).chain(packed) {
                let files = self.matching(&[pattern]).map_err(|bad| bad.to_string())?;
                if !files.is_empty() {
                    return complete(files).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// The files that some patterns name, pattern by pattern, as `datasets` has them: in another order documents would have
    /// other numbers, and a file that two patterns name comes twice.
    fn matching(&self, patterns: &[String]) -> Result<Vec<DataFile>, BadPattern> {
        let globs: Vec<Glob> = patterns.iter().map(|text| Glob::new(text)).collect::<Result<_, _>>()?;
        let named = globs.iter().flat_map(|glob| self.files.iter().filter(|name| glob.fits(name)));
        Ok(named
            .map(|name| DataFile { name: name.clone(), at: Location::Disk(self.path.join(name)) })
            .collect())
    }
}

/// Whether a file of a data set may hold its documents.
fn is_data(name: &str) -> bool {
    let (_, file) = name.rsplit_once('/').unwrap_or(("", name));
    let ending = unpacked(file).rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
        && !file.starts_with('.')
        && !file.ends_with("dataset_infos.json")
}

/// The name of a file without the ending of a packed one.
pub(super) fn unpacked(name: &str) -> &str {
    PACKED.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

/// The folders, each with a closing `/`, where files of a configuration may lie without a card.
fn folders(config: Option<&str>) -> Vec<String> {
    match config {
        None | Some("default") => ["default/", "data/", ""].map(str::to_owned).to_vec(),
        Some(name) => vec![format!("{name}/"), format!("data/{name}/")],
    }
}

/// Refuses a split of which some shards (`-00000-of-00002`) are missing.
fn complete(files: Vec<DataFile>) -> Result<Vec<DataFile>, String> {
    let mut series: BTreeMap<(&str, usize), BTreeSet<&str>> = BTreeMap::new();
    for file in &files {
        if let Some(shard) = shard(&file.name) {
            series.entry(shard).or_default().insert(&file.name);
        }
    }
    let gap = series.iter().find(|((_, total), found)| *total != found.len());
    let gap =
        gap.map(|((name, total), found)| format!("{} of {total} files of this split, {name}-…", found.len()));
    gap.map_or(Ok(files), Err)
}

/// The series that a file is a shard of, by its name, and how many files it has. What older libraries put after the numbers
/// belongs to the single file.
fn shard(name: &str) -> Option<(&str, usize)> {
    let (before, after) = name.rsplit_once("-of-")?;
    let total = after.split(['-', '.']).next()?.parse().ok()?;
    let (series, number) = before.rsplit_once('-')?;
    number.parse::<usize>().ok().map(|_| (series, total))
}

pub(super) fn locate(
    store: &DataStore,
    dataset: &DatasetRef<'_>,
    split: &str,
) -> Result<LocatedSplit, TaskError> {
    let mut searched = Vec::new();
    let missing = |searched: Vec<String>, advice: String| TaskError::MissingData {
        dataset: dataset.path.to_owned(),
        config: dataset.name.map(str::to_owned),
        split: split.into(),
        searched,
        advice: advice.into(),
    };
    let kwargs = Kwargs::of(dataset)?;
    if ["json", "csv", "parquet"].contains(&dataset.path) {
        return own_files(store, dataset, &kwargs, split, &mut searched)?.ok_or_else(|| {
            missing(searched, "name the files of each split in dataset_kwargs.data_files".into())
        });
    }
    let local = dataset.path.starts_with('.') || Path::new(dataset.path).is_absolute();
    let candidates: Vec<PathBuf> = if local {
        bases(dataset).iter().map(|base| base.join(dataset.path)).collect()
    } else if plain_name(dataset.path) {
        store.roots.iter().map(|root| root.join(dataset.path)).collect()
    } else {
        let advice = "dataset_path must be `org/name` on a hub, or a folder that begins with `.` or `/`";
        return Err(missing(searched, advice.into()));
    };
    for candidate in candidates {
        let place = candidate.display().to_string();
        if !candidate.is_dir() {
            searched.push(format!("{place}: no such folder"));
            continue;
        }
        // Some files of a set may be a split that looks whole.
        let is_cache = store.home.as_ref().is_some_and(|home| candidate.starts_with(home));
        let home = store.home.as_deref().filter(|_| is_cache && !local);
        if home.is_some_and(|home| is_partial_dataset(dataset.path, dataset.name, home)) {
            searched.push(format!("{place}: fetching it was begun and not finished"));
            continue;
        }
        match store.folder(&candidate)?.chosen(dataset.name, &kwargs, split) {
            Ok(files) => return Ok(LocatedSplit { files, place }),
            Err(note) => searched.push(format!("{place}: {note}")),
        }
    }
    if let Some(located) = built_in(dataset, split).filter(|_| kwargs.data_files.is_none()) {
        return Ok(located);
    }
    searched.push("the data sets built into zoo: not among them".into());
    let brought = known_dataset(dataset.path).and_then(|known| known.bring.as_deref());
    let advice = if let Some(from) = brought {
        format!(
            "zoo does not fetch this one: take {from}, and name with --data-dir the folder that holds {}",
            dataset.path
        )
    } else if local {
        "put the data into this folder, as <config>/<split>.parquet (or jsonl, json, csv, tsv)".to_owned()
    } else {
        format!(
            "run `zoo pull suite:{}`, or name with --data-dir the folder that holds {}",
            dataset.task, dataset.path
        )
    };
    Err(missing(searched, advice))
}

/// Whether a name can only lead downwards: `name` or `org/name` of plain characters.
fn plain_name(path: &str) -> bool {
    let part = |part: &str| {
        !part.starts_with('.')
            && !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    path.split('/').count() <= 2 && path.split('/').all(part)
}

/// The folders that relative paths start from: that of the task file, then the working directory.
fn bases(dataset: &DatasetRef<'_>) -> Vec<PathBuf> {
    dataset.folder.into_iter().map(Path::to_owned).chain([PathBuf::new()]).collect()
}

fn built_in(dataset: &DatasetRef<'_>, split: &str) -> Option<LocatedSplit> {
    let name = format!("{}/{split}.jsonl", dataset.name.unwrap_or("default"));
    let path = format!("data/{}/{name}", dataset.path);
    FILES.get(&path)?;
    let file = DataFile { name, at: Location::Embedded(path) };
    Some(LocatedSplit { files: vec![file], place: "built in".into() })
}

/// Files that the task file names itself, or those of its `data_dir` that are called after the split.
fn own_files(
    store: &DataStore,
    dataset: &DatasetRef<'_>,
    kwargs: &Kwargs<'_>,
    split: &str,
    searched: &mut Vec<String>,
) -> Result<Option<LocatedSplit>, TaskError> {
    let folder = kwargs.data_dir;
    if kwargs.data_files.is_none() && !folder.is_empty() {
        for base in bases(dataset) {
            let place = base.join(folder);
            if !place.is_dir() {
                searched.push(format!("{}: no such folder", place.display()));
                continue;
            }
            let top = ["".to_owned(), "data/".to_owned()];
            match store.folder(&place)?.by_name(&top, split) {
                Ok(Some(files)) => {
                    return Ok(Some(LocatedSplit { files, place: place.display().to_string() }));
                }
                Ok(None) => searched.push(format!("{}: no file is called {split}", place.display())),
                Err(why) => searched.push(format!("{}: {why}", place.display())),
            }
        }
        return Ok(None);
    }
    let Some(patterns) = kwargs.patterns(split) else {
        searched.push(format!("dataset_kwargs.data_files: names nothing for the split {split:?}"));
        return Ok(None);
    };
    let mut files = Vec::new();
    for pattern in patterns {
        let mut found = Vec::new();
        for base in bases(dataset) {
            let place = base.join(folder).join(pattern);
            found = match own_pattern(&base.join(folder), pattern) {
                Ok(found) => found,
                Err(why) => {
                    searched.push(format!("{}: {why}", place.display()));
                    return Ok(None);
                }
            };
            if found.is_empty() {
                searched.push(format!("{}: no such file", place.display()));
            } else {
                break;
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        files.append(&mut found);
    }
    let folder =
        files.first().and_then(|file| file.at.disk_folder()).map(|folder| folder.display().to_string());
    let place = folder.filter(|folder| !folder.is_empty()).unwrap_or_else(|| ".".into());
    Ok(Some(LocatedSplit { files, place }))
}

/// The files that a task file means by one of its patterns; none is no error.
fn own_pattern(base: &Path, pattern: &str) -> Result<Vec<DataFile>, String> {
    let file = |path: PathBuf| {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        DataFile { name, at: Location::Disk(path) }
    };
    let path = base.join(pattern);
    // What is there and no file is told when it is read.
    if path.exists() && !path.is_dir() {
        return Ok(vec![file(path)]);
    }
    // Folders up to the first one that is a pattern are fixed.
    let fixed = match pattern.split_once(['*', '?', '[', '{']) {
        Some((before, _)) => before.rsplit_once('/').map_or("", |(folders, _)| folders),
        None => return Ok(Vec::new()),
    };
    let fixed_length = if fixed.is_empty() { 0 } else { fixed.len() + 1 };
    let folder = base.join(if fixed.is_empty() && pattern.starts_with('/') { "/" } else { fixed });
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let glob = Glob::new(pattern[fixed_length..].trim_start_matches('/')).map_err(|bad| bad.to_string())?;
    // Hidden files (those that macOS leaves, for example) have to be asked for, as in `datasets`.
    let asks_for_hidden = pattern.split('/').any(|part| part.starts_with('.') && part != "." && part != "..");
    let is_hidden = |name: &str| name.rsplit('/').next().is_some_and(|file| file.starts_with('.'));
    let names = files_below(&folder, |name| glob.fits(name) && (asks_for_hidden || !is_hidden(name)));
    let names = names.map_err(|error| error.to_string())?;
    Ok(names.into_iter().map(|name| DataFile { at: Location::Disk(folder.join(&name)), name }).collect())
}
