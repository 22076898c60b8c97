//! What a model is made from, as the one who makes it says: the rule, its arithmetic, the files it reads.

use std::path::PathBuf;

use crate::weights::TensorSource;

/// How a model came to be; becomes its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRecord {
    /// The id of the model's card, if it has one.
    pub model: Option<String>,
    /// The rule's name: `vicuna_delta`, `convert`, …
    pub rule: String,
    /// What exactly is computed, in words: types, order, rounding.
    pub arithmetic: String,
    /// What is read.
    pub inputs: Vec<InputRecord>,
}

/// One of the models or files that a rule works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRecord {
    /// What it is for: `base`, `delta`, `adapter`, `key`, `source`.
    pub role: String,
    /// The id of its card, or the name of its folder or file.
    pub name: String,
    /// Its files. Size and time of change are read when they are needed.
    pub files: Vec<InputFile>,
}

/// A file that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its SHA-256 in lower-case hexadecimal, if it was checked or computed.
    pub sha256: Option<String>,
}

impl InputRecord {
    /// The files of a source, without digests.
    pub fn of(role: &str, name: &str, source: &dyn TensorSource) -> Self {
        let files = source.files().into_iter().map(|path| InputFile { path, sha256: None }).collect();
        InputRecord { role: role.to_owned(), name: name.to_owned(), files }
    }
}
