//! What can be wrong with cards and names, as data: file, line, field, expected, found.

use std::path::PathBuf;

/// Why the registry cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A file or folder of cards cannot be read.
    #[error("cannot read model cards at {}; expected a folder of .yaml files", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A card is larger than any sensible one.
    #[error("{}: {bytes} bytes, expected a model card of at most {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Not YAML, or a key that is missing, unknown or of the wrong type; `message` names the key.
    #[error("{file}:{line}: {message}")]
    Yaml {
        /// The card's file.
        file: String,
        /// Line, from 1; 0 if the parser does not know it.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A value that no model can have.
    #[error("{file}:{line}: {field}: expected {expected}, found {found}")]
    Field {
        /// The card's file.
        file: String,
        /// Line, from 1; 0 if the key could not be found again in the text.
        line: usize,
        /// Dotted path of the field.
        field: String,
        /// What is allowed.
        expected: String,
        /// What the card says.
        found: String,
    },
    /// A model that is made from itself.
    #[error("{file}:{line}: base: expected an ancestor, found a circle: {}", circle.join(" → "))]
    Cycle {
        /// The card's file.
        file: String,
        /// Line of the base.
        line: usize,
        /// The ids on the way round, the first one again at the end.
        circle: Vec<String>,
    },
    /// Two cards answer to one name.
    #[error("{file}:{line}: the name {name:?} is already taken by {other}; rename one of the two")]
    Duplicate {
        /// The second card's file.
        file: String,
        /// Line of the name in the second file.
        line: usize,
        /// The id or alias, lower-case.
        name: String,
        /// The first card's file.
        other: String,
    },
}

/// No card of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no model named {name:?} in the registry{}; `zoo list` shows all of them", nearest_words(.nearest))]
pub struct UnknownModel {
    /// The name asked for.
    pub name: String,
    /// The nearest known names, best first; empty if none is near.
    pub nearest: Vec<String>,
}

fn nearest_words(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!(" (nearest: {})", nearest.join(", ")) }
}
