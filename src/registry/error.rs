//! What can be wrong with cards and names, as data: file, line, field, expected, found.

use crate::base::names::nearest_words;
use crate::base::yaml::FileError;

/// Why the registry cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum RegistryError {
    /// A file that cannot be read, is no YAML, or says what no model can have.
    #[error(transparent)]
    File(#[from] FileError),
    /// A model that is made from itself.
    #[error("{file}:{line}: base: expected an ancestor, found a circle: {}", circle.join(" → "))]
    Cycle {
        file: String,
        /// Line of the base.
        line: usize,
        /// The ids on the way round, the first one again at the end.
        circle: Vec<String>,
    },
    /// Two cards answer to one name.
    #[error("{file}:{line}: the name {name:?} is already taken by {other}; rename one of the two")]
    Duplicate {
        file: String,
        /// Line of the name in the second file.
        line: usize,
        /// The id or alias, lower-case.
        name: String,
        /// The first card's file.
        other: String,
    },
}

/// Everything that is wrong with a registry, as far as one check sees; at least one fault.
#[derive(Debug)]
pub(super) struct Faults(pub Vec<RegistryError>);

impl From<RegistryError> for Faults {
    fn from(fault: RegistryError) -> Faults {
        Faults(vec![fault])
    }
}

impl Faults {
    /// The first one.
    pub fn first(mut self) -> RegistryError {
        self.0.swap_remove(0)
    }
}

/// No card of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no model named {name:?} in the registry{}; `zoo list` shows all of them", nearest_words(.nearest))]
pub struct UnknownModel {
    /// The name, as the user wrote it.
    pub name: String,
    /// The nearest known names, best first; empty if none is near.
    pub nearest: Vec<String>,
}
