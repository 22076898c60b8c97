//! Drawing the next token from a row of logits.
//!
//! The rules, their order and their edges are those of transformers 4.57 (`generation/logits_process.py`, and
//! `_get_logits_processor` of `generation/utils.py`): repetition penalty, temperature, top-k, top-p, min-p. A value that is
//! neutral there (0, 1) switches its rule off here. Sums are in f64, where transformers has f32. Among equal logits the
//! lower id goes before the higher one, which decides what transformers leaves to its sort.

use std::cmp::{Ordering, Reverse};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How tokens are drawn. [`Sampling::default`] draws from the model's own distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub struct Sampling {
    /// Logits are divided by it, from 0; with 0 the most probable token is taken, after the penalty alone.
    pub temperature: f64,
    /// Only the so many most probable tokens, and those that are as probable as the last of them; 0 for all.
    pub top_k: usize,
    /// Only the most probable tokens that have this mass together, above 0; 1 for all.
    pub top_p: f64,
    /// Only tokens that have this part of the most probable one's probability, at most 1; 0 for all.
    pub min_p: f64,
    /// Logits of tokens that were there before are divided by it, or multiplied if they are negative; 1 for none.
    pub repetition_penalty: f64,
    /// Seed of all generators.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 0 }
    }
}

/// A rule of [`Sampling`] with a value that it cannot have.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{rule}: expected {expected}, found {found}")]
pub struct SamplingError {
    /// The rule's name.
    pub rule: &'static str,
    /// What its value has to be.
    pub expected: &'static str,
    /// What it is.
    pub found: f64,
}

impl Sampling {
    /// The same, if its values can be used.
    ///
    /// # Errors
    /// The first rule whose value cannot.
    pub fn checked(self) -> Result<Self, SamplingError> {
        let is = |rule, expected, found: f64, holds: bool| {
            if holds { Ok(()) } else { Err(SamplingError { rule, expected, found }) }
        };
        let Self { temperature, top_p, min_p, repetition_penalty: penalty, .. } = self;
        is("temperature", "a number from 0", temperature, temperature.is_finite() && temperature >= 0.0)?;
        is("top_p", "a number above 0 and at most 1", top_p, top_p > 0.0 && top_p <= 1.0)?;
        is("min_p", "a number from 0 to 1", min_p, (0.0..=1.0).contains(&min_p))?;
        is("repetition_penalty", "a number above 0", penalty, penalty.is_finite() && penalty > 0.0)?;
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Sampling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Sampling::deserialize(deserializer)?.checked().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Sampling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Sampling::serialize(self, serializer)
    }
}

/// Draws the tokens of one sequence.
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    random: SplitMix64,
}

/// A token that may be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    id: u32,
    /// Its probability as a multiple of the most probable token's.
    weight: f64,
}

impl Candidate {
    /// The less probable one first; of equals the one with the higher id.
    fn rank(&self, other: &Self) -> Ordering {
        self.weight.total_cmp(&other.weight).then(Reverse(self.id).cmp(&Reverse(other.id)))
    }
}

impl Sampler {
    /// A sampler for the sequence with the number `stream`: what its nth call of [`pick`](Self::pick) draws depends on seed,
    /// stream and n, and on nothing else.
    ///
    /// # Panics
    /// If the values are not [`checked`](Sampling::checked).
    pub fn new(sampling: &Sampling, stream: u64) -> Self {
        let sampling = sampling.checked().expect("the values of the rules were checked");
        // Neighbouring seeds and streams start far from each other.
        let seed = SplitMix64(sampling.seed).next();
        Self { sampling, random: SplitMix64(SplitMix64(seed ^ stream).next()) }
    }

    /// The id of the next token after those in `before` (prompt and answer so far), from finite logits, one for each token of the
    /// vocabulary.
    pub fn pick(&mut self, logits: &[f32], before: &[u32]) -> u32 {
        let draw = self.random.unit();
        draw_from(&self.candidates(logits, before), draw)
    }

    /// The tokens that may be drawn, by id.
    fn candidates(&self, logits: &[f32], before: &[u32]) -> Vec<Candidate> {
        let Sampling { temperature, top_k, top_p, min_p, repetition_penalty, .. } = self.sampling;
        let mut scores = logits.to_vec();
        if repetition_penalty != 1.0 {
            let penalty = repetition_penalty as f32;
            for &id in before {
                // Of the model's own logit: a token is punished once, however often it was there.
                let logit = logits[id as usize];
                scores[id as usize] = if logit < 0.0 { logit * penalty } else { logit / penalty };
            }
        }
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if temperature == 0.0 {
            let id = scores.iter().position(|&score| score == highest).expect("logits are finite");
            return vec![Candidate { id: id as u32, weight: 1.0 }];
        }
        let lowest = if top_k == 0 { f32::NEG_INFINITY } else { kth_highest(&scores, top_k) };
        let weight = |score: f32| ((f64::from(score) - f64::from(highest)) / temperature).exp();
        let kept = (0..).zip(&scores).filter(|(_, score)| **score >= lowest);
        let mut candidates: Vec<_> =
            kept.map(|(id, &score)| Candidate { id, weight: weight(score) }).collect();
        if top_p < 1.0 {
            keep_mass(&mut candidates, top_p);
        }
        candidates.retain(|candidate| candidate.weight >= min_p);
        candidates
    }
}

/// The `k`th highest score, or the lowest if there are fewer.
fn kth_highest(scores: &[f32], k: usize) -> f32 {
    let mut scores = scores.to_vec();
    let last = k.min(scores.len()) - 1;
    *scores.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1
}

/// Leaves the most probable candidates: those without which the others have at most a mass of 1 − `top_p`.
fn keep_mass(candidates: &mut Vec<Candidate>, top_p: f64) {
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let spare = (1.0 - top_p) * total;
    // Together those at or below the mean of what is to spare are not more than that: only the others are sorted.
    let mean = spare / candidates.len() as f64;
    let (mut sorted, rare): (Vec<_>, Vec<_>) =
        candidates.iter().copied().partition(|candidate| candidate.weight > mean || candidate.weight == 1.0);
    sorted.sort_unstable_by(Candidate::rank);
    let mut mass: f64 = rare.iter().map(|candidate| candidate.weight).sum();
    let goes = |candidate: &Candidate| {
        mass += candidate.weight;
        mass <= spare
    };
    let gone = sorted.iter().copied().take_while(goes).count();
    // The most probable one stays.
    let lowest = sorted[gone.min(sorted.len() - 1)];
    candidates.retain(|candidate| candidate.rank(&lowest).is_ge());
}

/// The candidate in whose part of the whole mass `draw` falls, a number from 0 to below 1.
fn draw_from(candidates: &[Candidate], draw: f64) -> u32 {
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let mut mass = 0.0;
    let reaches = |candidate: &&Candidate| {
        mass += candidate.weight;
        mass > draw * total
    };
    // Rounding may leave the end of the last part out.
    let drawn = candidates.iter().find(reaches).or(candidates.last());
    drawn.expect("the most probable token is a candidate").id
}

/// SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"), with the constants of Vigna's
/// `splitmix64.c`.
#[derive(Debug, Clone)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below 1, of 53 bits.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
