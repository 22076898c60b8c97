//! Who follows the work while it goes on, and can end it.

use std::collections::BTreeSet;

use super::{EngineError, PlannedWave, Score};
use crate::model::ModelError;

/// Someone who follows the work. Every method has a default that does nothing.
pub trait Watch: Sync {
    /// Whether the work is to end before all answers are there; asked after every layer.
    fn is_stopped(&self) -> bool {
        false
    }

    /// These requests are computed next.
    fn begins(&mut self, _requests: &BTreeSet<usize>) {}

    /// A request is answered: by the journal, or by the wave that is done.
    fn answered(&mut self, _request: usize, _score: Score) {}
}

/// Nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}

/// Before a wave: whether it is to be computed at all, and who is told.
pub(super) fn begin(watch: &mut dyn Watch, wave: &PlannedWave) -> Result<(), EngineError> {
    if watch.is_stopped() {
        return Err(EngineError::Stopped);
    }
    watch.begins(&wave.requests());
    Ok(())
}

impl From<ModelError> for EngineError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Stopped => Self::Stopped,
            error => Self::Model { reason: error.to_string() },
        }
    }
}
