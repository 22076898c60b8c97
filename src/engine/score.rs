//! Logits of scored rows → log-likelihoods, without ever holding a row of the vocabulary.
//!
//! Each block of a row's logits leaves its highest, the first place of that, and the sum of exponentials relative to it.
//! Blocks are cut at the same tokens always and put together in their order, so bits depend on nothing else.

use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayView2, Axis};

use super::{EngineError, Score, Target};
use crate::kernels::{LogitSummary, summarize};
use crate::model::{LOGIT_COLUMNS, Network};

/// Rows whose blocks are remembered at a time.
pub(super) const LOGIT_ROWS: usize = 2048;

/// What one block of a row's logits leaves.
#[derive(Debug, Clone, Copy)]
struct Block {
    row: usize,
    first_token: usize,
    summary: LogitSummary,
}

/// Folds the logits of all targets into `scores`; targets are sorted by row, and `hidden: [rows, hidden]` has one for each of
/// theirs.
pub(super) fn score_targets(
    model: &Network,
    hidden: ArrayView2<f32>,
    targets: &[Target],
    scores: &mut [Score],
) -> Result<(), EngineError> {
    let by_row: Vec<&[Target]> = targets.chunk_by(|a, b| a.row == b.row).collect();
    assert_eq!(by_row.len(), hidden.nrows(), "a hidden state for every scored row");
    for (rows, hidden) in by_row.chunks(LOGIT_ROWS).zip(hidden.axis_chunks_iter(Axis(0), LOGIT_ROWS)) {
        let found = Mutex::new((Vec::<Block>::new(), Vec::<(usize, usize, f32)>::new()));
        model.visit_logits(hidden, &|block_rows, tokens, logits| {
            let mut blocks = Vec::with_capacity(block_rows.len());
            let mut picked = Vec::new();
            for (row, logits) in block_rows.zip(logits.rows()) {
                let logits = logits.as_slice().expect("logits of a row are neighbours");
                blocks.push(Block { row, first_token: tokens.start, summary: summarize(logits) });
                for (at, target) in rows[row].iter().enumerate() {
                    if tokens.contains(&(target.token as usize)) {
                        picked.push((row, at, logits[target.token as usize - tokens.start]));
                    }
                }
            }
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.0.append(&mut blocks);
            found.1.append(&mut picked);
        });
        let (mut blocks, mut picked) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        blocks.sort_by_key(|block| (block.row, block.first_token));
        let totals: Vec<Total> = blocks.chunk_by(|a, b| a.row == b.row).map(Total::of).collect();
        let asked: usize = rows.iter().map(|targets| targets.len()).sum();
        assert_eq!(picked.len(), asked, "a logit for every target");
        // In the order of the targets: a request's tokens are summed in theirs.
        picked.sort_by_key(|&(row, at, _)| (row, at));
        for (row, at, logit) in picked {
            let target = rows[row][at];
            let score = &mut scores[target.request];
            let logprob = f64::from(logit) - totals[row].log_sum_exp;
            if !logprob.is_finite() {
                return Err(EngineError::NotFinite { request: target.request });
            }
            score.logprob += logprob;
            score.is_greedy &= totals[row].argmax == target.token as usize;
        }
    }
    Ok(())
}

/// What of a row of logits is needed to score any token of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Total {
    pub log_sum_exp: f64,
    /// The first of the highest.
    pub argmax: usize,
}

impl Total {
    /// Of a whole row of logits, with the bits that its blocks have.
    pub fn of_row(logits: &[f32]) -> Self {
        let blocks = logits.chunks(LOGIT_COLUMNS).enumerate();
        let block =
            |(i, logits)| Block { row: 0, first_token: i * LOGIT_COLUMNS, summary: summarize(logits) };
        Self::of(&blocks.map(block).collect::<Vec<_>>())
    }

    /// Of the blocks of one row, in order.
    fn of(blocks: &[Block]) -> Self {
        let mut total = Total { log_sum_exp: f64::NEG_INFINITY, argmax: 0 };
        let mut highest = f32::NEG_INFINITY;
        for Block { first_token, summary, .. } in blocks {
            if summary.highest > highest {
                (highest, total.argmax) = (summary.highest, first_token + summary.argmax);
            }
        }
        let relative = |s: &LogitSummary| f64::from(s.sum) * f64::from(s.highest - highest).exp();
        let sum: f64 = blocks.iter().map(|block| relative(&block.summary)).sum();
        total.log_sum_exp = f64::from(highest) + sum.ln();
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_summed_and_ties_go_to_the_first() {
        let logits = [1.0f32, 3.0, -2.0, 3.0, 0.5, 3.0, -90.0];
        let exact: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
        for width in [1, 2, 3, 7] {
            let blocks: Vec<Block> = logits
                .chunks(width)
                .enumerate()
                .map(|(i, block)| Block { row: 0, first_token: i * width, summary: summarize(block) })
                .collect();
            let total = Total::of(&blocks);
            assert_eq!(total.argmax, 1);
            assert!((total.log_sum_exp - exact).abs() < 1e-6);
        }
    }
}
