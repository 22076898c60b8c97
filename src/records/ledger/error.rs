//! Why a ledger cannot be used.

use std::io;
use std::path::PathBuf;

use super::line::VERSION;
use crate::engine::JournalError;

/// An error of a ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum LedgerError {
    /// It cannot be read.
    #[error("{}: cannot read the scores of a run: {source}", path.display())]
    Read {
        /// The file, or the folder of ledgers.
        path: PathBuf,
        source: io::Error,
    },
    /// It cannot be written.
    #[error("{}: cannot write the scores of a run: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// It belongs to another model.
    #[error("{}: these scores are of another model ({differences}); nothing of them is used", path.display())]
    OtherModel { path: PathBuf, differences: String },
    /// It is in another version of the format.
    #[error(
        "{}: expected a ledger of version {VERSION}, found version {found}; use the zoo that wrote it, or start the run \
         without --resume",
        path.display()
    )]
    Version { path: PathBuf, found: String },
    /// Nothing can be added.
    #[error(transparent)]
    Append(JournalError),
}
