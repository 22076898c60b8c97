//! A model in several files, with the index that says which tensor lies where.
//!
//! Source: `model.safetensors.index.json` and `pytorch_model.bin.index.json` as `transformers` writes them: `weight_map` from tensor to file
//! name, `metadata.total_size` in bytes. The index comes from the network, so a name in it never leads
//! out of its folder, and index and files must agree about every tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::buffers::is_buffer;
use super::json::{self, Entries};
use super::mapped::MappedFile;
use super::open::open_file;
use super::table::TensorTable;
use super::{Access, TensorInfo, TensorSource, TensorView, WeightsError};
use crate::base::fault::{Fault, FaultKind, quoted};
use crate::base::recognise::dangling_fault;

/// Largest index file. That of a model of a thousand tensors has a hundred kilobytes.
const MAX_INDEX: usize = 100_000_000;
/// How the names of index files end.
const INDEX_ENDING: &str = ".index.json";
/// Most files of one model. Each of them is mapped at once.
const MAX_SHARDS: usize = 4096;

/// The tensors of all files that an index names.
pub struct ShardedWeights {
    index: PathBuf,
    shards: Vec<Box<dyn TensorSource>>,
    /// With the position of each in `shards`.
    table: TensorTable<usize>,
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct RawIndex {
    metadata: Option<serde_json::Map<String, serde_json::Value>>,
    weight_map: Entries<String>,
}

impl ShardedWeights {
    /// Reads the index and maps its files; their headers are checked against each other and the index.
    ///
    /// # Errors
    /// [`WeightsError::Fault`] if the index or a file is damaged, a name leaves the folder, a file or tensor is
    /// missing, or a weight is there that the index does not list.
    pub fn open(index: impl AsRef<Path>) -> Result<Self, WeightsError> {
        let index = index.as_ref();
        let RawIndex { metadata, weight_map } = read_index(index)?;
        let folder = index.parent().unwrap_or(Path::new(""));
        let weight_map = weight_map.unique().map_err(|name| {
            let found = format!("{} twice", quoted(&name));
            Fault::new(index, FaultKind::InconsistentHeader, "each tensor once", found).tensor(&name)
        })?;

        if weight_map.is_empty() {
            let expected = "an index of at least one tensor";
            return Err(Fault::new(index, FaultKind::InconsistentHeader, expected, "none")
                .at("weight_map")
                .into());
        }
        let names: BTreeSet<&str> = weight_map.iter().map(|(_, shard)| shard.as_str()).collect();
        if names.len() > MAX_SHARDS {
            let expected = format!("at most {MAX_SHARDS} files");
            return Err(Fault::new(index, FaultKind::LimitExceeded, expected, names.len().to_string()).into());
        }
        let paths: Vec<PathBuf> =
            names.iter().map(|name| shard_path(index, folder, name)).collect::<Result<_, _>>()?;
        let strays = stray_shards(index, folder, &paths)?;
        refuse_gaps(index, &names, &strays)?;
        let shards: Vec<Box<dyn TensorSource>> =
            paths.iter().map(|path| open_file(path)).collect::<Result<_, _>>()?;
        let position: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, &name)| (name, i)).collect();

        let mut tensors = Vec::with_capacity(weight_map.len());
        for (tensor, shard_name) in &weight_map {
            let place = position[shard_name.as_str()];
            let Some(info) = shards[place].info(tensor) else {
                let expected = format!("it in {}, as the index says", quoted(shard_name));
                let fault =
                    Fault::new(index, FaultKind::MissingData, expected, "a file without it").tensor(tensor);
                return Err(fault.into());
            };
            tensors.push((info.clone(), place));
        }
        let buffers = unlisted_buffers(index, &shards, &paths, &weight_map)?;

        let table = TensorTable::new(index, tensors)?;
        let mut source = ShardedWeights { index: index.to_owned(), shards, table, warnings: vec![] };
        for stray in strays {
            source.warn(format!(
                "{}: a file of this series that {} does not name, left by an earlier download or save: it is not read, \
                 as in transformers",
                stray.display(),
                index.display()
            ));
        }
        if let Some(first) = buffers.first() {
            source.warn(format!(
                "{}: {} buffers in the files that the index does not list (first: {first}): they are computed, not read",
                index.display(),
                buffers.len()
            ));
        }
        source.compare_total_size(metadata.as_ref());
        Ok(source)
    }

    /// The index, as it was opened; the files it names are beside it.
    pub fn path(&self) -> &Path {
        &self.index
    }

    fn compare_total_size(&mut self, metadata: Option<&serde_json::Map<String, serde_json::Value>>) {
        let Some(announced) = metadata.and_then(|m| m.get("total_size")) else { return };
        let sum: u64 = self.tensors().iter().map(|info| info.bytes() as u64).sum();
        // Some writers store a float.
        if announced.as_u64() != Some(sum) && announced.as_f64() != Some(sum as f64) {
            let warning = format!(
                "{}: metadata.total_size: expected {sum}, the sum of all tensors in bytes, found {announced}; \
                 the tensors themselves are consistent",
                self.index.display()
            );
            self.warn(warning);
        }
    }

    fn warn(&mut self, warning: String) {
        tracing::warn!("{warning}");
        self.warnings.push(warning);
    }
}

impl TensorSource for ShardedWeights {
    fn tensors(&self) -> &[TensorInfo] {
        self.table.infos()
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let (_, &shard) = self.table.get(&self.index, name)?;
        self.shards[shard].tensor(name)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.shards.iter().flat_map(|shard| shard.files()).collect()
    }

    fn hint(&self, name: &str, access: Access) {
        if let Some((_, &shard)) = self.table.find(name) {
            self.shards[shard].hint(name, access);
        }
    }

    /// A `total_size` that is not the sum of the tensors, files that the index does not name, buffers that it does not list.
    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn read_index(index: &Path) -> Result<RawIndex, WeightsError> {
    let file = MappedFile::open(index)?;
    let bytes = file.bytes();
    if bytes.len() > MAX_INDEX {
        let expected = format!("an index of at most {MAX_INDEX} bytes");
        let found = format!("{} bytes", bytes.len());
        return Err(Fault::new(index, FaultKind::LimitExceeded, expected, found).into());
    }
    Ok(json::parse(index, "weights index", bytes)?)
}

/// The file that `name` means inside `folder`. A real file may be a symbolic link (the cache of
/// `huggingface_hub` is made of them); it is the *name* that must stay inside.
fn shard_path(index: &Path, folder: &Path, name: &str) -> Result<PathBuf, Box<Fault>> {
    let fault = |kind, found: &str| {
        let found = format!("{}, {found}", quoted(name));
        Fault::new(index, kind, "the name of a weights file inside the index's folder", found)
            .at("weight_map")
    };
    let escape = |found| Err(fault(FaultKind::PathEscape, found));
    if name.starts_with('/') || name.starts_with('~') {
        return escape("an absolute path");
    }
    if name.contains('\\') || name.contains(':') {
        return escape("a path of another system or a URL");
    }
    if name.chars().any(char::is_control) {
        return escape("a name with control characters");
    }
    let mut path = folder.to_owned();
    for part in name.split('/') {
        match part {
            ".." => return escape("a path upwards"),
            "" | "." => return Err(fault(FaultKind::MissingData, "which is not a file name")),
            part => path.push(part),
        }
    }
    match std::fs::metadata(&path) {
        Ok(about) if about.is_file() => Ok(path),
        Ok(_) => Err(fault(FaultKind::MissingData, "which is not a regular file")),
        Err(error) => Err(dangling_fault(&path)
            .unwrap_or_else(|| fault(FaultKind::MissingData, &format!("which cannot be read: {error}")))),
    }
}

/// Files of the same series beside the index (`model-00002-of-00002.safetensors`) that it does not name.
fn stray_shards(index: &Path, folder: &Path, listed: &[PathBuf]) -> Result<Vec<PathBuf>, WeightsError> {
    let series = index.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_suffix(INDEX_ENDING));
    let series = series.and_then(|name| name.rsplit_once('.'));
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(here).map_err(|e| WeightsError::io(here, "list", e))?;
    let mut strays = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| WeightsError::io(here, "list", e))?.file_name();
        let path = folder.join(&name);
        if is_shard_of(series, name.to_str()) && !listed.contains(&path) {
            strays.push(path);
        }
    }
    strays.sort();
    Ok(strays)
}

/// A stray file of as many as the listed ones say they are is no leftover: the index has lost it.
fn refuse_gaps(index: &Path, listed: &BTreeSet<&str>, strays: &[PathBuf]) -> Result<(), Box<Fault>> {
    let count = |name: &str| name.rsplit_once("-of-").map(|(_, count)| count.to_owned());
    let counts: BTreeSet<String> = listed.iter().filter_map(|name| count(name)).collect();
    let of_these = |path: &&PathBuf| {
        path.file_name().and_then(OsStr::to_str).and_then(count).is_some_and(|count| counts.contains(&count))
    };
    match strays.iter().find(of_these) {
        None => Ok(()),
        Some(stray) => {
            let expected = "every file of this series in the index";
            let found = "a file that the index does not name";
            Err(Fault::new(stray, FaultKind::InconsistentHeader, expected, found)
                .advice(format!("remove the file, or fetch the index {} again", index.display())))
        }
    }
}

/// Whether `name` is `<stem>-NNNNN-of-NNNNN.<ending>` of a series `(stem, ending)`.
fn is_shard_of(series: Option<(&str, &str)>, name: Option<&str>) -> bool {
    let numbers = series.zip(name).and_then(|((stem, ending), name)| {
        let name = name.strip_suffix(ending)?.strip_suffix('.')?;
        name.strip_prefix(stem)?.strip_prefix('-')?.split_once("-of-")
    });
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers.is_some_and(|(part, parts)| digits(part) && digits(parts))
}

/// Every weight of every file must be where the index says. Names the buffers that it does not list: programs that saved them
/// with the weights left them out of the index where they stood on several devices.
fn unlisted_buffers(
    index: &Path,
    shards: &[Box<dyn TensorSource>],
    paths: &[PathBuf],
    weight_map: &[(String, String)],
) -> Result<Vec<String>, Box<Fault>> {
    let folder = index.parent().unwrap_or(Path::new(""));
    let mut buffers = Vec::new();
    for (shard, path) in shards.iter().zip(paths) {
        for info in shard.tensors() {
            let place = weight_map.binary_search_by(|(name, _)| name.cmp(&info.name)).ok();
            let place = place.and_then(|i| weight_map.get(i)).map(|(_, shard)| shard);
            let found = match place {
                Some(name) if folder.join(name) == *path => continue,
                Some(name) => format!("one that the index places in {}", quoted(name)),
                None if is_buffer(info) => {
                    buffers.push(info.name.clone());
                    continue;
                }
                None => "one that the index does not list".to_owned(),
            };
            let expected = format!("only tensors that {} places here", index.display());
            return Err(Fault::new(path, FaultKind::InconsistentHeader, expected, found).tensor(&info.name));
        }
    }
    Ok(buffers)
}
