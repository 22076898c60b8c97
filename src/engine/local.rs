//! A model on this machine, wave by wave.

use super::plan::Limits;
use super::score::score_targets;
use super::{EngineError, Plan, PlannedWave, Score, ScoreJournal, ScoreRequest, Scored, TokenCounts};
use crate::base::progress::{self, Progress, Unit};
use crate::model::{Kept, Network};

/// A [`Network`] and how it is run.
pub struct LocalModel {
    model: Network,
    limits: Limits,
}

impl LocalModel {
    /// A model that works in waves of these limits.
    pub fn new(model: Network, limits: Limits) -> Self {
        Self { model, limits }
    }

    /// Runs one wave and folds the logits of its scored rows into `scores`.
    fn run(
        &self,
        planned: &PlannedWave,
        scores: &mut [Score],
        progress: &dyn Progress,
    ) -> Result<(), EngineError> {
        let tokens = planned.wave.tokens.len() as u64;
        let layers = self.model.layers.len() as u64;
        let mut layer = 0;
        let rows = planned.scored_rows();
        let hidden = self.model.forward(&planned.wave, Kept::Rows(&rows), &mut || {
            progress.advance(tokens * (layer + 1) / layers - tokens * layer / layers);
            layer += 1;
        });
        let hidden = hidden.map_err(|error| EngineError::Model { reason: error.to_string() })?;
        score_targets(&self.model, hidden.view(), &planned.targets, scores)
    }

    /// Answers all requests, in their order: from `journal` what it knows, else computed and recorded there as they come.
    ///
    /// The bits are those of a journal that knew nothing, however much it knows now: a run that was killed and goes on ends in
    /// the same numbers.
    ///
    /// # Errors
    /// Requests that cannot be scored, weights that cannot be read, and answers that cannot be kept.
    pub fn score(
        &self,
        requests: &[ScoreRequest],
        journal: &mut dyn ScoreJournal,
        progress: &dyn Progress,
    ) -> Result<Scored, EngineError> {
        // The plan is over all requests, known or not, and a wave is computed whole or not at all: products of
        // another shape may differ in their last bits.
        let plan = Plan::new(requests, self.limits)?;
        let known: Vec<Option<Score>> = requests.iter().map(|request| journal.known(request)).collect();
        let missing = |wave: &&PlannedWave| wave.targets.iter().any(|target| known[target.request].is_none());
        let waves: Vec<&PlannedWave> = plan.waves.iter().filter(missing).collect();
        let computed = waves.iter().map(|wave| wave.wave.tokens.len() as u64).sum();

        let mut scores = vec![Score { logprob: 0.0, is_greedy: true }; requests.len()];
        progress::during(progress, "scoring", Some(computed), Unit::Tokens, || {
            waves.into_iter().try_for_each(|wave| {
                self.run(wave, &mut scores, progress)?;
                let new = wave.requests().into_iter().filter(|&request| known[request].is_none());
                let answers: Vec<_> = new.map(|request| (&requests[request], scores[request])).collect();
                journal.record(&answers).map_err(EngineError::from)
            })
        })?;
        for (score, known) in scores.iter_mut().zip(&known) {
            *score = known.unwrap_or(*score);
        }
        let known = known.iter().flatten().count();
        Ok(Scored { scores, known, tokens: TokenCounts { computed, ..plan.tokens } })
    }
}
