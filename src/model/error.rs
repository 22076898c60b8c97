//! Why a model cannot be made from its files.

use crate::base::fault::FaultKind;
use crate::config::ConfigError;
use crate::weights::WeightsError;

/// Why a network cannot be made or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum ModelError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor whose shape contradicts the configuration.
    #[error(
        "{file}: tensor {tensor:?} has shape {found:?}, but {config} asks for {expected:?}; \
         the weights and the configuration do not belong together"
    )]
    Shape {
        /// File or folder of the weights.
        file: String,
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
        tensor: String,
        config: String,
    },
    /// Tensors of more bytes than can be counted.
    #[error(
        "up to tensor {tensor:?}, the sizes add up to more bytes than can be counted; no model comes near, so the header is \
         damaged: fetch the file again"
    )]
    Uncountable { tensor: String },
    /// The system gives no threads.
    #[error(
        "cannot start the threads that read weights: {reason}; close other programs or raise the limit (ulimit -u)"
    )]
    Threads { reason: String },
    /// Reading or a pass that was broken off, because somebody asked for it.
    #[error("the work on the model was broken off")]
    Stopped,
    /// The weights themselves.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl ModelError {
    /// What kind of fault in the model's files this is; `None` for errors that are not the files' fault.
    pub fn class(&self) -> Option<FaultKind> {
        match self {
            ModelError::Config(error) => error.class(),
            ModelError::Uncountable { .. } => Some(FaultKind::LimitExceeded),
            ModelError::Shape { .. } => Some(FaultKind::ShapeMismatch),
            ModelError::MissingTensor { .. } | ModelError::Weights(WeightsError::MissingTensor { .. }) => {
                Some(FaultKind::MissingData)
            }
            ModelError::Weights(error) => error.fault_kind(),
            ModelError::Threads { .. } | ModelError::Stopped => None,
        }
    }
}
