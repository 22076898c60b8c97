//! Two networks on the same tokens: how far the faster arithmetic of one is from the other's.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use ndarray::{ArrayView1, Axis};
use rayon::prelude::*;

use super::local::{Steps, took};
use super::pace::Pacing;
use super::prefix::KeptPrefix;
use super::score::score_targets;
use super::watch::begin;
use super::waves::Waves;
use super::{
    EngineError, JournalError, Limits, Plan, PlannedWave, Score, ScoreJournal, ScoreRequest, Scored, Target,
    Watch,
};
use crate::base::digest::{Digest as _, Sha256};
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

/// Where the answers of two networks are kept, and how far they are from each other at each position.
pub struct Journals<'j> {
    /// The candidate's answers.
    pub candidate: &'j mut dyn ScoreJournal,
    /// The reference's.
    pub reference: &'j mut dyn ScoreJournal,
    /// Of each scored position the KL divergence in place of a log-probability, and whether the most probable tokens are the
    /// same. Its requests are no texts but digests of positions.
    pub positions: &'j mut dyn ScoreJournal,
}

impl Journals<'_> {
    /// Both answers and nothing missing about the positions that they are made of.
    fn known(&self, request: &ScoreRequest, positions: &[Position]) -> Option<[Score; 2]> {
        let both = [self.candidate.known(request)?, self.reference.known(request)?];
        positions.iter().all(|position| self.positions.known(&position.request()).is_some()).then_some(both)
    }

    /// Keeps what a wave gave. Positions come first, so whatever has both answers has all of its positions.
    fn record(
        &mut self,
        positions: &[(Position, Score)],
        candidate: &[(&ScoreRequest, Score)],
        reference: &[(&ScoreRequest, Score)],
    ) -> Result<(), JournalError> {
        let named: Vec<(ScoreRequest, Score)> =
            positions.iter().map(|(position, score)| (position.request(), *score)).collect();
        let named: Vec<(&ScoreRequest, Score)> =
            named.iter().map(|(request, score)| (request, *score)).collect();
        self.positions.record(&named)?;
        self.reference.record(reference)?;
        self.candidate.record(candidate)
    }
}

/// Answers all requests by a candidate and by a reference, networks of one vocabulary, in waves of `limits`: from the
/// journals what all of them know, else computed and recorded there.
///
/// # Errors
/// As [`LocalModel::score`](super::LocalModel::score).
pub fn score_twice(
    [candidate, reference]: [&Network; 2],
    (limits, pacing): (Limits, Pacing),
    requests: &[ScoreRequest],
    journals: &mut Journals<'_>,
    watch: &mut dyn Watch,
    progress: &dyn Progress,
) -> Result<Paired, EngineError> {
    let plan = Plan::new(requests, limits)?;
    let positions: Vec<Vec<Position>> =
        requests.iter().map(|request| Position::all_of(request, limits)).collect();
    let known: Vec<Option<[Score; 2]>> =
        requests.iter().zip(&positions).map(|(request, own)| journals.known(request, own)).collect();
    for (request, both) in known.iter().enumerate() {
        both.iter().for_each(|[score, _]| watch.answered(request, *score));
    }
    let mut waves = Waves::new(plan, pacing, |request| known[request].is_some());
    let blank = vec![Score { logprob: 0.0, is_greedy: true }; requests.len()];
    let mut prefixes = [KeptPrefix::new(reference), KeptPrefix::new(candidate)];
    let (mut scores, mut others) = (blank.clone(), blank);
    progress::during(progress, "scoring twice", Some(waves.left()), Unit::Tokens, || {
        while let Some(wave) = waves.next() {
            let begun = Instant::now();
            begin(watch, &wave)?;
            let rows = wave.scored_rows();
            let mut waited = Duration::ZERO;
            let mut forward = |network: &Network, prefix: &mut KeptPrefix, share: u64| {
                let mut steps = Steps::new(share, network.layers.len(), watch, progress);
                let kept = Kept::Rows(&rows);
                let hidden = prefix.forward(network, &wave.wave, kept, &mut |time| steps.layer(time))?;
                waited += steps.waited;
                Ok::<_, EngineError>(hidden)
            };
            let of_reference = forward(reference, &mut prefixes[0], wave.fresh / 2)?;
            let of_candidate = forward(candidate, &mut prefixes[1], wave.fresh - wave.fresh / 2)?;
            score_targets(candidate, of_candidate.view(), &wave.targets, &mut scores)?;
            score_targets(reference, of_reference.view(), &wave.targets, &mut others)?;
            let mut apart = Vec::with_capacity(rows.len());
            let [p, q] = [&of_reference, &of_candidate].map(|hidden| hidden.axis_chunks_iter(Axis(0), ROWS));
            for (p, q) in p.zip(q) {
                let (p, q) = (reference.logits(p), candidate.logits(q));
                let pairs: Vec<_> = p.axis_iter(Axis(0)).zip(q.axis_iter(Axis(0))).collect();
                apart.par_extend(pairs.into_par_iter().map(|(p, q)| {
                    let (kl, agreed) = compare(p, q);
                    Score { logprob: kl, is_greedy: agreed }
                }));
            }
            waves.took(took(&wave, begun, waited));

            let places = of_rows(&wave, &positions);
            assert_eq!(places.len(), apart.len(), "a position for every row");
            let apart: Vec<(Position, Score)> = places.into_iter().zip(apart).collect();
            let new = || wave.requests().into_iter().filter(|&request| known[request].is_none());
            let answers = |scores: &[Score]| -> Vec<_> {
                new().map(|request| (&requests[request], scores[request])).collect()
            };
            journals.record(&apart, &answers(&scores), &answers(&others))?;
            new().for_each(|request| watch.answered(request, scores[request]));
        }
        Ok::<(), EngineError>(())
    })?;
    for (request, both) in known.iter().enumerate() {
        both.iter().for_each(|&[score, other]| (scores[request], others[request]) = (score, other));
    }
    let divergence = divergence(&positions, journals.positions);
    let candidate = Scored { scores, known: known.iter().flatten().count(), tokens: waves.tokens() };
    Ok(Paired { candidate, reference: others, divergence })
}

/// A place in a text at which a next token is predicted: a digest of everything that the prediction depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Position([u8; 16]);

impl Position {
    /// The positions at which a request is scored, in the order of its tokens.
    fn all_of(request: &ScoreRequest, limits: Limits) -> Vec<Self> {
        let tokens: Vec<u32> = request.context.iter().chain(&request.continuation).copied().collect();
        let inputs = &tokens[request.truncated(limits.max_length)..tokens.len() - 1];
        let dependent = limits.length_dependent_beyond.is_some_and(|limit| inputs.len() > limit);
        let length = if dependent { inputs.len() as u64 } else { 0 };
        let mut hasher = Sha256::new().chain_update(length.to_le_bytes());
        let mut all = Vec::with_capacity(request.continuation.len());
        for (at, token) in inputs.iter().enumerate() {
            hasher.update(token.to_le_bytes());
            if at + request.continuation.len() >= inputs.len() {
                all.push(Self(*hasher.clone().finalize().first_chunk().expect("SHA-256 has 32 bytes")));
            }
        }
        all
    }

    /// Its name in a journal.
    fn request(self) -> ScoreRequest {
        let words =
            self.0.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes")));
        ScoreRequest { context: words.collect(), continuation: vec![0] }
    }
}

/// The positions of a wave's scored rows, in their order.
fn of_rows(wave: &PlannedWave, positions: &[Vec<Position>]) -> Vec<Position> {
    // Targets of one request stand in the order of its tokens.
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let mut position = |target: &Target| {
        let nth = seen.entry(target.request).or_default();
        *nth += 1;
        positions[target.request][*nth - 1]
    };
    let of_targets: Vec<Position> = wave.targets.iter().map(&mut position).collect();
    let rows = wave.targets.iter().zip(of_targets).collect::<Vec<_>>();
    rows.chunk_by(|(a, _), (b, _)| a.row == b.row).map(|same| same[0].1).collect()
}

/// Over all positions, each once, in the order of the requests: whatever the waves were.
fn divergence(positions: &[Vec<Position>], journal: &dyn ScoreJournal) -> Divergence {
    let mut divergence = Divergence::default();
    let mut counted = HashSet::new();
    for position in positions.iter().flatten().filter(|position| counted.insert(**position)) {
        let Score { logprob: kl, is_greedy: agreed } =
            journal.known(&position.request()).expect("a position that was computed is kept");
        divergence.add(kl, agreed);
    }
    divergence
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
    fn a_position_is_what_was_read_until_then() {
        let limits = |beyond| Limits {
            max_length: 4,
            vocab_size: 10,
            wave_tokens: 100,
            length_dependent_beyond: beyond,
        };
        let at = |context: &[u32], continuation: &[u32], beyond| {
            let request = ScoreRequest { context: context.into(), continuation: continuation.to_vec() };
            Position::all_of(&request, limits(beyond))
        };
        // The last token is never read, so four letters after one question are one position.
        assert_eq!(at(&[1, 2], &[3], None), at(&[1, 2], &[4], None));
        // Two requests that score a position each from another side.
        assert_eq!(at(&[1, 2], &[3, 4], None)[0], at(&[1, 2], &[5], None)[0]);
        assert_eq!(at(&[1, 2], &[3, 4], None)[1], at(&[1, 2, 3], &[9], None)[0]);
        // What was cut is not read.
        assert_eq!(at(&[7, 8, 1, 2, 3], &[4], None), at(&[8, 1, 2, 3], &[5], None));
        // Where the length matters, it belongs to the position.
        assert_ne!(at(&[1], &[2, 3], Some(1))[0], at(&[1], &[2], Some(1))[0]);
        assert_eq!(at(&[1], &[2, 3], Some(2))[0], at(&[1], &[2], Some(2))[0]);
        let name = at(&[1, 2], &[3], None)[0].request();
        assert_eq!((name.context.len(), name.continuation.len()), (4, 1));
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
