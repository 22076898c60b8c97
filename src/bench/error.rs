//! Errors of a measurement.

use std::path::PathBuf;

use crate::engine::{EngineError, amount};
use crate::model::ModelError;

/// An error of the bench room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum BenchError {
    /// The model cannot be made or run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The sequence cannot be laid out.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// More memory than there is.
    #[error(
        "{name} needs {} of memory in precision {precision} with {tokens} tokens, and {} are free; take fewer layers \
         (--layers), shorter sequences (--tokens) or a smaller model",
        amount(*needed), amount((*available).into())
    )]
    TooLarge {
        name: String,
        precision: crate::kernels::Precision,
        /// The longest sequence.
        tokens: usize,
        /// Bytes for all of it.
        needed: u128,
        /// Bytes that are free.
        available: u64,
    },
    /// A file that cannot be read for measuring.
    #[error("{}: cannot read: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    /// A file that has no speeds of other programs.
    #[error(
        "expected what llama-bench -o csv prints, or a table with the columns program, what, tokens, threads and value, {reason}"
    )]
    Peers { reason: String },
    /// A file that is no table of measurements.
    #[error("expected a table that zoo bench wrote (--out or --format csv), {reason}")]
    Table { reason: String },
}
