//! Errors that stop a run.

use std::error::Error;
use std::path::PathBuf;

use crate::base::progress::Turn;

/// Any error of the rooms that a run goes through.
pub(super) type Cause = Box<dyn Error + Send + Sync>;

/// An error of a run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum RunError {
    /// A mistake in what was asked for, not in the work.
    #[error("{0}")]
    Usage(String),
    /// What was being done when something failed.
    #[error("{doing}")]
    During {
        /// In words.
        doing: String,
        source: Cause,
    },
    /// Somebody asked for the end.
    #[error("{0}")]
    Stopped(Box<Stopped>),
    /// What one of the rooms says.
    #[error(transparent)]
    Room(Cause),
}

/// A run that was stopped, and what of it is kept.
#[derive(Debug, thiserror::Error)]
#[error("{kept} of {asked} requests of {} are kept in {}{}", turn.name, ledger.display(), Self::of_models(turn))]
pub struct Stopped {
    /// The model that was at work.
    pub turn: Turn,
    /// Its requests with a score.
    pub kept: usize,
    /// All of them.
    pub asked: usize,
    /// The ledger that has them.
    pub ledger: PathBuf,
    /// The folder of the run.
    pub folder: PathBuf,
}

impl Stopped {
    fn of_models(turn: &Turn) -> String {
        if turn.of > 1 { format!(" (model {} of {})", turn.number, turn.of) } else { String::new() }
    }
}

impl RunError {
    /// What stops the work here, in words.
    pub(super) fn room(text: String) -> Self {
        Self::Room(text.into())
    }
}

/// Errors that speak for themselves.
macro_rules! from_rooms {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for RunError {
            fn from(error: $error) -> Self {
                Self::Room(error.into())
            }
        })*
    };
}

from_rooms!(
    crate::base::yaml::FileError,
    crate::engine::EngineError,
    crate::engine::TooLarge,
    crate::evaluate::EvaluateError,
    crate::finished::FinishedError,
    crate::forms::FormError,
    crate::hub::HubError,
    crate::model::ModelError,
    crate::prompts::PromptError,
    crate::records::AnswersError,
    crate::records::LedgerError,
    crate::remote::RemoteError,
    crate::sandbox::SandboxError,
    crate::tasks::TaskError,
    crate::tokenizer::TokenizerError,
    crate::weights::WeightsError,
    csv::Error,
    serde_json::Error,
    serde_yaml::Error,
    std::io::Error,
);

/// Says of an error what was being done.
pub(super) trait During<T> {
    /// The result with `doing` before its error.
    fn during(self, doing: impl FnOnce() -> String) -> Result<T, RunError>;
}

impl<T, E: Into<Cause>> During<T> for Result<T, E> {
    fn during(self, doing: impl FnOnce() -> String) -> Result<T, RunError> {
        self.map_err(|error| RunError::During { doing: doing(), source: error.into() })
    }
}
