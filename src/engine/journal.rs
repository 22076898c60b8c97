//! Journal of scores: those known before the work, and those added while it goes on.
//!
//! A run that is killed has lost nothing but the wave it was in: the model hands over its answers as they come, and asks
//! for those that are there already.

use super::{EngineError, Limits, Plan, Score, ScoreRequest, Scored};

/// A memory of answered requests.
pub trait ScoreJournal {
    /// The answer, if it is known.
    fn known(&self, request: &ScoreRequest) -> Option<Score>;

    /// Takes in new answers. When this returns, they are kept even if the program is killed.
    ///
    /// # Errors
    /// They cannot be kept; the work then stops.
    fn record(&mut self, answers: &[(&ScoreRequest, Score)]) -> Result<(), JournalError>;
}

/// Why answers cannot be kept, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JournalError(pub String);

/// Knows nothing and keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

impl ScoreJournal for NoJournal {
    fn known(&self, _: &ScoreRequest) -> Option<Score> {
        None
    }

    fn record(&mut self, _: &[(&ScoreRequest, Score)]) -> Result<(), JournalError> {
        Ok(())
    }
}

/// The answers to all requests from `journal` alone, so that no weights have to be read; `None` if it lacks one.
///
/// # Errors
/// Requests that a model of these limits refuses.
pub fn recall(
    requests: &[ScoreRequest],
    limits: Limits,
    journal: &dyn ScoreJournal,
) -> Result<Option<Scored>, EngineError> {
    let known: Option<Vec<Score>> = requests.iter().map(|request| journal.known(request)).collect();
    let Some(scores) = known else { return Ok(None) };
    // Requests are checked, and tokens counted, as by a model that computes.
    let tokens = Plan::new(requests, limits)?.tokens;
    Ok(Some(Scored { known: scores.len(), scores, tokens }))
}
