//! Errors of configurations that do not run here.

use crate::base::fault::{FaultKind, Refusal};
use crate::weights::MetadataKindError;

/// A configuration that cannot be read, or that no model has.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum ConfigError {
    /// A configuration value that is missing, of the wrong kind or impossible.
    #[error(transparent)]
    Value(#[from] Box<Refusal>),
    /// A configuration value beyond that of any model; nothing is allocated for it.
    #[error(
        "{source_file}: {field}: expected at most {limit}, found {found}; no model comes near, so the file is \
         damaged: fetch it again"
    )]
    Limit { source_file: String, field: String, limit: u64, found: u64 },
    /// A model of another kind than this program runs.
    #[error("{source_file}: {field} is {found}, which zoo does not run; it runs {supported}")]
    Unsupported { source_file: String, field: String, found: String, supported: String },
    /// Weights without the file that says their shape.
    #[error(
        "{file}: expected config.json beside the weights, found no such file; fetch it from their release"
    )]
    Missing { file: String },
    /// A configuration file that the operating system does not give.
    #[error("{file}: cannot be read: {reason}")]
    Unreadable { file: String, reason: String },
    /// GGUF metadata of the wrong kind.
    #[error(transparent)]
    Metadata(#[from] MetadataKindError),
}

impl ConfigError {
    /// What kind of fault in the model's files this is; `None` for errors that are not the files' fault.
    pub fn class(&self) -> Option<FaultKind> {
        match self {
            ConfigError::Value(_) | ConfigError::Metadata(_) => Some(FaultKind::InvalidConfig),
            ConfigError::Limit { .. } => Some(FaultKind::LimitExceeded),
            ConfigError::Unsupported { .. } => Some(FaultKind::Unsupported),
            ConfigError::Missing { .. } => Some(FaultKind::MissingData),
            ConfigError::Unreadable { .. } => None,
        }
    }
}
