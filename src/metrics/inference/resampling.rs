//! Paired bootstrap: the interval of a difference by drawing documents, or whole clusters, with both their answers.
//!
//! B. Efron, Ann. Statist. 7, 1979; P. Koehn, "Statistical Significance Tests for Machine Translation Evaluation", 2004. The interval is that
//! of percentiles, as sacrebleu and papers on translation have it, and not BCa, SciPy's default: BCa needs the value without each
//! document once, corrects a skewness that a difference of two like sides hardly has, and has no value where one of its own
//! corrections is infinite, which happens for few documents.

use rayon::prelude::*;

use super::Clusters;
use crate::metrics::average::sample_deviation;
use crate::python::random::PyRandom;

/// Replicates of an interval.
pub const REPLICATES: usize = 10_000;
/// Replicates drawn from one generator; chunk `i` is seeded with `i`.
const CHUNK: usize = 1000;

/// The 95 % interval of `value` of one side less that of the other; `None` where a replicate has no value.
///
/// It is the 2.5th and 97.5th percentile of [`REPLICATES`] replicates, between ranks as NumPy has them. A replicate draws as many
/// clusters as there are, each as `random.getrandbits(32) * clusters >> 32`.
///
/// # Panics
/// For no documents, and if there are not as many on both sides and in the clusters.
pub fn percentile_interval<T: Copy + Sync>(
    sides: [&[T]; 2],
    clusters: &Clusters,
    value: impl Fn(&[T]) -> f64 + Sync,
) -> Option<[f64; 2]> {
    let mut replicates = replicates(sides, clusters, value)?;
    replicates.sort_by(f64::total_cmp);
    Some([0.025, 0.975].map(|share| percentile(&replicates, share)))
}

/// The standard error of the same.
pub(super) fn error_by_clusters<T: Copy + Sync>(
    sides: [&[T]; 2],
    clusters: &Clusters,
    value: impl Fn(&[T]) -> f64 + Sync,
) -> Option<f64> {
    replicates(sides, clusters, value).map(|replicates| sample_deviation(&replicates))
}

fn replicates<T: Copy + Sync>(
    [a, b]: [&[T]; 2],
    clusters: &Clusters,
    value: impl Fn(&[T]) -> f64 + Sync,
) -> Option<Vec<f64>> {
    assert!(
        !a.is_empty() && a.len() == b.len() && a.len() == clusters.documents(),
        "two answers to each document"
    );
    let value = &value;
    let chunks = (0..REPLICATES / CHUNK).into_par_iter();
    let replicates: Vec<f64> = chunks
        .flat_map_iter(|seed| {
            let mut random = PyRandom::new(seed as u64);
            let [mut left, mut right] = [(); 2].map(|()| Vec::with_capacity(a.len()));
            (0..CHUNK).map(move |_| {
                left.clear();
                right.clear();
                for _ in 0..clusters.len() {
                    let drawn = (u64::from(random.next_u32()) * clusters.len() as u64) >> 32;
                    for at in clusters.of(drawn as usize) {
                        left.push(a[*at]);
                        right.push(b[*at]);
                    }
                }
                value(&left) - value(&right)
            })
        })
        .collect();
    Some(replicates).filter(|replicates| !replicates.iter().any(|value| value.is_nan()))
}

/// Between the two nearest ranks, in proportion.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = share * (sorted.len() - 1) as f64;
    let (below, part) = (rank.floor(), rank.fract());
    let below = below as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + part * (sorted[above] - sorted[below])
}
