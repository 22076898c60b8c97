//! Errors of a tokenizer, as data: where, expected, found, what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::wire::WireError;
use crate::base::fault::{Fault, FaultKind, Refusal, shown};
use crate::base::recognise::{stand_in_for_text, without_mark};
use crate::weights::gguf::MetadataKindError;

/// Why a tokenizer cannot be loaded or a text cannot be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum TokenizerError {
    /// A file could not be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Io { file: PathBuf, source: std::io::Error },
    /// A folder has no tokenizer.
    #[error(
        "{}: expected tokenizer.json or tokenizer.model, found neither; \
         fetch the tokenizer files of the model into this folder",
        folder.display()
    )]
    Missing { folder: PathBuf },
    /// A JSON file is not JSON, or a value in it has the wrong type.
    #[error("{}: {source}", file.display())]
    Json {
        file: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// A GGUF metadata value has the wrong type.
    #[error("GGUF metadata: {0}")]
    Metadata(#[from] MetadataKindError),
    /// A file or text that cannot be used, or not here.
    #[error("{message}")]
    Refused {
        kind: FaultKind,
        /// Place, expectation, finding and advice in one sentence.
        message: String,
    },
}

impl TokenizerError {
    /// What kind of fault in the tokenizer's files this is.
    pub fn class(&self) -> FaultKind {
        match self {
            TokenizerError::Io { .. } | TokenizerError::Missing { .. } => FaultKind::MissingData,
            TokenizerError::Refused { kind, .. } => *kind,
            _ => FaultKind::InconsistentHeader,
        }
    }

    /// A field with a value that no usable tokenizer has.
    pub(super) fn field(
        place: &str,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> TokenizerError {
        let refusal = Refusal::of_field(place, &shown(field), expected, found);
        TokenizerError::Refused { kind: FaultKind::InconsistentHeader, message: refusal.to_string() }
    }

    /// A valid tokenizer of a kind that is not implemented, which `field` selects.
    pub(super) fn unsupported(
        place: &str,
        field: impl Into<String>,
        found: impl Into<String>,
        supported: impl Into<String>,
    ) -> TokenizerError {
        let (field, found, supported) = (shown(field), shown(found), supported.into());
        let message = format!("{place}: {field}: {found} is not supported; supported: {supported}");
        TokenizerError::Refused { kind: FaultKind::Unsupported, message }
    }

    /// A file, list or text that is larger than any real one; `what` is counted.
    pub(super) fn too_large(place: &str, what: &str, limit: usize, found: usize) -> TokenizerError {
        let message = format!(
            "{place}: {what} expected to be at most {limit}, found {found}; the file is damaged or not a tokenizer"
        );
        TokenizerError::Refused { kind: FaultKind::LimitExceeded, message }
    }

    /// [`too_large`](Self::too_large) if `found` exceeds `limit`.
    pub(super) fn check_limit(
        place: &str,
        what: &str,
        limit: usize,
        found: usize,
    ) -> Result<(), TokenizerError> {
        if found <= limit { Ok(()) } else { Err(Self::too_large(place, what, limit, found)) }
    }

    /// What the `tokenizers` library says of a file or a text.
    pub(super) fn library(place: &str, error: impl fmt::Display) -> TokenizerError {
        let message = format!("{place}: {}", shown(error.to_string()));
        TokenizerError::Refused { kind: FaultKind::InconsistentHeader, message }
    }

    /// A binary model that is not a valid protobuf message.
    pub(super) fn wire(place: &str, error: WireError) -> TokenizerError {
        let WireError { kind, offset, expected, found } = error;
        let message = format!(
            "{place}: byte {offset}: expected {expected}, found {found}; the file is cut or damaged: fetch it again"
        );
        TokenizerError::Refused { kind, message }
    }
}

/// The content of a JSON file. A byte order mark before it is passed over.
pub(super) fn from_json<T: DeserializeOwned>(file: &Path, bytes: &[u8]) -> Result<T, TokenizerError> {
    serde_json::from_slice(without_mark(bytes)).map_err(|source| match stand_in_for_text(bytes) {
        Some(stand_in) => stand_in.fault(file, "a JSON file").into(),
        None => TokenizerError::Json { file: file.to_owned(), source },
    })
}

/// What is no tokenizer's file at all.
impl From<Box<Fault>> for TokenizerError {
    fn from(fault: Box<Fault>) -> Self {
        TokenizerError::Refused { kind: fault.kind, message: fault.to_string() }
    }
}
