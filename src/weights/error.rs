//! What can be wrong with a weights file, as data: kind, place, expected, found.

use std::path::PathBuf;

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// No tensor of that name.
    #[error("{}: no tensor named {name:?}", file.display())]
    MissingTensor {
        /// The file or folder that was searched.
        file: PathBuf,
        /// The name asked for.
        name: String,
    },
}
