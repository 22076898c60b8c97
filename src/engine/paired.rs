//! Two networks on the same tokens: how far the faster arithmetic of one is from the other's.

use ndarray::{ArrayView1, Axis};
use rayon::prelude::*;

use super::score::score_targets;
use super::{EngineError, Limits, Plan, Score, ScoreJournal, ScoreRequest, Scored};
use crate::base::progress::{self, Progress, Unit};
use crate::model::{Kept, Network};

/// Rows whose logits of both networks are held at a time.
const ROWS: usize = 64;

/// How far one network's predictions are from another's, over all scored positions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Divergence {
    /// Scored positions, each counted once.
    pub positions: u64,
    /// Σ and Σ² of the Kullback–Leibler divergence of the candidate's next-token distribution from the reference's, in nats.
    pub kl: [f64; 2],
    /// The largest of them, in nats.
    pub highest_kl: f64,
    /// Positions at which both networks have the same most probable token (the first, among equals).
    pub agreed: u64,
}

impl Divergence {
    /// Mean KL divergence in nats and its standard error.
    pub fn mean_kl(&self) -> (f64, Option<f64>) {
        mean_and_error(self.kl, self.positions)
    }

    /// The share of positions with the same most probable token, and its standard error.
    pub fn agreement(&self) -> (f64, Option<f64>) {
        let agreed = self.agreed as f64;
        mean_and_error([agreed, agreed], self.positions)
    }

    fn add(&mut self, kl: f64, agreed: bool) {
        self.positions += 1;
        self.kl[0] += kl;
        self.kl[1] += kl * kl;
        self.highest_kl = self.highest_kl.max(kl);
        self.agreed += u64::from(agreed);
    }
}

/// Mean and standard error of numbers with this sum and sum of squares.
fn mean_and_error([sum, squares]: [f64; 2], count: u64) -> (f64, Option<f64>) {
    let n = count as f64;
    let mean = sum / n;
    let variance = (squares - n * mean * mean).max(0.0) / (n - 1.0);
    (mean, (count > 1).then(|| (variance / n).sqrt()))
}

/// What two networks answered to the same requests.
#[derive(Debug, Clone)]
pub struct Paired {
    /// The candidate's answers.
    pub candidate: Scored,
    /// The reference's, in the same order.
    pub reference: Vec<Score>,
    /// How far the candidate is from it.
    pub divergence: Divergence,
}

/// Computes all requests by a candidate and by a reference, networks of one vocabulary, in waves of `limits`. The
/// candidate's answers are recorded in `journal`; nothing is taken from it, since the divergence is of all positions.
///
/// # Errors
/// As [`LocalModel::score`](super::LocalModel::score).
pub fn score_twice(
    [candidate, reference]: [&Network; 2],
    limits: Limits,
    requests: &[ScoreRequest],
    journal: &mut dyn ScoreJournal,
    progress: &dyn Progress,
) -> Result<Paired, EngineError> {
    let plan = Plan::new(requests, limits)?;
    let blank = vec![Score { logprob: 0.0, is_greedy: true }; requests.len()];
    let (mut scores, mut others) = (blank.clone(), blank);
    let mut divergence = Divergence::default();
    progress::during(progress, "scoring twice", Some(plan.tokens.computed), Unit::Tokens, || {
        plan.waves.iter().try_for_each(|wave| {
            let tokens = wave.wave.tokens.len() as u64;
            let rows = wave.scored_rows();
            let forward = |network: &Network, share: u64| {
                let hidden = network.forward(&wave.wave, Kept::Rows(&rows), &mut || {});
                progress.advance(share);
                hidden.map_err(|error| EngineError::Model { reason: error.to_string() })
            };
            let of_reference = forward(reference, tokens / 2)?;
            let of_candidate = forward(candidate, tokens - tokens / 2)?;
            score_targets(candidate, of_candidate.view(), &wave.targets, &mut scores)?;
            score_targets(reference, of_reference.view(), &wave.targets, &mut others)?;
            let [p, q] = [&of_reference, &of_candidate].map(|hidden| hidden.axis_chunks_iter(Axis(0), ROWS));
            for (p, q) in p.zip(q) {
                let (p, q) = (reference.logits(p), candidate.logits(q));
                let pairs: Vec<_> = p.axis_iter(Axis(0)).zip(q.axis_iter(Axis(0))).collect();
                let found: Vec<_> = pairs.into_par_iter().map(|(p, q)| compare(p, q)).collect();
                found.into_iter().for_each(|(kl, agreed)| divergence.add(kl, agreed));
            }
            let answers: Vec<_> =
                wave.requests().into_iter().map(|request| (&requests[request], scores[request])).collect();
            journal.record(&answers).map_err(EngineError::from)
        })
    })?;
    let candidate = Scored { scores, known: 0, tokens: plan.tokens };
    Ok(Paired { candidate, reference: others, divergence })
}

/// KL(p ‖ q) in nats of two rows of logits, and whether their first highest are at one place.
fn compare(p: ArrayView1<f32>, q: ArrayView1<f32>) -> (f64, bool) {
    let summary = |row: ArrayView1<f32>| {
        let (mut best, mut highest) = (0, f32::NEG_INFINITY);
        for (index, &logit) in row.iter().enumerate() {
            if logit > highest {
                (best, highest) = (index, logit);
            }
        }
        let sum: f64 = row.iter().map(|&logit| f64::from(logit - highest).exp()).sum();
        (best, f64::from(highest) + sum.ln())
    };
    assert_eq!(p.len(), q.len(), "one vocabulary");
    let ((best_p, log_p), (best_q, log_q)) = (summary(p), summary(q));
    let kl = p.iter().zip(q).map(|(&a, &b)| {
        let (a, b) = (f64::from(a) - log_p, f64::from(b) - log_q);
        a.exp() * (a - b)
    });
    // Rounding can leave a negative zero of 1e-17.
    (kl.sum::<f64>().max(0.0), best_p == best_q)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn divergence_is_that_of_the_definition() {
        let (p, q) = (array![0.0f32, 1.0, -1.0], array![0.5f32, 0.25, -1.0]);
        let softmax = |row: &ndarray::Array1<f32>| {
            let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            row.iter().map(|&x| f64::from(x).exp() / total).collect::<Vec<_>>()
        };
        let exact: f64 = softmax(&p).iter().zip(softmax(&q)).map(|(p, q)| p * (p / q).ln()).sum();
        let (kl, agreed) = compare(p.view(), q.view());
        assert!((kl - exact).abs() < 1e-12 && !agreed);
        assert_eq!(compare(p.view(), p.view()), (0.0, true));
        // A constant is nothing to softmax.
        assert!(compare(p.view(), (&p + 3.0).view()).0 < 1e-12);
    }

    #[test]
    fn means_have_errors() {
        let mut divergence = Divergence::default();
        for (kl, agreed) in [(0.1, true), (0.3, true), (0.2, false), (0.2, true)] {
            divergence.add(kl, agreed);
        }
        let (mean, error) = divergence.mean_kl();
        assert!((mean - 0.2).abs() < 1e-12 && (error.unwrap() - (0.02f64 / 3.0 / 4.0).sqrt()).abs() < 1e-9);
        assert_eq!((divergence.agreement().0, divergence.highest_kl), (0.75, 0.3));
        assert!((divergence.agreement().1.unwrap() - 0.25).abs() < 1e-12);
    }
}
