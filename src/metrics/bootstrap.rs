//! Standard errors by resampling documents, with Python's generator.

use rayon::prelude::*;

use super::average::sample_deviation;
use crate::python::random::PyRandom;

/// Replicates of a bootstrap, as the reference harness has it by default.
pub const BOOTSTRAP_ITERATIONS: usize = 100_000;
/// Replicates of metrics that are slow to compute.
pub(super) const SLOW_ITERATIONS: usize = 100;
/// Replicates of a difference; the error of the error is then some 2 %.
pub(super) const PAIRED_ITERATIONS: usize = 1000;
/// Replicates drawn from one generator; chunk `i` is seeded with `i`.
const CHUNK: usize = 1000;

/// The sample deviation of `iterations` values over resampled documents: those of the reference harness, bit by bit.
pub(super) fn bootstrap<T: Copy + Sync>(
    values: &[T],
    iterations: usize,
    value: impl Fn(&[T]) -> f64 + Sync,
) -> f64 {
    let n = values.len();
    let chunk = CHUNK.min(iterations);
    let value = &value;
    let replicates: Vec<f64> = (0..iterations / chunk)
        .into_par_iter()
        .flat_map_iter(|seed| {
            let mut random = PyRandom::new(seed as u64);
            let mut drawn = Vec::with_capacity(n);
            (0..chunk).map(move |_| {
                drawn.clear();
                drawn.extend((0..n).map(|_| values[(random.random() * n as f64) as usize]));
                value(&drawn)
            })
        })
        .collect();
    sample_deviation(&replicates)
}

/// The same of the difference of two values over the same documents, which are drawn together.
pub(super) fn paired_bootstrap<T: Copy + Sync>(
    [a, b]: [&[T]; 2],
    iterations: usize,
    value: impl Fn(&[T]) -> f64 + Sync,
) -> f64 {
    let pairs: Vec<[T; 2]> = a.iter().zip(b).map(|(a, b)| [*a, *b]).collect();
    bootstrap(&pairs, iterations, |drawn| {
        let [a, b] = [0, 1].map(|side| drawn.iter().map(|pair| pair[side]).collect::<Vec<T>>());
        value(&a) - value(&b)
    })
}
