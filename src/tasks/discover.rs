//! Discovery of the task and group files in a folder.
//!
//! As in the reference harness: a file with `class` is a task written in Python, else one with `group` is a
//! group, else one with `task` is a task; other files only serve to be included.

use std::path::{Path, PathBuf};

use super::error::TaskError;
use super::folder::files_below;
use super::schema::value::Slot;
use super::schema::{Fields, GroupConfig, Location, TaskConfig, source};
use crate::base::yaml;

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A task: its name and tags.
    Task(String, Vec<String>),
    /// A group: its name.
    Group(String),
    /// A file that only serves to be included.
    Other,
}

/// What the keys of a file make it.
///
/// # Errors
/// A name that is none.
pub(super) fn classify(fields: &Fields) -> Result<FileKind, TaskError> {
    let slot = |key: &str| fields.get(key).map(|entry| Slot::new(key, entry));
    // A list under `task` belongs to a group; a file with neither name only serves to be included.
    if !fields.contains_key("class")
        && let Some(group) = slot("group")
    {
        return group.string().map(FileKind::Group);
    }
    match slot("task") {
        Some(task) if task.value.is_string() => {
            let tags = slot("tag").map(|tag| tag.strings()).transpose()?.unwrap_or_default();
            Ok(FileKind::Task(task.string()?, tags))
        }
        Some(task) => Err(task.error("expected a name; a list of tasks needs the key `group`")),
        None => Ok(FileKind::Other),
    }
}

/// Reads a text as a file of tasks by itself: what its `include` names is not looked at. Says whether it is a task or a group.
///
/// # Errors
/// As when it is found in a folder.
pub fn read_text(name: &str, text: &str) -> Result<bool, TaskError> {
    let mut fields = source::parse(&Location::Embedded(name.to_owned()), text)?;
    fields.remove("include");
    Ok(match classify(&fields)? {
        FileKind::Task(..) => TaskConfig::read(&fields).map(|_| true)?,
        FileKind::Group(_) => GroupConfig::read(&fields).map(|_| true)?,
        FileKind::Other => false,
    })
}

/// Whether the name of a suite is that of a file with a task or a group.
pub(super) fn is_task_file(name: &str) -> bool {
    is_yaml(name) && Path::new(name).is_file()
}

fn is_yaml(file: &str) -> bool {
    let ending = Path::new(file).extension();
    ending.is_some_and(|ending| yaml::ENDINGS.iter().any(|known| ending == *known))
}

/// Every `.yaml` and `.yml` file below a folder, in order; as in the reference harness hidden ones, too.
///
/// # Errors
/// As [`files_below`].
pub(super) fn task_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let of_python = |file: &str| file.split('/').any(|part| part == "__pycache__");
    let files = files_below(folder, |file| is_yaml(file) && !of_python(file))?;
    // In the order of paths, folder by folder, which is not that of their texts.
    let mut files: Vec<PathBuf> = files.into_iter().map(|file| folder.join(file)).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::schema::{Loader, Location};
    use super::*;

    #[test]
    fn keys_make_the_kind() {
        let dir = tempfile::tempdir().unwrap();
        let kind = |text: &str| {
            let path = dir.path().join("x.yaml");
            std::fs::write(&path, text).unwrap();
            classify(&Loader::default().load(&Location::Disk(path)).unwrap())
        };
        assert_eq!(kind("task: a\ntag: t\n").unwrap(), FileKind::Task("a".into(), vec!["t".into()]));
        assert_eq!(kind("group: g\ntask: [a]\n").unwrap(), FileKind::Group("g".into()));
        assert_eq!(
            kind("class: !function x.Y\ngroup: g\ntask: a\n").unwrap(),
            FileKind::Task("a".into(), vec![])
        );
        assert_eq!(kind("doc_to_text: q\n").unwrap(), FileKind::Other);
        assert!(kind("task: [a, b]\n").unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn only_task_files_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a", "__pycache__"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join("t.yaml"), "").unwrap();
        }
        for name in ["readme.md", ".x.yaml", "u.yml"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let wanted = [".x.yaml", "a/t.yaml", "u.yml"].map(|name| dir.path().join(name));
        assert_eq!(task_files(dir.path()).unwrap(), wanted);
    }
}
