//! Small products, as attention makes them, by tiles: both sides are brought into tiles first, the left one once for several.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;

use super::super::aligned::Aligned;
use super::super::layout::{MatrixLayout, Right};
use super::product::{Ahead, PanelArgs, Parts, panel};
use super::split::{PARTS, split_panel, split_rows};
use super::{ROWS, STEP, Unit, WIDTH};

/// What one thread works in.
#[derive(Default)]
struct Scratch {
    left: LeftTiles,
    wide: Aligned<f32>,
    b: Aligned<u32>,
    sums: Aligned<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// `c = a · b`, or with `resume` `c += a · b`, of a left factor at strides that is used but once; shapes of pairs count pairs.
pub(in super::super) fn multiply(
    unit: Unit,
    (a, a_shape): (&[f32], MatrixLayout),
    right: Right<'_>,
    c: (&mut [f32], MatrixLayout),
    resume: bool,
) {
    let mut left = SCRATCH.with_borrow_mut(|scratch| std::mem::take(&mut scratch.left));
    match right {
        Right::Numbers(..) => left.split(a, a_shape, PARTS),
        Right::Pairs(..) => left.pairs(bytemuck::cast_slice(a), a_shape),
    }
    left.multiply(unit, 0, right, c, resume);
    SCRATCH.with_borrow_mut(|scratch| scratch.left = left);
}

/// Rows of a left factor in tiles, `[tile][step][part][16][32]`; what fills up the last tile is anything.
#[derive(Debug, Default)]
pub(in super::super) struct LeftTiles {
    parts: usize,
    rows: usize,
    /// Steps over the numbers of a row.
    steps: usize,
    numbers: Aligned<u16>,
}

impl LeftTiles {
    /// Brings rows of numbers of f32 as they are read beside [numbers](Right::Numbers), in three parts, or beside
    /// [pairs](Right::Pairs), rounded.
    pub(in super::super) fn take(&mut self, x: &[f32], shape: MatrixLayout, in_pairs: bool) {
        self.split(x, shape, if in_pairs { 1 } else { PARTS });
    }

    /// Splits rows of numbers of f32 into so many parts.
    fn split(&mut self, x: &[f32], shape: MatrixLayout, parts: usize) {
        let MatrixLayout { rows, columns, stride } = shape;
        self.fill(rows, columns.div_ceil(STEP), parts, |tile, out| {
            split_rows(tile.map(|row| &x[row * stride..][..columns]), parts, ROWS * STEP, out);
        });
    }

    /// Takes rows of pairs of bf16 numbers as they are; the shape counts pairs.
    fn pairs(&mut self, x: &[u32], shape: MatrixLayout) {
        let MatrixLayout { rows, columns, stride } = shape;
        self.fill(rows, columns.div_ceil(STEP / 2), 1, |tile, out| {
            for (at, row) in tile.enumerate() {
                for (step, pairs) in x[row * stride..][..columns].chunks(STEP / 2).enumerate() {
                    let out = &mut out[(step * ROWS + at) * STEP..][..STEP];
                    let (own, rest) = out.split_at_mut(2 * pairs.len());
                    own.copy_from_slice(bytemuck::cast_slice(pairs));
                    rest.fill(0);
                }
            }
        });
    }

    /// Has `fill` bring the rows of every tile.
    fn fill(&mut self, rows: usize, steps: usize, parts: usize, fill: impl Fn(Range<usize>, &mut [u16])) {
        (self.parts, self.rows, self.steps) = (parts, rows, steps);
        let tile = self.of_tile();
        let numbers = self.numbers.reserve(rows.div_ceil(ROWS) * tile);
        if tile > 0 {
            for (first, out) in (0..rows).step_by(ROWS).zip(numbers.chunks_exact_mut(tile)) {
                fill(first..rows.min(first + ROWS), out);
            }
        }
    }

    /// Numbers of a tile.
    fn of_tile(&self) -> usize {
        self.steps * self.parts * ROWS * STEP
    }

    /// `c = a · b`, or with `resume` `c += a · b`, for the rows from `first` on, as many as `c` has, and their first numbers, as many as
    /// `b` has rows.
    ///
    /// # Panics
    /// If there are no such rows, or `b` has more than rows have numbers.
    pub(in super::super) fn multiply(
        &self,
        unit: Unit,
        first: usize,
        right: Right<'_>,
        (c, c_shape): (&mut [f32], MatrixLayout),
        resume: bool,
    ) {
        let MatrixLayout { rows, columns, stride } = c_shape;
        let (parts, steps) = (right.parts(), self.steps);
        // A panel that is no whole one would be written into the next row.
        assert!(columns.is_multiple_of(WIDTH) && stride >= columns, "whole panels of columns");
        assert!(first + rows <= self.rows && right.depth() <= steps * STEP, "rows of the left factor");
        if rows == 0 || steps == 0 {
            if !resume {
                c.chunks_mut(stride.max(1)).take(rows).for_each(|row| row[..columns].fill(0.0));
            }
            return;
        }
        let [of_a, of_b] = parts.counts();
        assert_eq!(of_a, self.parts, "parts of the left factor");
        // Rows before the first whole tile, in whole tiles, and behind the last one.
        let before = (first.next_multiple_of(ROWS) - first).min(rows);
        let whole = (rows - before) / ROWS * ROWS;
        let pieces = [(0, before), (before, whole), (before + whole, rows - before - whole)];
        SCRATCH.with_borrow_mut(|Scratch { wide, b, sums, .. }| {
            let words = steps * of_b * STEP / 2 * WIDTH;
            let b = &mut b.reserve(words)[..words];
            let sums = &mut sums.reserve(ROWS * WIDTH)[..ROWS * WIDTH];
            for column in (0..columns).step_by(WIDTH) {
                right.panel(column, steps, wide, b);
                for (at, rows) in pieces.into_iter().filter(|(_, rows)| *rows > 0) {
                    let (tile, lane) = ((first + at) / ROWS, (first + at) % ROWS);
                    let a = &self.numbers.as_slice()[tile * self.of_tile()..];
                    let tiles = (lane + rows).div_ceil(ROWS);
                    assert!(a.len() >= (tiles - 1) * self.of_tile() + steps * of_a * ROWS * STEP, "tiles");
                    let args = PanelArgs {
                        parts,
                        rows: lane + rows,
                        steps,
                        a: a.as_ptr(),
                        a_stride: self.of_tile(),
                        b: b.as_ptr(),
                        c: std::ptr::null_mut(),
                        c_stride: WIDTH,
                        resume,
                        next: [a.as_ptr().cast(), b.as_ptr().cast()],
                        sums: Ahead::NOTHING,
                    };
                    if lane == 0 && rows.is_multiple_of(ROWS) {
                        let own = &mut c[at * stride + column..(at + rows - 1) * stride + column + WIDTH];
                        // SAFETY: as below, but the sums are `own`: the columns of this panel in whole tiles of rows, at their
                        // stride.
                        unsafe {
                            let c = own.as_mut_ptr();
                            let sums =
                                Ahead { first: c.wrapping_add(parts.rows_together() * stride), stride };
                            panel(unit, PanelArgs { c, c_stride: stride, sums, ..args });
                        }
                        continue;
                    }
                    let own = |row: usize| (at + row) * stride + column;
                    for (row, sums) in sums.chunks_exact_mut(WIDTH).skip(lane).take(rows).enumerate() {
                        if resume {
                            sums.copy_from_slice(&c[own(row)..][..WIDTH]);
                        }
                    }
                    // SAFETY: whoever calls has tiles if they are the processor's. `a` holds `steps` steps of a tile and `b` as many of
                    // the panel, `sums` a tile of rows and two of columns. Tested against sums in f64.
                    unsafe { panel(unit, PanelArgs { c: sums.as_mut_ptr(), ..args }) }
                    for (row, sums) in sums.chunks_exact(WIDTH).skip(lane).take(rows).enumerate() {
                        c[own(row)..][..WIDTH].copy_from_slice(sums);
                    }
                }
            }
        });
    }
}

impl Right<'_> {
    fn parts(self) -> Parts {
        match self {
            Right::Numbers(..) => Parts::ThreeByThree,
            Right::Pairs(..) => Parts::OneByOne,
        }
    }

    /// Numbers of a column.
    fn depth(self) -> usize {
        match self {
            Right::Numbers(_, shape) => shape.rows,
            Right::Pairs(_, shape) => 2 * shape.rows,
        }
    }

    /// Brings so many steps of the panel that begins at column `first` into tiles; what is behind its rows is 0.
    fn panel(self, first: usize, steps: usize, wide: &mut Aligned<f32>, out: &mut [u32]) {
        match self {
            Right::Numbers(b, MatrixLayout { rows, stride, .. }) => {
                let wide = &mut wide.reserve(steps * STEP * WIDTH)[..steps * STEP * WIDTH];
                let (own, rest) = wide.split_at_mut(rows * WIDTH);
                for (k, wide) in own.chunks_exact_mut(WIDTH).enumerate() {
                    copy(&b[k * stride + first..], wide);
                }
                rest.fill(0.0);
                split_panel::<f32>(wide, 0, out);
            }
            Right::Pairs(b, MatrixLayout { rows, stride, .. }) => {
                let (own, rest) = out.split_at_mut(rows * WIDTH);
                for (k, out) in own.chunks_exact_mut(WIDTH).enumerate() {
                    copy(&b[k * stride + first..], out);
                }
                rest.fill(0);
            }
        }
    }
}

/// The first numbers of a row, as many as a panel has: a few instructions and no call.
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    let from = from.first_chunk::<WIDTH>().expect("whole panels");
    *to.first_chunk_mut::<WIDTH>().expect("a row of a panel") = *from;
}
