//! Errors of weights that cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use super::Dtype;
use crate::base::fault::{Fault, FaultKind};

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum WeightsError {
    /// No tensor of that name.
    #[error("{}: no tensor named {name:?}", file.display())]
    MissingTensor { file: PathBuf, name: String },

    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", file.display())]
    Io {
        file: PathBuf,
        /// What was attempted, as a verb ("open", "list").
        action: &'static str,
        source: io::Error,
    },

    /// The file is damaged, hostile, or of a form that is not read.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),

    /// The bytes given for widening do not fit the number of elements.
    #[error("{dtype} data for {elements} elements: expected {expected}, found {found} bytes")]
    WidenLength {
        dtype: Dtype,
        /// The number of elements asked for.
        elements: usize,
        /// The bytes they take, or why they cannot be counted.
        expected: String,
        /// The bytes given.
        found: usize,
    },

    /// The type is known, but its values are not exactly numbers of f32.
    #[error("{dtype} tensors are not widened to f32: expected a float, a block format or a small integer")]
    NotWidenable { dtype: Dtype },

    /// A value that the other type has no number for.
    #[error(
        "tensor {tensor:?}: element {element} is {found}: expected a finite value that {dtype} can hold; \
         choose bf16 or f32, whose range is larger, or fetch the weights again if they are damaged"
    )]
    OutOfRange {
        tensor: String,
        dtype: Dtype,
        /// Index of the first such element in row-major order.
        element: usize,
        found: f32,
    },

    /// Rows that are not whole blocks of the type they were to become.
    #[error(
        "tensor {tensor:?} of shape {shape:?}: expected rows of whole {dtype} blocks, a multiple of {}; \
         store it as F16 or F32",
        dtype.block_size()
    )]
    NotWholeBlocks { tensor: String, dtype: Dtype, shape: Vec<usize> },

    /// Values of this type are not made here.
    #[error("{dtype} tensors are not written from f32: expected F32, F16, BF16, Q8_0 or Q4_0")]
    NotNarrowable { dtype: Dtype },
}

impl WeightsError {
    /// The kind of a [`WeightsError::Fault`]; `None` for the other errors.
    pub fn fault_kind(&self) -> Option<FaultKind> {
        match self {
            WeightsError::Fault(fault) => Some(fault.kind),
            _ => None,
        }
    }

    /// An input or output error of one file.
    pub(crate) fn io(file: &Path, action: &'static str, source: io::Error) -> Self {
        WeightsError::Io { file: file.to_owned(), action, source }
    }
}
