//! The two ends of a network: token ids become vectors, vectors become logits.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::{Linear, Wave};
use crate::kernels::{StoredMatrix, VisitBlocks, for_blocks};

/// Columns of logits in one block, whatever the number of threads: sums over a vocabulary are made of these.
const LOGIT_COLUMNS: usize = 512;

/// The embeddings `[tokens, hidden]` of a wave's tokens, whose ids must be rows of `embedding: [vocab, hidden]`.
pub fn embed(embedding: &StoredMatrix<'_>, wave: &Wave) -> Array2<f32> {
    let mut x = Array2::zeros((wave.tokens.len(), embedding.columns()));
    x.axis_iter_mut(Axis(0)).into_par_iter().zip(&wave.tokens).for_each(|(mut row, &id)| {
        if let Some(row) = row.as_slice_mut() {
            embedding.widen_row(id as usize, row);
        }
    });
    x
}

/// All logits `[rows, vocab]` of normed hidden states `[rows, hidden]`.
pub fn logits(normed: ArrayView2<f32>, head: &Linear) -> Array2<f32> {
    let mut logits = Array2::zeros((normed.nrows(), head.weight.rows()));
    head.apply(normed, logits.view_mut());
    logits
}

/// Calls `visit(rows, tokens, logits)` with blocks that cover the logits once; none of them is kept.
pub fn visit_logits(normed: ArrayView2<f32>, head: &Linear, visit: &VisitBlocks<'_>) {
    debug_assert!(head.bias.is_none(), "output matrices of this family have no bias");
    for_blocks(head.weight.as_ref(), normed, LOGIT_COLUMNS, visit);
}
