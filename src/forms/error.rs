//! Errors of opening, rebuilding and writing models.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::fault::{FaultKind, Refusal};
use crate::config::ConfigError;
use crate::tokenizer::TokenizerError;
use crate::weights::WeightsError;

/// Why a model is not opened, rebuilt, written or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum FormError {
    /// The weights' files themselves.
    #[error(transparent)]
    Weights(#[from] WeightsError),

    /// The configuration that goes with them.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// A tokenizer that goes with the weights.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),

    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", file.display())]
    Io {
        file: PathBuf,
        /// What was attempted, as a verb ("read", "create").
        action: &'static str,
        source: io::Error,
    },

    /// The parts do not belong together, or are not what they should be.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
}

impl FormError {
    /// An input or output error of one file.
    pub(crate) fn io(file: &Path, action: &'static str, source: io::Error) -> Self {
        FormError::Io { file: file.to_owned(), action, source }
    }

    /// What kind of fault in the model's files this is; `None` for errors that are not the files' fault.
    pub fn fault_kind(&self) -> Option<FaultKind> {
        match self {
            FormError::Weights(error) => error.fault_kind(),
            FormError::Config(error) => error.class(),
            _ => None,
        }
    }
}
