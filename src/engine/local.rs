//! A model in memory behind [`LanguageModel`].

use ndarray::{ArrayView1, Axis};
use rayon::prelude::*;

use super::plan::Limits;
use super::{
    EngineError, Journal, LanguageModel, Plan, PlannedWave, Score, ScoreRequest, Scored, TokenCounts,
};
use crate::model::Network;
use crate::progress::{Progress, Unit};

/// Rows of logits held at a time: `LOGIT_ROWS * vocab_size` numbers.
const LOGIT_ROWS: usize = 256;

/// A [`Network`] and how it is run.
pub struct LocalModel {
    model: Box<dyn Network>,
    limits: Limits,
}

impl LocalModel {
    /// A model that works in waves of these limits.
    pub fn new(model: Box<dyn Network>, limits: Limits) -> Self {
        Self { model, limits }
    }

    /// Runs one wave and folds the logits of its scored rows into `scores`.
    fn run(
        &self,
        planned: &PlannedWave,
        scores: &mut [Score],
        progress: &dyn Progress,
    ) -> Result<(), EngineError> {
        let (tokens, layers) = (planned.wave.tokens.len() as u64, self.model.num_hidden_layers() as u64);
        let mut layer = 0;
        let hidden = self.model.forward(&planned.wave, &mut || {
            progress.advance(tokens * (layer + 1) / layers - tokens * layer / layers);
            layer += 1;
        });
        // Targets are sorted by row; those of one row read the same logits.
        let by_row: Vec<_> = planned.targets.chunk_by(|a, b| a.row == b.row).collect();
        for block in by_row.chunks(LOGIT_ROWS) {
            let rows: Vec<usize> = block.iter().map(|targets| targets[0].row).collect();
            let logits = self.model.logits(hidden.select(Axis(0), &rows).view());
            let summaries: Vec<Summary> =
                logits.axis_iter(Axis(0)).into_par_iter().map(|row| Summary::of(row)).collect();
            for ((targets, logits), summary) in block.iter().zip(logits.rows()).zip(summaries) {
                for target in *targets {
                    let score = &mut scores[target.request];
                    let logprob = f64::from(logits[target.token as usize]) - summary.log_sum_exp;
                    if !logprob.is_finite() {
                        return Err(EngineError::NotFinite { request: target.request });
                    }
                    score.logprob += logprob;
                    score.is_greedy &= summary.argmax == target.token as usize;
                }
            }
        }
        Ok(())
    }
}

impl LanguageModel for LocalModel {
    fn max_length(&self) -> usize {
        self.limits.max_length
    }

    fn score(
        &self,
        requests: &[ScoreRequest],
        journal: &mut dyn Journal,
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
        progress.begin("scoring", Some(computed), Unit::Tokens);
        let result = waves.into_iter().try_for_each(|wave| {
            self.run(wave, &mut scores, progress)?;
            let new = wave.requests().into_iter().filter(|&request| known[request].is_none());
            let answers: Vec<_> = new.map(|request| (&requests[request], scores[request])).collect();
            journal.record(&answers).map_err(EngineError::from)
        });
        progress.end();
        result?;
        for (score, known) in scores.iter_mut().zip(&known) {
            *score = known.unwrap_or(*score);
        }
        let known = known.iter().flatten().count();
        Ok(Scored { scores, known, tokens: TokenCounts { computed, ..plan.tokens } })
    }
}

/// What of a row of logits is needed to score any token of it.
struct Summary {
    log_sum_exp: f64,
    /// The first of the highest.
    argmax: usize,
}

impl Summary {
    fn of(logits: ArrayView1<f32>) -> Self {
        let mut argmax = 0;
        let mut highest = f32::NEG_INFINITY;
        for (index, &logit) in logits.iter().enumerate() {
            if logit > highest {
                (argmax, highest) = (index, logit);
            }
        }
        // f32 exponentials summed in f64, as many terms are tiny.
        let sum: f64 = logits.iter().map(|&logit| f64::from(crate::kernels::exp::exp(logit - highest))).sum();
        Self { log_sum_exp: f64::from(highest) + sum.ln(), argmax }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_row_is_summed_and_ties_go_to_the_first() {
        let summary = Summary::of(array![1.0f32, 3.0, -2.0, 3.0].view());
        let exact = (1f64.exp() + 2.0 * 3f64.exp() + (-2f64).exp()).ln();
        assert_eq!(summary.argmax, 1);
        assert!((summary.log_sum_exp - exact).abs() < 1e-6);
    }
}
