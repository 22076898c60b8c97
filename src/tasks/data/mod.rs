//! Documents of data sets: found on this machine, never fetched; checked; and digested.
//!
//! Searched in order: `--data-dir` (as `datasets/<org>/<name>` or `<org>/<name>` below it), the tool's own
//! cache (`$ZOO_HOME/datasets/<org>/<name>`), and the small sets embedded in the binary. Splits are found by
//! the card of the data set, or else by the usual names of files.

mod json;
mod kwargs;
mod locate;
mod needed;
mod parquet;
mod read;
mod table;

pub use locate::{DataFile, LocatedSplit};
pub use needed::{HubData, download_bytes, hub_data};
pub use read::{DataDigest, SplitData, data_sha256};

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use super::error::TaskError;
use super::suite::Task;
use crate::hub::zoo_home;

/// The data set of a task.
#[derive(Debug, Clone)]
pub struct DatasetRef<'a> {
    /// The name of the task, for advice.
    pub task: &'a str,
    /// `dataset_path`: `org/name` on a hub, a folder (`./…`), or `json`, `csv`, `parquet`.
    pub path: &'a str,
    /// `dataset_name`: the configuration.
    pub name: Option<&'a str>,
    /// `dataset_kwargs`.
    pub kwargs: &'a Map<String, Value>,
    /// The folder of the task file, for relative paths.
    pub folder: Option<&'a Path>,
}

impl<'a> DatasetRef<'a> {
    /// The data set of a task; none if its file names none.
    pub fn of(task: &'a Task) -> Option<Self> {
        Some(Self {
            task: &task.name,
            path: task.config.dataset_path.as_deref()?,
            name: task.config.dataset_name.as_deref(),
            kwargs: &task.config.dataset_kwargs,
            folder: task.file.disk_folder(),
        })
    }
}

/// Where data sets are looked for.
#[derive(Debug, Default)]
pub struct DataStore {
    /// Folders that hold `org/name`, in order.
    roots: Vec<PathBuf>,
    /// The tool's own cache.
    home: Option<PathBuf>,
    folders: Mutex<HashMap<PathBuf, Arc<locate::Folder>>>,
}

impl DataStore {
    /// A store over `--data-dir` and the tool's cache, either of which may be absent.
    pub fn new(data_dir: Option<&Path>, zoo_home: Option<&Path>) -> Self {
        let mut roots = Vec::new();
        if let Some(dir) = data_dir {
            roots.push(dir.join("datasets"));
            roots.push(dir.to_owned());
        }
        roots.extend(zoo_home.map(|home| home.join("datasets")));
        Self { roots, home: zoo_home.map(Path::to_owned), folders: Mutex::default() }
    }

    /// A store with the cache of this user: `$ZOO_HOME`, or else `zoo` in the user's cache folder.
    pub fn from_env(data_dir: Option<&Path>) -> Self {
        Self::new(data_dir, zoo_home().ok().as_deref())
    }

    /// The files of a split, without reading them.
    ///
    /// # Errors
    /// [`TaskError::MissingData`] with every place that was searched; unusable cards and names.
    pub fn locate(&self, dataset: &DatasetRef<'_>, split: &str) -> Result<LocatedSplit, TaskError> {
        locate::locate(self, dataset, split)
    }

    /// All documents of a split.
    ///
    /// # Errors
    /// As [`DataStore::locate`]; files that cannot be read.
    pub fn load(&self, dataset: &DatasetRef<'_>, split: &str) -> Result<SplitData, TaskError> {
        self.load_first(dataset, split, usize::MAX)
    }

    /// The first `most` documents of a split, all of which are read.
    ///
    /// # Errors
    /// As [`DataStore::load`].
    pub fn load_first(
        &self,
        dataset: &DatasetRef<'_>,
        split: &str,
        most: usize,
    ) -> Result<SplitData, TaskError> {
        read::read(&self.locate(dataset, split)?, dataset, most)
    }

    /// What a folder holds; looked up once.
    fn folder(&self, path: &Path) -> Result<Arc<locate::Folder>, TaskError> {
        let mut folders = self.folders.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = folders.get(path) {
            return Ok(Arc::clone(known));
        }
        let folder = Arc::new(locate::Folder::read(path)?);
        folders.insert(path.to_owned(), Arc::clone(&folder));
        Ok(folder)
    }
}
