//! Text files that people write, most of them YAML: bounded, read into types, with file, line and field in every error.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, Error as _};

use super::recognise::{is_apple_double, stand_in_for_text};
use super::whole::{self, TooLarge};
use super::yaml_depth::{MAX_DEPTH, too_deep};

/// The largest file of YAML that is read, in bytes, where nothing else is said.
pub const MAX_BYTES: u64 = 1 << 20;

/// Why a file of a person's cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum FileError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {reason}; expected a readable text file, or a folder of .yaml files", path.display())]
    Io { path: PathBuf, reason: io::Error },
    /// A file is larger than any sensible one.
    #[error("{}: {bytes} bytes, expected at most {limit}", path.display())]
    TooLarge {
        path: PathBuf,
        /// How many there are, or were read at least.
        bytes: u64,
        /// The most that are read.
        limit: u64,
    },
    /// Not YAML, or a key that is missing, unknown or of the wrong type; `message` names the key.
    #[error("{file}:{line}: {message}")]
    Syntax {
        file: String,
        /// From 1; 0 if the parser does not know it.
        line: usize,
        message: String,
    },
    /// A value that parsed but cannot be.
    #[error("{file}:{line}: {field}: expected {expected}, found {found}")]
    Field {
        file: String,
        /// From 1; 0 if the key could not be found again in the text.
        line: usize,
        /// Dotted path of the key.
        field: String,
        expected: String,
        found: String,
    },
}

impl FileError {
    /// What `map_err` makes of the system's answer about a file or folder.
    pub fn io(path: &Path) -> impl Fn(io::Error) -> FileError {
        move |reason| FileError::Io { path: path.to_owned(), reason }
    }

    /// A value that cannot be, under the key with this dotted path in the `text` of the file.
    pub fn field(
        file: &str,
        text: &str,
        field: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> FileError {
        let line = line_of(text, &field.split('.').collect::<Vec<_>>());
        let file = file.to_owned();
        let field = field.to_owned();
        FileError::Field { file, line, field, expected: expected.into(), found: found.into() }
    }
}

/// Reads a value from YAML; `file` names it in messages.
///
/// # Errors
/// [`FileError::Syntax`].
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, FileError> {
    from_str(text).map_err(|error| FileError::Syntax {
        file: file.to_owned(),
        line: error.location().map(|place| place.line()).or_else(|| too_deep(text)).unwrap_or(0),
        message: error.to_string(),
    })
}

/// Reads a value from YAML whose brackets nest no deeper than `MAX_DEPTH`: all YAML of others comes through here.
///
/// # Errors
/// What serde_yaml says, and a text that is deeper.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
    if let Some(line) = too_deep(text) {
        let said =
            format!("expected brackets nested at most {MAX_DEPTH} deep, found more from line {line} on");
        return Err(serde_yaml::Error::custom(said));
    }
    serde_yaml::from_str(text)
}

/// A whole text file of at most `limit` bytes.
///
/// # Errors
/// [`FileError::Io`], also for bytes that are no UTF-8; [`FileError::TooLarge`].
pub fn read_text(path: &Path, limit: u64) -> Result<String, FileError> {
    String::from_utf8(read_bytes(path, limit)?).map_err(|error| {
        let other = stand_in_for_text(error.as_bytes());
        let reason = other
            .map_or_else(|| error.to_string(), |other| format!("it is {}: {}", other.found, other.advice));
        FileError::io(path)(io::Error::new(io::ErrorKind::InvalidData, reason))
    })
}

/// A whole file of at most `limit` bytes.
///
/// # Errors
/// [`FileError::Io`] and [`FileError::TooLarge`].
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    whole::read(path, limit).map_err(|error| match TooLarge::of(&error) {
        Some(&TooLarge { bytes, limit }) => FileError::TooLarge { path: path.to_owned(), bytes, limit },
        None => FileError::io(path)(error),
    })
}

/// The endings of YAML files.
pub const ENDINGS: [&str; 2] = ["yaml", "yml"];

/// The files of a folder with one of these endings, in order of their names, without what macOS writes beside them.
///
/// # Errors
/// [`FileError::Io`].
pub fn files_in(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, FileError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileError::io(folder))? {
        let path = entry.map_err(FileError::io(folder))?.path();
        if path.extension().is_some_and(|found| endings.iter().any(|ending| found == *ending))
            && path.is_file()
            && !is_apple_double(&path)
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The name of a file without folders and ending.
pub fn stem(file: &str) -> &str {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(name)
}

/// The line (from 1) of the last key of a path of mapping keys; 0 if it is not found, as in flow style.
pub fn line_of(text: &str, path: &[&str]) -> usize {
    let mut lines = (1..).zip(text.lines()).peekable();
    let mut parent: Option<usize> = None;
    let mut found = 0;
    for key in path {
        found = 0;
        for (number, line) in lines.by_ref() {
            let body = line.trim_start();
            let indent = line.len() - body.len();
            if body.is_empty() || body.starts_with('#') {
                continue;
            }
            if parent.is_some_and(|parent| indent <= parent) {
                return 0;
            }
            let is_key = body.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
            if is_key && (parent.is_some() || indent == 0) {
                parent = Some(indent);
                found = number;
                break;
            }
        }
        if found == 0 {
            return 0;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_whole_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, "ä: 1\n").unwrap();
        assert_eq!(read_text(&path, 6).unwrap(), "ä: 1\n");
        assert!(matches!(read_text(&path, 5), Err(FileError::TooLarge { bytes: 6, limit: 5, .. })));
        fs::write(&path, [0xff]).unwrap();
        assert!(matches!(read_text(&path, 9), Err(FileError::Io { .. })));
        fs::write(&path, [0xff, 0xfe, b'a', 0]).unwrap();
        assert!(read_text(&path, 9).unwrap_err().to_string().contains("UTF-16"));
        assert!(matches!(read_text(folder.path(), 1 << 20), Err(FileError::Io { .. })));
        assert!(matches!(read_text(Path::new("/dev/zero"), 9), Err(FileError::Io { .. })));
    }

    #[test]
    fn a_folder_gives_its_yaml_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "notes.txt", "._a.yml"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("c.yaml")).unwrap();
        let names: Vec<String> = files_in(folder.path(), &ENDINGS)
            .unwrap()
            .iter()
            .map(|path| stem(path.to_str().unwrap()).to_owned())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert!(files_in(&folder.path().join("none"), &ENDINGS).is_err());
    }

    #[test]
    fn a_fault_has_its_line() {
        let error = parse::<std::collections::BTreeMap<String, u32>>("x.yaml", "a: 1\nb: two\n").unwrap_err();
        assert!(error.to_string().starts_with("x.yaml:2: b: "), "{error}");
    }

    #[test]
    fn what_is_nested_deep_is_refused_before_it_is_parsed() {
        for text in
            ["a: 1\nb: ".to_owned() + &"[".repeat(1 << 20), "a: 1\nb: ".to_owned() + &"{a: ".repeat(1 << 18)]
        {
            let begun = std::time::Instant::now();
            let error = parse::<serde_yaml::Value>("x.yaml", &text).unwrap_err();
            assert!(
                error.to_string().starts_with("x.yaml:2: expected brackets nested at most 256"),
                "{error}"
            );
            assert!(begun.elapsed().as_secs() < 2, "the square of its depth would be hours");
        }
    }

    #[test]
    fn keys_are_found_by_path() {
        let text = "name: x\n# layout: no\nlayout:\n  user: a\n  assistant: b\nstop:\n  user: c\n";
        assert_eq!(line_of(text, &["name"]), 1);
        assert_eq!(line_of(text, &["layout", "assistant"]), 5);
        assert_eq!(line_of(text, &["stop", "user"]), 7);
        assert_eq!(line_of(text, &["layout", "system"]), 0);
        assert_eq!(line_of(text, &["none"]), 0);
    }
}
