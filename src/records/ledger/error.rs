//! Why a ledger cannot be used.

use std::io;
use std::path::PathBuf;

use super::line::VERSION;
use crate::engine::JournalError;

/// An error of a ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// It cannot be read.
    #[error("{}: cannot read the scores of a run: {source}", path.display())]
    Read {
        /// The file, or the folder of ledgers.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It belongs to another model.
    #[error("{}: these scores are of another model ({differences}); nothing of them is used", path.display())]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// What is not the same.
        differences: String,
    },
    /// It is in another version of the format.
    #[error(
        "{}: expected a ledger of version {VERSION}, found version {found}; use the zoo that wrote it, or start the run \
         without --resume",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version.
        found: String,
    },
    /// Nothing can be added.
    #[error(transparent)]
    Append(JournalError),
}
