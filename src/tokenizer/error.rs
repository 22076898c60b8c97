//! What can be wrong with a tokenizer, as data: where, expected, found, what to do.

use std::path::PathBuf;

use crate::base::fault::Refusal;
use crate::weights::gguf::MetadataKindError;
use crate::weights::{FaultKind, shown};

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
    /// A file, list or text is larger than any real one.
    #[error(
        "{place}: {what} expected to be at most {limit}, found {found}; the file is damaged or not a tokenizer"
    )]
    TooLarge {
        /// File or metadata.
        place: String,
        /// What is counted, with its unit.
        what: &'static str,
        /// The largest accepted number.
        limit: u64,
        /// The number found.
        found: u64,
    },
    /// A JSON file is not JSON, or a value in it has the wrong type.
    #[error("{}: {source}", file.display())]
    Json {
        file: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// A binary model is not a valid protobuf message.
    #[error(
        "{place}: byte {offset}: expected {expected}, found {found}; the file is cut or damaged: fetch it again"
    )]
    Wire {
        kind: FaultKind,
        place: String,
        /// Offset from the start of the file.
        offset: usize,
        expected: &'static str,
        found: String,
    },
    /// A field has a value that no usable tokenizer has.
    #[error(transparent)]
    Field(#[from] Box<Refusal>),
    /// A valid tokenizer of a kind that is not implemented.
    #[error("{place}: {field}: {found} is not supported; supported: {supported}")]
    Unsupported {
        /// File or metadata.
        place: String,
        /// The field or key that selects the kind.
        field: String,
        found: String,
        supported: String,
    },
    /// A GGUF metadata value has the wrong type.
    #[error("GGUF metadata: {0}")]
    Metadata(#[from] MetadataKindError),
    /// The `tokenizers` library refused a file or a text.
    #[error("{place}: {message}")]
    Library {
        /// File or metadata.
        place: String,
        message: String,
    },
}

impl TokenizerError {
    /// What kind of fault in the tokenizer's files this is.
    pub fn class(&self) -> FaultKind {
        match self {
            TokenizerError::Io { .. } | TokenizerError::Missing { .. } => FaultKind::MissingData,
            TokenizerError::TooLarge { .. } => FaultKind::LimitExceeded,
            TokenizerError::Unsupported { .. } => FaultKind::Unsupported,
            TokenizerError::Wire { kind, .. } => *kind,
            _ => FaultKind::InconsistentHeader,
        }
    }

    /// A [`TokenizerError::Field`] from anything printable.
    pub(super) fn field(
        place: &str,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> TokenizerError {
        Refusal::of_field(place, &shown(field), expected, found).into()
    }

    /// A [`TokenizerError::Unsupported`] from anything printable.
    pub(super) fn unsupported(
        place: &str,
        field: impl Into<String>,
        found: impl Into<String>,
        supported: impl Into<String>,
    ) -> TokenizerError {
        TokenizerError::Unsupported {
            place: place.to_owned(),
            field: shown(field),
            found: shown(found),
            supported: supported.into(),
        }
    }

    /// A [`TokenizerError::TooLarge`] if `found` exceeds `limit`.
    pub(super) fn check_limit(
        place: &str,
        what: &'static str,
        limit: usize,
        found: usize,
    ) -> Result<(), TokenizerError> {
        if found <= limit {
            return Ok(());
        }
        Err(TokenizerError::TooLarge {
            place: place.to_owned(),
            what,
            limit: limit as u64,
            found: found as u64,
        })
    }
}
