//! The two ends of a network: token ids become vectors, vectors become logits.

use ndarray::{Array2, ArrayView2, Axis};

use super::{Linear, Wave};
use crate::kernels::MatMul;

/// The embeddings `[tokens, hidden]` of a wave's tokens, whose ids must be rows of `embedding: [vocab, hidden]`.
pub fn embed(embedding: &Array2<f32>, wave: &Wave) -> Array2<f32> {
    let ids: Vec<usize> = wave.tokens.iter().map(|&id| id as usize).collect();
    embedding.select(Axis(0), &ids)
}

/// Logits `[rows, vocab]` of normed hidden states `[rows, hidden]`, by the output matrix or, where there is
/// none, by the embedding.
pub fn logits(
    matmul: &dyn MatMul,
    normed: ArrayView2<f32>,
    lm_head: Option<&Linear>,
    embedding: &Array2<f32>,
) -> Array2<f32> {
    let mut logits = Array2::zeros((normed.nrows(), embedding.nrows()));
    match lm_head {
        Some(head) => head.apply(matmul, normed, logits.view_mut()),
        None => matmul.linear(normed, embedding.view(), logits.view_mut()),
    }
    logits
}
