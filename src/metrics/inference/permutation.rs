//! Paired permutation tests: what would be seen if it made no difference which model an answer is of.
//!
//! If two models are equally good, the sides of any document's two answers may be changed. The p is the share of all such
//! arrangements whose difference is at least as large, either way, as the one that was seen: E. Pitman, Suppl. J. R. Statist.
//! Soc. 4, 1937; for scores of whole corpora "approximate randomization", S. Riezler and J. Maxwell, 2005. Where documents are in
//! clusters, whole clusters change sides.
//!
//! Arrangements are all taken where they are few, else drawn at random, and what was seen counts as one of them, so that p
//! is (k + 1) / (m + 1) and no p is 0: B. Phipson and G. Smyth, Stat. Appl. Genet. Mol. Biol. 9, 2010.

use rayon::prelude::*;

use super::Clusters;
use crate::python::random::PyRandom;

/// Clusters that are not the same on both sides, up to which all 2ᵏ arrangements of sums are taken.
const ALL_OF_SUMS: usize = 20;
/// The same where each arrangement has to be scored anew: no more than would be drawn.
const ALL_OF_SCORES: usize = 13;
/// Arrangements drawn from one generator; chunk `i` is seeded with `i`.
const CHUNK: usize = 1000;
/// How many are drawn at first, less the one that was seen,
const FIRST: usize = 10_000;
/// and how many if fewer than [`ENOUGH`] of the first were as extreme, so that a small p has its digits too.
const MOST: usize = 100_000;
const ENOUGH: usize = 20;
/// Differences up to which so many are drawn: a table of many models and large groups is to take seconds.
const FEW: usize = 2000;
/// Sums of the same numbers in another order differ by rounding; they are equal as far as ranks go.
const ROUNDING: f64 = 1e-12;

/// The outcome of a permutation test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Permutation {
    /// Two-sided.
    pub p: f64,
    /// How many arrangements it is a share of, with that which was seen.
    pub arrangements: usize,
    /// Whether these are all there are.
    pub exact: bool,
}

/// Of a difference of means: one number for each document or cluster, the sum of its differences, times any weight. 1 if there
/// is no difference at all.
///
/// Two bits draw no better than one: bit `b` of `PyRandom::next_u32` is the sign of one cluster that is not 0, in their order, from the
/// lowest bit of a word on, and a new arrangement begins with a new word.
pub fn sign_flips(sums: &[f64]) -> Permutation {
    let sums: Vec<f64> = sums.iter().copied().filter(|sum| *sum != 0.0).collect();
    let seen = sums.iter().sum::<f64>().abs();
    let least = seen - ROUNDING * sums.iter().map(|sum| sum.abs()).sum::<f64>();
    if sums.len() <= ALL_OF_SUMS {
        let (low, high) = sums.split_at(sums.len() / 2);
        let [low, high] = [low, high].map(all_signs);
        let extreme = |own: &f64| low.iter().filter(|other| (*own + **other).abs() >= least).count();
        return all(high.iter().map(extreme).sum(), low.len() * high.len());
    }
    // The sums of four clusters with every combination of signs: a quarter of the additions.
    let fours: Vec<[f64; 16]> = sums.chunks(4).map(signed).collect();
    let most = if sums.len() > FEW { FIRST } else { MOST };
    drawn(most, |random| {
        let mut partial = [0.0; 8];
        for word in fours.chunks(8) {
            let bits = random.next_u32();
            for (place, (sum, four)) in partial.iter_mut().zip(word).enumerate() {
                *sum += four[(bits >> (4 * place) & 15) as usize];
            }
        }
        partial.iter().sum::<f64>().abs() >= least
    })
}

/// Of a value of all documents together, such as BLEU: `value` of one side less that of the other. An arrangement that has no value
/// (NaN) counts as extreme.
///
/// Clusters change sides with the bits of [`sign_flips`], all clusters taken.
///
/// # Panics
/// If there are not as many documents on both sides and in the clusters.
pub fn swaps<T: Copy + Sync>(
    [a, b]: [&[T]; 2],
    clusters: &Clusters,
    value: impl Fn(&[T]) -> f64 + Sync,
) -> Permutation {
    assert!(a.len() == b.len() && a.len() == clusters.documents(), "two answers to each document");
    let [own, other] = [a, b].map(&value);
    let least = (own - other).abs() - ROUNDING * (own.abs() + other.abs());
    let is_extreme = |swapped: &dyn Fn(usize) -> bool| {
        let (mut left, mut right) = (a.to_vec(), b.to_vec());
        for cluster in (0..clusters.len()).filter(|cluster| swapped(*cluster)) {
            for at in clusters.of(cluster) {
                (left[*at], right[*at]) = (b[*at], a[*at]);
            }
        }
        let difference = (value(&left) - value(&right)).abs();
        difference >= least || difference.is_nan()
    };
    if clusters.len() <= ALL_OF_SCORES {
        let arrangements = 1_usize << clusters.len();
        let extreme = (0..arrangements).into_par_iter();
        return all(
            extreme.filter(|bits| is_extreme(&|cluster| bits >> cluster & 1 == 1)).count(),
            arrangements,
        );
    }
    drawn(FIRST, |random| {
        let words: Vec<u32> = (0..clusters.len().div_ceil(32)).map(|_| random.next_u32()).collect();
        is_extreme(&|cluster| words[cluster / 32] >> (cluster % 32) & 1 == 1)
    })
}

fn all(extreme: usize, arrangements: usize) -> Permutation {
    Permutation { p: extreme as f64 / arrangements as f64, arrangements, exact: true }
}

/// Draws [`FIRST`] arrangements, and up to `most` if few of these are extreme: a p below (ENOUGH + 1) / FIRST comes from all of `most`
/// alone, and any other is as small in FIRST already, so at every level the test is as often wrong as it says.
fn drawn(most: usize, is_extreme: impl Fn(&mut PyRandom) -> bool + Sync) -> Permutation {
    let extreme = |arrangements: std::ops::Range<usize>| -> usize {
        let chunks = (arrangements.start / CHUNK..arrangements.end / CHUNK).into_par_iter();
        chunks
            .map(|seed| {
                let mut random = PyRandom::new(seed as u64);
                // That which was seen is the first of all.
                let own = CHUNK - usize::from(seed == 0);
                (0..own).filter(|_| is_extreme(&mut random)).count()
            })
            .sum()
    };
    let mut arrangements = FIRST;
    let mut found = extreme(0..FIRST);
    if found < ENOUGH && most > FIRST {
        found += extreme(FIRST..most);
        arrangements = most;
    }
    Permutation { p: (found + 1) as f64 / arrangements as f64, arrangements, exact: false }
}

/// The sums of `numbers` with every combination of signs: number `i` is positive where bit `i` is set.
fn all_signs(numbers: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0];
    for number in numbers {
        sums = [-number, *number].iter().flat_map(|own| sums.iter().map(move |sum| sum + own)).collect();
    }
    sums
}

/// The same of up to four.
fn signed(four: &[f64]) -> [f64; 16] {
    let sums = all_signs(four);
    std::array::from_fn(|bits| sums[bits % sums.len()])
}
