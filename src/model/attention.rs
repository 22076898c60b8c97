//! Causal attention over a wave: every token sees the tokens on its path, itself included.
//!
//! Work is cut into blocks of queries at absolute positions, one per key-value head. The heads that share
//! a key-value head are stacked, so that grouped-query attention is one product. Keys and values of
//! a path are gathered in the order of positions, so that a result does not depend on how the path
//! is cut into segments.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, CowArray, Ix2, s};
use rayon::prelude::*;

use super::{Wave, alibi};
use crate::kernels::{exp::exp_scores, gemm};

/// Queries in one block, at most; blocks begin at multiples of it.
const BLOCK: usize = 128;

/// One piece of work: queries `rows` (positions from `start`) of one segment.
struct Block {
    segment: usize,
    rows: Range<usize>,
    start: usize,
}

/// The heads of a layer, and what positions add to their scores.
#[derive(Debug, Clone, Copy)]
pub struct Heads<'a> {
    /// Query heads.
    pub queries: usize,
    /// Key-value heads, a divisor of the query heads.
    pub keys: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// ALiBi's slope of every query head; `None` where queries and keys know their positions themselves.
    pub slopes: Option<&'a [f32]>,
}

/// Writes attention outputs to `out: [tokens, heads * head_dim]` for queries of that shape and keys and
/// values `[tokens, kv_heads * head_dim]`; rotary positions are already in them.
pub fn attention(
    heads: Heads,
    wave: &Wave,
    q: ArrayView2<f32>,
    k: ArrayView2<f32>,
    v: ArrayView2<f32>,
    out: ArrayViewMut2<f32>,
) {
    let (shared, head_dim) = (heads.queries / heads.keys, heads.head_dim);
    let group = shared * head_dim;
    let mut pieces = Vec::new();
    let mut rest = out;
    for block in blocks(wave) {
        let (mut rows, below) = rest.split_at(Axis(0), block.rows.len());
        rest = below;
        let block = std::sync::Arc::new(block);
        for head in 0..heads.keys {
            let (piece, right) = rows.split_at(Axis(1), group);
            rows = right;
            pieces.push((block.clone(), head, piece));
        }
    }
    pieces.into_par_iter().for_each(|(block, kv_head, out)| {
        let columns = kv_head * head_dim..(kv_head + 1) * head_dim;
        let q = q.slice(s![block.rows.clone(), kv_head * group..(kv_head + 1) * group]);
        let path = path_until(wave, &block);
        let k = gather(k.slice(s![.., columns.clone()]), &path);
        let v = gather(v.slice(s![.., columns]), &path);
        let slopes = heads.slopes.and_then(|all| all.get(kv_head * shared..(kv_head + 1) * shared));
        attend(q, k.view(), v.view(), block.start, head_dim, slopes, out);
    });
}

/// Cuts the segments into blocks, in the order of rows.
fn blocks(wave: &Wave) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (index, segment) in wave.segments.iter().enumerate() {
        let mut position = segment.start;
        let end = segment.start + segment.rows.len();
        while position < end {
            let next = ((position / BLOCK + 1) * BLOCK).min(end);
            let row = |p: usize| segment.rows.start + (p - segment.start);
            blocks.push(Block { segment: index, rows: row(position)..row(next), start: position });
            position = next;
        }
    }
    blocks
}

/// The rows of all keys that the block's last query sees.
fn path_until(wave: &Wave, block: &Block) -> Vec<Range<usize>> {
    let mut path = wave.path(block.segment);
    if let Some(last) = path.last_mut() {
        last.end = block.rows.end;
    }
    path
}

/// The rows of a path as one matrix; borrowed where they are neighbours.
fn gather<'a>(x: ArrayView2<'a, f32>, path: &[Range<usize>]) -> CowArray<'a, f32, Ix2> {
    if let [range] = path {
        return CowArray::from(x.slice_move(s![range.clone(), ..]));
    }
    let rows = path.iter().map(|range| range.len()).sum();
    let mut all = Array2::zeros((rows, x.ncols()));
    let mut at = 0;
    for range in path {
        all.slice_mut(s![at..at + range.len(), ..]).assign(&x.slice(s![range.clone(), ..]));
        at += range.len();
    }
    CowArray::from(all)
}

/// Attention of stacked query heads over one key-value head.
///
/// `q` and `out`: `[queries, group * head_dim]`; `k`, `v`: `[start + queries, head_dim]`; `slopes`: `[group]`.
fn attend(
    q: ArrayView2<f32>,
    k: ArrayView2<f32>,
    v: ArrayView2<f32>,
    start: usize,
    head_dim: usize,
    slopes: Option<&[f32]>,
    mut out: ArrayViewMut2<f32>,
) {
    let (queries, group) = (q.nrows(), q.ncols() / head_dim);
    let scale = 1.0 / (head_dim as f32).sqrt();
    // Row `h * queries + i` is head h of query i.
    let mut stacked = Array2::zeros((group * queries, head_dim));
    for (head, mut rows) in stacked.axis_chunks_iter_mut(Axis(0), queries).enumerate() {
        rows.assign(&q.slice(s![.., head * head_dim..(head + 1) * head_dim]));
    }
    let mut scores = Array2::zeros((group * queries, k.nrows())); // [group * queries, keys]
    gemm(stacked.view(), k.t(), scores.view_mut());
    let mut inverse_sums = Vec::with_capacity(group * queries);
    for (row, mut scores) in scores.rows_mut().into_iter().enumerate() {
        let seen = start + row % queries + 1;
        if let Some(scores) = scores.as_slice_mut() {
            let (past, future) = scores.split_at_mut(seen);
            let sum = match slopes.and_then(|slopes| slopes.get(row / queries)) {
                Some(&slope) => {
                    alibi::bias(past, scale, slope);
                    exp_scores(past, 1.0)
                }
                None => exp_scores(past, scale),
            };
            inverse_sums.push(1.0 / sum);
            future.fill(0.0);
        }
    }
    gemm(scores.view(), v, stacked.view_mut());
    for (head, rows) in stacked.axis_chunks_iter(Axis(0), queries).enumerate() {
        for (i, row) in rows.rows().into_iter().enumerate() {
            let inverse = inverse_sums[head * queries + i];
            let mut target = out.slice_mut(s![i, head * head_dim..(head + 1) * head_dim]);
            target.zip_mut_with(&row, |o, x| *o = x * inverse);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// f32 sums over at most a few hundred keys against f64.
    const ATTENTION_TOLERANCE: f32 = 2e-6;

    const GROUPED: Heads = Heads { queries: 6, keys: 2, head_dim: 4, slopes: None };
    /// Slopes in no order, so that a mixed-up head is seen.
    const SLOPED: Heads = Heads { slopes: Some(&[0.25, 0.0625, 0.5, 0.03125, 1.0, 0.125]), ..GROUPED };

    fn values(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            (((i * 37 + j * 11 + seed) % 101) as f32 / 50.0 - 1.0) * 2.0
        })
    }

    /// Attention as the definition has it, one query at a time, in f64.
    fn by_definition(
        heads: Heads,
        wave: &Wave,
        q: &Array2<f32>,
        k: &Array2<f32>,
        v: &Array2<f32>,
    ) -> Array2<f32> {
        let width = heads.head_dim;
        let mut out = Array2::zeros(q.dim());
        for (index, segment) in wave.segments.iter().enumerate() {
            for row in segment.rows.clone() {
                let position = segment.start + row - segment.rows.start;
                let keys: Vec<usize> = (0..=position).map(|p| wave.row(index, p).unwrap()).collect();
                for head in 0..heads.queries {
                    let kv = head / (heads.queries / heads.keys);
                    let slope = f64::from(heads.slopes.map_or(0.0, |slopes| slopes[head]));
                    let score = |key: usize| -> f64 {
                        (0..width)
                            .map(|d| {
                                f64::from(q[[row, head * width + d]]) * f64::from(k[[key, kv * width + d]])
                            })
                            .sum::<f64>()
                            / (width as f64).sqrt()
                    };
                    let biased = |(at, &key): (usize, &usize)| (score(key) + slope * at as f64).exp();
                    let weights: Vec<f64> = keys.iter().enumerate().map(biased).collect();
                    let total: f64 = weights.iter().sum();
                    for d in 0..width {
                        let sum: f64 = keys
                            .iter()
                            .zip(&weights)
                            .map(|(&key, w)| w * f64::from(v[[key, kv * width + d]]))
                            .sum();
                        out[[row, head * width + d]] = (sum / total) as f32;
                    }
                }
            }
        }
        out
    }

    #[test]
    fn a_forest_of_segments_attends_along_its_paths() {
        let mut wave = Wave::default();
        let root = wave.push(&[0; 150], None, 0);
        let left = wave.push(&[0; 3], Some(root), 0);
        wave.push(&[0; 1], Some(left), 0);
        wave.push(&[0; 130], Some(root), 0);
        wave.push(&[0; 5], None, 0);
        let rows = wave.tokens.len();
        let (q, k, v) = (values(rows, 24, 1), values(rows, 8, 5), values(rows, 8, 9));
        for heads in [GROUPED, SLOPED] {
            let mut out = Array2::from_elem((rows, 24), f32::NAN);
            attention(heads, &wave, q.view(), k.view(), v.view(), out.view_mut());
            let expected = by_definition(heads, &wave, &q, &k, &v);
            let worst = (&out - &expected).fold(0.0f32, |a, b| a.max(b.abs()));
            assert!(worst < ATTENTION_TOLERANCE, "{heads:?}: {worst}");
        }
    }

    #[test]
    fn the_cut_into_segments_does_not_change_a_bit() {
        let whole = Wave::sequence(&[0; 200]);
        let mut cut = Wave::default();
        let a = cut.push(&[0; 77], None, 0);
        cut.push(&[0; 10], Some(a), 0);
        let b = cut.push(&[0; 60], Some(a), 0);
        cut.push(&[0; 3], None, 0);
        cut.push(&[0; 63], Some(b), 0);
        // The rows of the whole sequence inside the cut wave.
        let rows: Vec<usize> = (0..77).chain(87..147).chain(150..213).collect();
        let run = |heads, wave: &Wave, [q, k, v]: [&Array2<f32>; 3]| {
            let mut out = Array2::zeros(q.dim());
            attention(heads, wave, q.view(), k.view(), v.view(), out.view_mut());
            out
        };
        let all = [values(213, 24, 2), values(213, 8, 3), values(213, 8, 4)];
        let own = all.each_ref().map(|x| x.select(Axis(0), &rows));
        for heads in [GROUPED, SLOPED] {
            let cut = run(heads, &cut, all.each_ref()).select(Axis(0), &rows);
            assert_eq!(run(heads, &whole, own.each_ref()), cut);
        }
    }
}
