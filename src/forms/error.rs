//! Why a model cannot be rebuilt from its parts.

use std::io;
use std::path::{Path, PathBuf};

use crate::tokenizer::TokenizerError;
use crate::weights::{WeightsError, shown};

/// An error of the lineage room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineageError {
    /// The weights' files themselves.
    #[error(transparent)]
    Weights(#[from] WeightsError),

    /// A tokenizer that goes with the weights.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),

    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What was attempted, as a verb ("read", "create").
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },

    /// The parts do not belong together, or are not what they should be.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
}

impl LineageError {
    /// An input or output error of one file.
    pub(crate) fn io(file: &Path, action: &'static str, source: io::Error) -> Self {
        LineageError::Io { file: file.to_owned(), action, source }
    }
}

/// One reason not to build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected {expected}, found {found}; {advice}")]
pub struct Refusal {
    /// File or folder, and the tensor or field in it.
    pub place: String,
    /// What the rule needs there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do.
    pub advice: String,
}

impl Refusal {
    /// A refusal; every part is a piece of one sentence.
    pub fn new(
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Box<Self> {
        let (place, expected) = (shown(place), shown(expected));
        Box::new(Self { place, expected, found: shown(found), advice: advice.into() })
    }
}
