//! Where a task file's text comes from: a file on disk or one embedded in the binary; and its `include`s.
//!
//! Inclusion: every file named by `include` is read first (path relative to the including file,
//! recursively), its top-level keys are laid down in order, then the including file's own keys replace
//! them whole. `task_list` is not inherited. Each key remembers the file that it came from, because a
//! `!function` belongs to the folder of the file that contains it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde_yaml::Value;

use super::lenient;
use crate::base::embedded::Text;
use crate::base::yaml::{self, FileError};
use crate::tasks::embedded::FILES;
use crate::tasks::error::TaskError;

/// Larger task files are refused; the largest of the reference harness is below 1 MiB.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// Deeper chains of `include` are refused.
const MAX_INCLUDE_DEPTH: usize = 32;

/// The place of a file: on disk, or a path below the embedded `evals/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// A file on disk.
    Disk(PathBuf),
    /// A file embedded in the binary, by its path below `evals/` with `/` between folders.
    Embedded(String),
}

impl Location {
    /// The place as shown in messages; embedded files begin with `evals/`.
    pub fn display(&self) -> String {
        match self {
            Self::Disk(path) => path.display().to_string(),
            Self::Embedded(path) => format!("evals/{path}"),
        }
    }

    /// The folder that holds the file, empty for a file at the top.
    fn parent(&self) -> &Path {
        let path = match self {
            Self::Disk(path) => path,
            Self::Embedded(path) => Path::new(path.as_str()),
        };
        path.parent().unwrap_or(Path::new(""))
    }

    /// The name of the folder that holds the file, empty for a file at the top.
    pub fn folder_name(&self) -> String {
        self.parent().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The path of the folder that holds the file, empty for a file at the top.
    pub fn folder(&self) -> String {
        self.parent().to_string_lossy().into_owned()
    }

    /// The folder on disk that holds the file; none for embedded files.
    pub fn disk_folder(&self) -> Option<&Path> {
        match self {
            Self::Disk(path) => path.parent(),
            Self::Embedded(_) => None,
        }
    }

    /// The place that `include` names, seen from this file.
    fn relative(&self, include: &str) -> Option<Self> {
        let joined = normalise(&self.parent().join(include));
        match self {
            Self::Disk(_) => Some(Self::Disk(joined)),
            Self::Embedded(_) => {
                let inside = joined.components().all(|c| matches!(c, Component::Normal(_)));
                inside.then(|| Self::Embedded(joined.to_string_lossy().replace('\\', "/")))
            }
        }
    }
}

/// Removes `.` and resolves `..` by name, so that one file has one spelling.
fn normalise(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// One top-level key of a task file with its includes merged in.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The value; `!function` tags are [`Value::Tagged`].
    pub value: Value,
    /// The file that the value was written in.
    pub origin: Arc<Origin>,
}

/// A file that contributed keys.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where the file is, on the disk or in the binary.
    pub location: Location,
    /// Its top-level keys with their lines, from 1.
    lines: Vec<(String, usize)>,
}

impl Origin {
    /// The origin of values that no file holds.
    pub fn new(location: Location, text: &str) -> Self {
        let lines = text.lines().enumerate().filter_map(|(i, line)| Some((top_level_key(line)?, i + 1)));
        Self { location, lines: lines.collect() }
    }

    /// The line of a top-level key, from 1.
    pub fn line(&self, key: &str) -> Option<usize> {
        self.lines.iter().find(|(name, _)| name == key).map(|(_, line)| *line)
    }
}

fn top_level_key(line: &str) -> Option<String> {
    if line.starts_with([' ', '\t', '#', '-']) {
        return None;
    }
    let (key, _) = line.split_once(':')?;
    Some(key.trim_end().trim_matches(['"', '\'']).to_owned())
}

/// The merged top-level keys of a file.
pub type Fields = BTreeMap<String, Entry>;

/// Reads files and their includes; a file that many include is read once.
#[derive(Debug, Default)]
pub struct Loader {
    cache: HashMap<Location, Arc<Fields>>,
    /// Files that were parsed ahead, not yet merged with what they include.
    parsed: HashMap<Location, Fields>,
}

impl Loader {
    /// Parses files on all threads, so that loading them has only to merge. What cannot be read is left to
    /// [`load`](Self::load), which says so.
    pub fn parse_ahead(&mut self, files: &[Location]) {
        let parsed = files.par_iter().filter_map(|at| Some((at.clone(), parse(at, read(at).ok()?).ok()?)));
        self.parsed.par_extend(parsed);
    }

    /// Reads a file with everything it includes.
    ///
    /// # Errors
    /// Unreadable files, bad YAML, and includes that are missing, circular or too deep.
    pub fn load(&mut self, location: &Location) -> Result<Arc<Fields>, TaskError> {
        self.load_nested(location, &mut Vec::new())
    }

    fn load_nested(&mut self, at: &Location, above: &mut Vec<Location>) -> Result<Arc<Fields>, TaskError> {
        if let Some(done) = self.cache.get(at) {
            return Ok(Arc::clone(done));
        }
        let mut own = match self.parsed.remove(at) {
            Some(own) => own,
            None => parse(at, read(at)?)?,
        };
        let mut merged = match own.remove("include") {
            Some(include) => self.merged(at, &include.value, above)?,
            None => Fields::new(),
        };
        merged.append(&mut own);
        let merged = Arc::new(merged);
        self.cache.insert(at.clone(), Arc::clone(&merged));
        Ok(merged)
    }

    /// The keys of the files that an `include` names, seen from the file in which it stands.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn included(&mut self, include: &Entry) -> Result<Fields, TaskError> {
        self.merged(&include.origin.location, &include.value, &mut Vec::new())
    }

    /// The keys of all files that are included in `at`, later ones over earlier ones.
    fn merged(
        &mut self,
        at: &Location,
        include: &Value,
        above: &mut Vec<Location>,
    ) -> Result<Fields, TaskError> {
        let mut merged = Fields::new();
        above.push(at.clone());
        for name in include_names(at, include)? {
            let error =
                |message: String| TaskError::wrong(format!("{}: include {name:?}", at.display()), message);
            let target = at
                .relative(&name)
                .ok_or_else(|| error("leads out of the embedded suites; name a file below evals/".into()))?;
            if above.contains(&target) {
                return Err(error(format!("{} is already being included: a circle", target.display())));
            }
            if above.len() >= MAX_INCLUDE_DEPTH {
                return Err(error(format!("more than {MAX_INCLUDE_DEPTH} files deep")));
            }
            let included = self.load_nested(&target, above).map_err(|cause| match cause {
                TaskError::Io { file, source } => error(format!("{file} cannot be read: {source}")),
                other => other,
            })?;
            for (key, entry) in included.iter().filter(|(key, _)| key.as_str() != "task_list") {
                merged.insert(key.clone(), entry.clone());
            }
        }
        above.pop();
        Ok(merged)
    }
}

fn include_names(at: &Location, value: &Value) -> Result<Vec<String>, TaskError> {
    let place = || format!("{}: include", at.display());
    let bad = || TaskError::wrong(place(), "expected a file name or a list of file names");
    match value {
        Value::String(name) => Ok(vec![name.clone()]),
        Value::Sequence(names) => {
            names.iter().map(|n| n.as_str().map(str::to_owned).ok_or_else(bad)).collect()
        }
        _ => Err(bad()),
    }
}

/// The text of a file.
fn read(at: &Location) -> Result<Text<'static>, TaskError> {
    let io = |source| TaskError::Io { file: at.display(), source };
    match at {
        Location::Embedded(path) => {
            FILES.get(path).map(Text::from).ok_or_else(|| io(std::io::ErrorKind::NotFound.into()))
        }
        Location::Disk(path) => {
            yaml::read_text(path, MAX_FILE_BYTES).map(Text::from).map_err(|error| match error {
                FileError::Io { reason, .. } => io(reason),
                other => not_yaml(at, &other.to_string()),
            })
        }
    }
}

fn not_yaml(at: &Location, message: &str) -> TaskError {
    TaskError::wrong(at.display(), format!("not a readable YAML file: {message}"))
}

/// A text of YAML, also one that only Python reads.
fn from_yaml(text: &str) -> Result<Value, serde_yaml::Error> {
    yaml::from_str(text).or_else(|strict| {
        let doubled = strict.to_string().contains("duplicate entry");
        if doubled { lenient::from_str(text) } else { Err(strict) }
    })
}

/// The file's own top-level keys, `include` among them.
///
/// # Errors
/// What is no YAML, or has no keys.
pub fn parse<'a>(at: &Location, text: impl Into<Text<'a>>) -> Result<Fields, TaskError> {
    let text = text.into();
    let bad = |message: String| not_yaml(at, &message);
    let mut value: Value =
        text.of_json().map_or_else(|| from_yaml(&text.yaml), Ok).map_err(|e| bad(e.to_string()))?;
    let text = &text.yaml;
    if text.contains("<<") {
        value.apply_merge().map_err(|e| bad(e.to_string()))?;
    }
    let Value::Mapping(mapping) = value else {
        return Err(bad("expected keys and values at the top level".into()));
    };
    let origin = Arc::new(Origin::new(at.clone(), text));
    mapping
        .into_iter()
        .map(|(key, value)| {
            // What stands there is not shown: any file can be named by an `include`.
            let key = key.as_str().ok_or_else(|| bad("a key at the top level is no text".into()))?.to_owned();
            Ok((key, Entry { value, origin: Arc::clone(&origin) }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, text: &str) -> Location {
        std::fs::write(dir.join(name), text).unwrap();
        Location::Disk(dir.join(name))
    }

    #[test]
    fn own_keys_win_and_values_are_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "base.yaml", "a: 1\nm: {x: 1, y: 2}\ntask_list: [q]\n");
        write(dir.path(), "second.yaml", "a: 2\nb: 2\n");
        let top = write(dir.path(), "top.yaml", "include: [base.yaml, ./second.yaml]\nm: {z: 3}\nc: 3\n");
        let fields = Loader::default().load(&top).unwrap();
        let keys: Vec<&str> = fields.keys().map(String::as_str).collect();
        assert_eq!(keys, ["a", "b", "c", "m"]);
        assert_eq!(fields["a"].value, Value::from(2));
        assert_eq!(serde_yaml::to_string(&fields["m"].value).unwrap(), "z: 3\n");
        assert_eq!(fields["c"].origin.line("c"), Some(3));
        assert_eq!(fields["b"].origin.location, Location::Disk(dir.path().join("second.yaml")));
    }

    #[test]
    fn circles_and_missing_files_are_errors_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let a = write(dir.path(), "a.yaml", "include: b.yaml\n");
        write(dir.path(), "b.yaml", "include: a.yaml\n");
        let said = Loader::default().load(&a).unwrap_err().to_string();
        assert!(said.contains("b.yaml") && said.contains("circle"), "{said}");
        let c = write(dir.path(), "c.yaml", "include: nowhere.yaml\n");
        let said = Loader::default().load(&c).unwrap_err().to_string();
        assert!(said.contains("c.yaml: include \"nowhere.yaml\""), "{said}");
    }

    #[test]
    fn broken_yaml_names_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let bad = write(dir.path(), "bad.yaml", "task: x\nmetric_list: [\n");
        let said = Loader::default().load(&bad).unwrap_err().to_string();
        assert!(said.contains("bad.yaml") && said.contains("line"), "{said}");
    }

    #[test]
    fn embedded_includes_stay_inside() {
        let at = Location::Embedded("mmlu/mmlu_anatomy.yaml".into());
        assert_eq!(at.relative("../x.yaml"), Some(Location::Embedded("x.yaml".into())));
        assert_eq!(at.relative("../../x.yaml"), None);
        assert_eq!(at.folder_name(), "mmlu");
    }
}
