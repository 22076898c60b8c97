//! Answers that are all known: no weights are read for them.

use super::{EngineError, Journal, LanguageModel, Limits, Plan, ScoreRequest, Scored, TokenCounts};
use crate::base::progress::Progress;

/// A model of which only the journal is left, with the limits it had.
#[derive(Debug, Clone, Copy)]
pub struct Recorded(pub Limits);

impl Recorded {
    /// Whether `journal` answers every one of `requests`.
    pub fn answers<'r>(journal: &dyn Journal, requests: impl IntoIterator<Item = &'r ScoreRequest>) -> bool {
        requests.into_iter().all(|request| journal.known(request).is_some())
    }
}

impl LanguageModel for Recorded {
    fn max_length(&self) -> usize {
        self.0.max_length
    }

    fn score(
        &self,
        requests: &[ScoreRequest],
        journal: &mut dyn Journal,
        _: &dyn Progress,
    ) -> Result<Scored, EngineError> {
        // Requests are checked, and tokens counted, as for a model that computes.
        let tokens = Plan::new(requests, self.0)?.tokens;
        let score = |(request, asked)| journal.known(asked).ok_or(EngineError::NotRecorded { request });
        let scores: Vec<_> = requests.iter().enumerate().map(score).collect::<Result<_, _>>()?;
        Ok(Scored { known: scores.len(), scores, tokens: TokenCounts { computed: 0, ..tokens } })
    }
}
