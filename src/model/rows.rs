//! Rows of activations, on all threads.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Rows of one task of the thread pool, at least.
const LEAST: usize = 8;

/// Calls `work` with the number and the numbers of every row of `x`, in parallel.
///
/// # Panics
/// If the numbers of a row are no neighbours in memory.
pub fn for_rows(mut x: ArrayViewMut2<f32>, work: impl Fn(usize, &mut [f32]) + Sync) {
    x.axis_iter_mut(Axis(0)).into_par_iter().with_min_len(LEAST).enumerate().for_each(|(index, mut row)| {
        work(index, row.as_slice_mut().expect("numbers of a row are neighbours"));
    });
}

/// The numbers of one row.
///
/// # Panics
/// As [`for_rows`], and if there is no such row.
pub fn row<'a>(x: &ArrayView2<'a, f32>, index: usize) -> &'a [f32] {
    x.index_axis_move(Axis(0), index).to_slice().expect("numbers of a row are neighbours")
}
