//! Where a model's weights can be had: a Python package, a hub repository, or a place on disk.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One place, written in a card as a map with one key: `pip:`, `hub:` or `path:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A file inside a wheel of a Python package.
    Pip(PipSource),
    /// A model repository of a hub.
    Hub(HubSource),
    /// A folder or a `.gguf` file, relative to the card's own folder.
    Path(PathBuf),
}

/// A file inside a wheel.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipSource {
    /// The package's name on the index.
    pub package: String,
    /// The exact version, as `pip install NAME==VERSION` takes it.
    pub version: String,
    /// The file's path inside the wheel; a `.gguf` file.
    pub member: String,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Size of the file in bytes, if the card states it.
    pub size: Option<u64>,
}

/// A repository of a hub.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSource {
    /// `organisation/name`.
    pub repo: String,
    /// A branch, tag or commit.
    #[serde(default = "main_branch")]
    pub revision: String,
    /// The files to fetch, if not those that a model folder is known to need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Whose copy it is and where that was read, if it is not the authors' own.
    pub note: Option<String>,
}

fn main_branch() -> String {
    "main".to_owned()
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Pip(pip) => write!(f, "pip package {} {}", pip.package, pip.version),
            Source::Hub(hub) if hub.revision == "main" => write!(f, "hub repository {}", hub.repo),
            Source::Hub(hub) => write!(f, "hub repository {} at {}", hub.repo, hub.revision),
            Source::Path(path) => write!(f, "path {}", path.display()),
        }
    }
}
