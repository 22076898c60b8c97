//! Causal attention over a wave: every token sees the tokens on its path, itself included.
//!
//! Keys are taken in blocks that are cut at absolute positions, with a running softmax, so that a token's result depends
//! neither on how its path is cut into segments nor on which other tokens are computed with it. Query heads that share a
//! key-value head are stacked into one product, and so are short segments with the same parent, and steps of
//! sequences that begin alike, over the keys before them.

use std::cell::RefCell;
use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::cache::{BLOCK, BlockTable, CachedLayer, Operands, in_pairs};
use super::{Wave, positions, rows};
use crate::kernels::{
    Left, MatrixLayout, Precision, Right, RunningSoftmax, ScoreBlock, column_step, pair_rows, take_block,
};

mod units;

use units::{Run, Unit, runs, units, units_of_tables};

/// Keys in one block; blocks begin at multiples of it. A multiple of every panel's width.
const KEYS: usize = BLOCK;
/// Rows in one piece of work, about, of short texts and of long ones: queries times the heads that are stacked. Keys are gathered once
/// for all of them, and what they work in stays in the second cache.
const ROWS: [usize; 2] = [384, 1024];
/// Pieces of work for each thread where they are larger than the least: those at the end of a text take longest.
const PIECES: usize = 8;

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
    /// Below exact, what is multiplied is rounded to bf16 where the processor multiplies its pairs in one instruction.
    pub precision: Precision,
}

impl Heads<'_> {
    /// Query heads of a key-value head.
    fn group(&self) -> usize {
        self.queries / self.keys
    }

    /// Whether products are those of pairs of bf16 numbers.
    fn in_pairs(&self) -> bool {
        in_pairs(self.precision, self.head_dim)
    }

    /// The width of a head in whole steps of columns.
    fn padded(&self) -> usize {
        self.head_dim.next_multiple_of(column_step())
    }

    /// Queries in one piece of work, at most, of a wave of so many.
    fn piece(&self, queries: usize) -> usize {
        let [least, most] = ROWS.map(|rows| (rows / self.group()).next_multiple_of(KEYS));
        let shared = queries * self.keys / (PIECES * rayon::current_num_threads());
        shared.next_multiple_of(KEYS).clamp(least, most)
    }

    /// The same where so many short runs are all there is: every thread is to have work.
    fn piece_of(&self, queries: usize, runs: usize) -> usize {
        let units = rayon::current_num_threads().div_ceil(self.keys);
        self.piece(queries).min(runs.div_ceil(units))
    }
}

/// Keys and values of a layer that a wave finds in a cache.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    /// For each segment the table of everything that it sees, itself included.
    pub tables: &'a [&'a BlockTable],
    /// Where the tables' blocks are.
    pub layer: CachedLayer<'a>,
}

/// Replaces queries `[tokens, heads * head_dim]` by attention outputs of that shape, for keys and values
/// `[tokens, kv_heads * head_dim]`; rotary positions are already in them. Queries of rows that are given stay as they are. With a
/// past, keys and values are those of the cache.
pub fn attention(
    heads: Heads,
    wave: &Wave,
    past: Option<Past<'_>>,
    q: ArrayViewMut2<f32>,
    k: ArrayView2<f32>,
    v: ArrayView2<f32>,
) {
    let tables = past.map_or(wave.segments.len(), |past| past.tables.len());
    assert_eq!(tables, wave.segments.len(), "a table for every segment");
    let queries = q.nrows() - wave.given;
    let runs = runs(wave, heads.piece(queries));
    let units = match past {
        None => units(wave, &runs, heads.piece(queries)),
        Some(Past { tables, .. }) => units_of_tables(tables, &runs, heads.piece_of(queries, runs.len())),
    };
    let group = heads.group() * heads.head_dim;
    // The queries of every run and key-value head, cut out of the matrix.
    let mut pieces: Vec<Vec<ArrayViewMut2<f32>>> = Vec::with_capacity(runs.len());
    let (_, mut rest) = q.split_at(Axis(0), wave.given);
    for run in &runs {
        let (mut rows, below) = rest.split_at(Axis(0), run.rows.len());
        rest = below;
        let mut own = Vec::with_capacity(heads.keys);
        for _ in 0..heads.keys {
            let (piece, right) = rows.split_at(Axis(1), group);
            rows = right;
            own.push(piece);
        }
        pieces.push(own);
    }
    let mut work = Vec::with_capacity(units.len() * heads.keys);
    for unit in &units {
        let mut own: Vec<_> =
            unit.runs.iter().map(|&run| (run, std::mem::take(&mut pieces[run]).into_iter())).collect();
        for head in 0..heads.keys {
            let next = |(run, all): &mut (usize, std::vec::IntoIter<_>)| {
                (*run, all.next().expect("queries for every key-value head"))
            };
            work.push((unit, head, own.iter_mut().map(next).collect::<Vec<_>>()));
        }
    }
    work.into_par_iter().for_each(|(unit, head, pieces)| {
        SCRATCH.with_borrow_mut(|scratch| {
            UnitHead { heads, wave, past, runs: &runs, k, v, head, unit }.compute(pieces, scratch);
        });
    });
}

/// Buffers of one thread.
#[derive(Default)]
struct Scratch {
    q: Vec<f32>,
    /// The queries as products with all blocks of keys read them.
    queries: Left,
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    /// The scores as the product with values reads them.
    weights: Left,
    out: Vec<f32>,
    state: Vec<RunningSoftmax>,
    seen: Vec<usize>,
    pairs: Pairs,
}

/// Operands of one thread in pairs of bf16 numbers.
#[derive(Default)]
struct Pairs {
    keys: Vec<u32>,
    values: Vec<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// One key-value head of one unit.
struct UnitHead<'a> {
    heads: Heads<'a>,
    wave: &'a Wave,
    past: Option<Past<'a>>,
    runs: &'a [Run],
    k: ArrayView2<'a, f32>,
    v: ArrayView2<'a, f32>,
    head: usize,
    unit: &'a Unit,
}

impl UnitHead<'_> {
    /// Stacks the queries, takes all blocks of keys in order, and writes the outputs where the queries were.
    ///
    /// Stacked row `(first + i) * group + h` is query `i` of a run, head `h` of the group.
    fn compute(&self, pieces: Vec<(usize, ArrayViewMut2<f32>)>, scratch: &mut Scratch) {
        let width = self.heads.head_dim;
        let padded = self.heads.padded();
        let group = self.heads.group();
        let rows = pieces.iter().map(|(_, piece)| piece.nrows()).sum::<usize>() * group;
        scratch.q.clear();
        for (_, piece) in &pieces {
            for row in piece.rows() {
                scratch.q.extend_from_slice(row.as_slice().expect("numbers of a head are neighbours"));
            }
        }
        scratch.queries.prepare(&scratch.q, width, self.heads.in_pairs());
        scratch.out.clear();
        scratch.out.resize(rows * padded, 0.0);
        scratch.state.clear();
        scratch.state.resize(rows, RunningSoftmax::default());

        for block in 0..self.unit.shared_blocks {
            self.take_block(&self.runs[self.unit.runs[0]], block, 0..rows, None, scratch);
        }
        let mut first = 0;
        for (run, piece) in &pieces {
            let own = first..first + piece.nrows() * group;
            first = own.end;
            let run = &self.runs[*run];
            for block in self.unit.shared_blocks..(run.start + run.rows.len()).div_ceil(KEYS) {
                // Queries before the block see nothing of it.
                let seeing = run.start.max(block * KEYS);
                let first = own.start + (seeing - run.start) * group;
                self.take_block(run, block, first..own.end, Some(seeing), scratch);
            }
        }
        let mut stacked = scratch.out.chunks_exact(padded).zip(&scratch.state);
        for (_, mut piece) in pieces {
            for mut row in piece.rows_mut() {
                for mut head in row.exact_chunks_mut(width) {
                    let (out, state) = stacked.next().expect("a stacked row for every query and head");
                    let inverse = 1.0 / state.sum;
                    head.iter_mut().zip(out).for_each(|(o, x)| *o = x * inverse);
                }
            }
        }
    }

    /// Takes a block of keys and values that `run` sees into the stacked rows `rows`, as [`take`](Self::take) says.
    fn take_block(
        &self,
        run: &Run,
        block: usize,
        rows: Range<usize>,
        start: Option<usize>,
        scratch: &mut Scratch,
    ) {
        match self.past {
            Some(Past { tables, layer }) => {
                let table = tables[run.segment];
                if block + 1 < table.blocks() {
                    layer.prefetch(table.block(block + 1), self.head);
                }
                let there = table.block(block);
                self.take(block, layer.operands(there, self.head), rows, start, scratch);
            }
            None => {
                self.gather(run, block, scratch);
                let (keys, values) = (std::mem::take(&mut scratch.keys), std::mem::take(&mut scratch.values));
                let pairs =
                    (std::mem::take(&mut scratch.pairs.keys), std::mem::take(&mut scratch.pairs.values));
                let (mut key_pairs, mut value_pairs) = pairs;
                let operands = if self.heads.in_pairs() {
                    pair_rows(&keys, KEYS, &mut key_pairs);
                    pair_rows(&values, self.heads.padded(), &mut value_pairs);
                    Operands::Pairs { keys: &key_pairs, values: &value_pairs }
                } else {
                    Operands::Numbers { keys: &keys, values: &values }
                };
                self.take(block, operands, rows, start, scratch);
                (scratch.keys, scratch.values) = (keys, values);
                (scratch.pairs.keys, scratch.pairs.values) = (key_pairs, value_pairs);
            }
        }
    }

    /// Brings one block of keys, turned over, and values of a run's path into the scratch.
    fn gather(&self, run: &Run, block: usize, scratch: &mut Scratch) {
        let width = self.heads.head_dim;
        let padded = self.heads.padded();
        let columns = self.head * width..(self.head + 1) * width;
        let end = (run.start + run.rows.len()).min((block + 1) * KEYS);
        scratch.keys.resize(width * KEYS, 0.0);
        scratch.values.resize(KEYS * padded, 0.0);
        // What no key fills is multiplied with 0, and must be a number.
        if end < (block + 1) * KEYS || padded > width {
            scratch.keys.fill(0.0);
            scratch.values.fill(0.0);
        }
        let mut next = Some(run.segment);
        while let Some(index) = next {
            let segment = &self.wave.segments[index];
            let from = segment.start.max(block * KEYS);
            let to = end.min(segment.start + segment.rows.len());
            for position in from..to {
                let (row, lane) = (segment.rows.start + position - segment.start, position % KEYS);
                let [keys, values] = [&self.k, &self.v].map(|all| &rows::row(all, row)[columns.clone()]);
                for (column, key) in scratch.keys.chunks_exact_mut(KEYS).zip(keys) {
                    column[lane] = *key;
                }
                scratch.values[lane * padded..][..width].copy_from_slice(values);
            }
            next = if segment.start > block * KEYS { segment.parent } else { None };
        }
    }

    /// Takes these keys, turned over, and values into the stacked rows `rows`. `start` is the position of their first query;
    /// without one they see the whole block.
    fn take(
        &self,
        block: usize,
        operands: Operands<'_>,
        rows: Range<usize>,
        start: Option<usize>,
        scratch: &mut Scratch,
    ) {
        let (width, group, count) = (self.heads.head_dim, self.heads.group(), rows.len());
        let padded = self.heads.padded();
        let Scratch { q, queries, scores, weights, out, state, seen, .. } = scratch;
        let position = |row: usize| start.map(|start| start + row / group);
        seen.clear();
        seen.extend(
            (0..count)
                .map(|row| position(row).map_or(KEYS, |position| (position + 1 - block * KEYS).min(KEYS))),
        );
        // What none of them sees is not multiplied: a block that is being filled costs what is in it.
        let most = seen.iter().copied().max().unwrap_or(0);
        let columns = most.next_multiple_of(column_step());
        scores.resize(scores.len().max(count * KEYS), 0.0);
        let scores = &mut scores[..count * KEYS];
        let out = &mut out[rows.start * padded..rows.end * padded];
        let of_scores = MatrixLayout { rows: count, columns, stride: KEYS };
        let of_keys = |rows| MatrixLayout { rows, columns, stride: KEYS };
        let of_values = |rows| MatrixLayout::packed(rows, padded);
        let (keys, values) = match operands {
            Operands::Pairs { keys, values } => {
                let depth = most.div_ceil(2);
                (Right::Pairs(keys, of_keys(width / 2)), Right::Pairs(values, of_values(depth)))
            }
            Operands::Numbers { keys, values } => {
                (Right::Numbers(keys, of_keys(width)), Right::Numbers(values, of_values(most)))
            }
        };
        queries.times((q, rows.start), keys, (scores, of_scores), false);
        let mut scale = 1.0 / (width as f32).sqrt();
        if let Some(slopes) = self.heads.slopes {
            scores.iter_mut().for_each(|score| *score *= scale);
            self.add_biases(slopes, block, rows.start, start, scores);
            scale = 1.0;
        }
        let (width, rows) = (KEYS, &mut state[rows]);
        take_block(ScoreBlock {
            scores: &mut *scores,
            width,
            scale,
            seen,
            rows,
            out: &mut *out,
            out_width: padded,
        });
        weights.prepare(scores, KEYS, self.heads.in_pairs());
        weights.times((scores, 0), values, (out, MatrixLayout::packed(count, padded)), true);
    }

    /// Lowers scores by their distance: `scores` are the rows from `first` on, whose queries begin at `start` or, in a unit
    /// of several runs, each at its own run's.
    fn add_biases(
        &self,
        slopes: &[f32],
        block: usize,
        first: usize,
        start: Option<usize>,
        scores: &mut [f32],
    ) {
        let group = self.heads.group();
        let own = &slopes[self.head * group..(self.head + 1) * group];
        let positions: Vec<usize> = match start {
            Some(start) => (start..).take(scores.len() / KEYS / group).collect(),
            None => {
                let runs = self.unit.runs.iter().map(|&run| &self.runs[run]);
                runs.flat_map(|run| run.start..run.start + run.rows.len()).skip(first / group).collect()
            }
        };
        for (row, scores) in scores.chunks_exact_mut(KEYS).enumerate() {
            positions::bias(scores, own[row % group], block * KEYS, positions[row / group]);
        }
    }
}

#[cfg(test)]
mod tests;
