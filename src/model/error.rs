//! Why a model cannot be made from its files.

use crate::weights::{FaultKind, MetadataKindError, WeightsError};

/// An error of the model room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A configuration value that is missing, of the wrong kind or impossible.
    #[error("{source_file}: {field}: expected {expected}, found {found}")]
    Config {
        /// The file (or metadata section) with the value.
        source_file: String,
        /// The key.
        field: String,
        /// What a valid file has there.
        expected: String,
        /// What this one has.
        found: String,
    },
    /// A configuration value beyond that of any model; nothing is allocated for it.
    #[error(
        "{source_file}: {field}: expected at most {limit}, found {found}; no model comes near, so the file is \
         damaged: fetch it again"
    )]
    Limit {
        /// The file with the value.
        source_file: String,
        /// The key.
        field: String,
        /// The largest value that is accepted.
        limit: u64,
        /// The value.
        found: u64,
    },
    /// A model of another kind than this program runs.
    #[error("{source_file}: {field} is {found}, which zoo does not run; it runs {supported}")]
    Unsupported {
        /// The file that says so.
        source_file: String,
        /// The key.
        field: String,
        /// Its value.
        found: String,
        /// What would work.
        supported: String,
    },
    /// A configuration file that the operating system does not give.
    #[error("{file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What happened.
        reason: String,
    },
    /// A tensor whose shape contradicts the configuration.
    #[error(
        "{file}: tensor {tensor:?} has shape {found:?}, but {config} asks for {expected:?}; \
         the weights and the configuration do not belong together"
    )]
    Shape {
        /// File or folder of the weights.
        file: String,
        /// The tensor.
        tensor: String,
        /// Where the expectation comes from.
        config: String,
        /// Shape by the configuration.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor that the configuration asks for and the files do not hold.
    #[error(
        "{file}: expected tensor {tensor:?}, which {config} asks for, found none of that name; the weights are \
         incomplete or belong to another configuration: fetch both from one release"
    )]
    MissingTensor {
        /// File or folder of the weights.
        file: String,
        /// The tensor.
        tensor: String,
        /// What asks for it.
        config: String,
    },
    /// The system gives no threads.
    #[error(
        "cannot start the threads that read weights: {reason}; close other programs or raise the limit (ulimit -u)"
    )]
    Threads {
        /// What it says.
        reason: String,
    },
    /// The weights themselves.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// GGUF metadata of the wrong kind.
    #[error(transparent)]
    Metadata(#[from] MetadataKindError),
}

impl ModelError {
    /// What kind of fault in the model's files this is; `None` for errors that are not the files' fault.
    pub fn class(&self) -> Option<FaultKind> {
        match self {
            ModelError::Config { .. } | ModelError::Metadata(_) => Some(FaultKind::InvalidConfig),
            ModelError::Limit { .. } => Some(FaultKind::LimitExceeded),
            ModelError::Unsupported { .. } => Some(FaultKind::Unsupported),
            ModelError::Shape { .. } => Some(FaultKind::ShapeMismatch),
            ModelError::MissingTensor { .. } | ModelError::Weights(WeightsError::MissingTensor { .. }) => {
                Some(FaultKind::MissingData)
            }
            ModelError::Weights(error) => error.fault_kind(),
            ModelError::Unreadable { .. } | ModelError::Threads { .. } => None,
        }
    }
}
