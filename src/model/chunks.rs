//! Tokens of a wave a chunk at a time, where a layer needs no others: wide buffers stay small and near.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Tokens of one chunk: enough for all threads, few enough that what a layer makes of them is still near when it is read.
pub const CHUNK_TOKENS: usize = 768;

/// The rows of every chunk.
pub fn chunks(tokens: usize) -> impl Iterator<Item = Range<usize>> {
    (0..tokens).step_by(CHUNK_TOKENS).map(move |start| start..tokens.min(start + CHUNK_TOKENS))
}

/// Calls `work` with every row of `out` and of `x`, in parallel.
pub fn for_rows(mut out: ArrayViewMut2<f32>, x: ArrayView2<f32>, work: impl Fn(&mut [f32], &[f32]) + Sync) {
    out.axis_iter_mut(Axis(0)).into_par_iter().zip(x.axis_iter(Axis(0))).for_each(|(mut out, x)| {
        if let (Some(out), Some(x)) = (out.as_slice_mut(), x.as_slice()) {
            work(out, x);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_token_once() {
        for tokens in [0, 1, CHUNK_TOKENS, CHUNK_TOKENS + 1, 5 * CHUNK_TOKENS - 1] {
            let rows: Vec<usize> = chunks(tokens).flatten().collect();
            assert_eq!(rows, (0..tokens).collect::<Vec<_>>());
        }
    }
}
