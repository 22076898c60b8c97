//! Which files of a folder are task or group files.
//!
//! As in the reference harness: a file with `class` is a task written in Python, else one with `group` is a
//! group, else one with `task` is a task; other files only serve to be included.

use std::path::{Path, PathBuf};

use super::error::TaskError;
use super::schema::Fields;
use super::schema::value::Slot;

/// A folder of task files may hold this many files and nest this deep.
const MAX_FILES: usize = 100_000;
const MAX_FOLDER_DEPTH: usize = 12;

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) fn classify(fields: &Fields) -> Result<Kind, TaskError> {
    let slot = |key: &str| fields.get(key).map(|entry| Slot::new(key, entry));
    // A list under `task` belongs to a group; a file with neither name only serves to be included.
    if !fields.contains_key("class")
        && let Some(group) = slot("group")
    {
        return group.string().map(Kind::Group);
    }
    match slot("task") {
        Some(task) if task.value.is_string() => {
            let tags = slot("tag").map(|tag| tag.strings()).transpose()?.unwrap_or_default();
            Ok(Kind::Task(task.string()?, tags))
        }
        Some(task) => Err(task.error("expected a name; a list of tasks needs the key `group`")),
        None => Ok(Kind::Other),
    }
}

/// Every `.yaml` file below a folder, in no order.
///
/// # Errors
/// What the system says about a folder that cannot be read.
pub(super) fn task_files(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    walk(folder, 0, files)
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        // Links to folders are not followed, since they can lead in circles.
        if entry.file_type()?.is_dir() {
            let skipped = matches!(name, "__pycache__" | ".ipynb_checkpoints" | ".git");
            if !skipped && depth < MAX_FOLDER_DEPTH {
                walk(&path, depth + 1, files)?;
            }
        } else if name.ends_with(".yaml") {
            if files.len() == MAX_FILES {
                return Err(std::io::Error::other(format!(
                    "a folder of more than {MAX_FILES} task files is refused"
                )));
            }
            files.push(path);
        }
    }
    Ok(())
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
        assert_eq!(kind("task: a\ntag: t\n").unwrap(), Kind::Task("a".into(), vec!["t".into()]));
        assert_eq!(kind("group: g\ntask: [a]\n").unwrap(), Kind::Group("g".into()));
        assert_eq!(
            kind("class: !function x.Y\ngroup: g\ntask: a\n").unwrap(),
            Kind::Task("a".into(), vec![])
        );
        assert_eq!(kind("doc_to_text: q\n").unwrap(), Kind::Other);
        assert!(kind("task: [a, b]\n").unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn only_task_files_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a", "__pycache__"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join("t.yaml"), "").unwrap();
        }
        std::fs::write(dir.path().join("readme.md"), "").unwrap();
        let mut files = Vec::new();
        task_files(dir.path(), &mut files).unwrap();
        assert_eq!(files, [dir.path().join("a/t.yaml")]);
    }
}
