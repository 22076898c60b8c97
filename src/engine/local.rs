//! A model in memory behind [`LanguageModel`].

use ndarray::{ArrayView1, Axis};
use rayon::prelude::*;

use super::plan::Limits;
use super::{EngineError, LanguageModel, Plan, PlannedWave, Score, ScoreRequest, Scored};
use crate::model::Network;
use crate::progress::{Progress, Unit};

/// Rows of logits held at a time: `LOGIT_ROWS * vocab_size` numbers.
pub(super) const LOGIT_ROWS: usize = 256;

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

    fn score(&self, requests: &[ScoreRequest], progress: &dyn Progress) -> Result<Scored, EngineError> {
        let plan = Plan::new(requests, self.limits)?;
        let mut scores = vec![Score { logprob: 0.0, is_greedy: true }; requests.len()];
        progress.begin("scoring", Some(plan.tokens.computed), Unit::Tokens);
        let result = plan.waves.iter().try_for_each(|wave| self.run(wave, &mut scores, progress));
        progress.end();
        result.map(|()| Scored { scores, tokens: plan.tokens })
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
