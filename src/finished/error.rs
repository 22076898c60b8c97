//! Errors of reading finished runs.

use std::error::Error;

/// Any error of the rooms below.
pub(super) type Cause = Box<dyn Error + Send + Sync>;

/// What could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct FinishedError {
    /// Where, and what was expected there.
    doing: String,
    source: Option<Cause>,
}

impl FinishedError {
    /// An error that nothing else caused.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { doing: what.into(), source: None }
    }
}

/// Says of an error what was being done.
pub(super) trait During<T> {
    /// The result with `doing` before its error.
    fn during(self, doing: impl FnOnce() -> String) -> Result<T, FinishedError>;
}

impl<T, E: Into<Cause>> During<T> for Result<T, E> {
    fn during(self, doing: impl FnOnce() -> String) -> Result<T, FinishedError> {
        self.map_err(|error| FinishedError { doing: doing(), source: Some(error.into()) })
    }
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
