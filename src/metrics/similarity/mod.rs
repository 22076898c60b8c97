//! How alike two texts are: BLEU, chrF, TER and ROUGE, to the last digit as the reference harness computes them.

use std::collections::HashMap;
use std::hash::Hash;

mod bleu;
mod chrf;
mod rouge;
mod ter;

pub use bleu::{BleuCounts, BleuTokenizer, sentence_bleu};
pub use chrf::ChrfCounts;
pub use rouge::{Rouge, rouge};
pub use ter::TerCounts;

/// What one answer against its reference adds to a score of all answers together.
pub trait Counts: Copy + Default + Sync {
    /// Two answers together.
    #[must_use]
    fn and(self, other: Self) -> Self;

    /// The score of all that was counted, in per cent.
    fn score(&self) -> f64;
}

/// The score of several answers together.
pub fn corpus_score<C: Counts>(answers: &[C]) -> f64 {
    answers.iter().copied().fold(C::default(), C::and).score()
}

/// How often each run of `n` items in a row is there.
fn ngrams<T: Eq + Hash>(items: &[T], n: usize) -> HashMap<&[T], u64> {
    let mut counts = HashMap::new();
    for ngram in items.windows(n) {
        *counts.entry(ngram).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What differs where sums of the same numbers have another order.
    const SUMS: f64 = 1e-9;

    #[test]
    fn scores_are_those_of_sacrebleu() {
        let stored: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/metrics/similarity.json")).unwrap();
        for corpus in stored.as_array().unwrap() {
            let pairs: Vec<[&str; 2]> = corpus["pairs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| [0, 1].map(|at| pair[at].as_str().unwrap()))
                .collect();
            let chrf = |words| pairs.iter().map(|[r, a]| ChrfCounts::of(r, a, words)).collect::<Vec<_>>();
            let ter: Vec<TerCounts> = pairs.iter().map(|[r, a]| TerCounts::of(r, a)).collect();
            for (name, found) in [
                ("chrf", corpus_score(&chrf(false))),
                ("chrf++", corpus_score(&chrf(true))),
                ("ter", corpus_score(&ter)),
            ] {
                let expected = corpus[name].as_f64().unwrap();
                assert!((found - expected).abs() < SUMS, "{name} of {pairs:?}: {found}, not {expected}");
            }
        }
    }
}
