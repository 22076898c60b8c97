//! The weight of a linear layer, multiplied by tiles.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;

use half::f16;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::super::aligned::Aligned;
use super::super::isa::Operands;
use super::super::output::BlockRows;
use super::super::panels::Panels;
use super::super::{ActivationForm, Activations, Isa, Store, StoredMatrix, Weight};
use super::few;
use super::product::{Ahead, FEW, PanelArgs, Parts, panel};
use super::rows::SplitRows;
use super::split::{Short, split_panel};
use super::{CUT, ROWS, STEP, Unit, WIDTH};
use crate::weights::Dtype;

/// How many rows and panels a block goes over at a time. Of the rows a cut waits in the second cache (2 MiB on all processors that
/// have tiles, half of which may be a neighbour's), and the sums of as many panels beside it.
struct Blocking {
    /// Rows, at most: whole pairs of tiles.
    rows: usize,
    /// Panels whose sums wait while a cut is multiplied with them.
    panels: usize,
    /// Numbers of K after which sums go to memory and come back: what a panel has there, 16 KiB, stays in the first cache.
    cut: usize,
}

/// What a block's rows have of all of K, in bytes, stays near for all panels if it is no more than that; so one is taken after the
/// other then, each as it lies in memory.
const NEAR: usize = 640 << 10;

/// How far ahead of what is split weights are asked for, in bytes.
const AHEAD: usize = 8 << 10;

/// A weight in panels of columns: pairs of bf16 numbers as tiles read them, or numbers of f16 or f32, of which a piece of a panel is
/// split at a time. Weights in ggml's blocks are none, unless they are rounded.
pub(in super::super) struct TileWeight {
    unit: Unit,
    panels: Panels,
    parts: Parts,
    /// Whether a row that is alone is multiplied by vectors: by numbers of f32 and f16 that are ordinary, which the processor splits in
    /// registers.
    by_vectors: bool,
    /// [`NEAR`], but in tests.
    near: usize,
}

/// What one thread works in.
#[derive(Default)]
struct Scratch {
    sums: Aligned<f32>,
    split: Aligned<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl TileWeight {
    /// Packs a matrix, rounded to bf16 or exactly.
    pub(in super::super) fn new(unit: Unit, isa: Isa, matrix: &StoredMatrix<'_>, rounded: bool) -> Self {
        assert_eq!(isa.panel_width(), WIDTH, "two tiles");
        let stored = matrix.dtype();
        let width = parts_of(stored, rounded).width();
        let panels = Panels::of_tiles(matrix, isa, rounded, width, STEP);
        let numbers = Numbers::of(&panels);
        let by_vectors = few::is_here() && numbers.are_ordinary;
        let parts = match parts_of(stored, rounded) {
            Parts::ThreeByThree if numbers.are_short => Parts::ThreeByTwo,
            parts => parts,
        };
        Self { unit, panels, parts, by_vectors, near: NEAR }
    }

    /// Bytes in memory of a matrix in this form; `None` for more than can be counted.
    pub(in super::super) fn bytes_of(
        dtype: Dtype,
        rows: usize,
        columns: usize,
        rounded: bool,
    ) -> Option<u64> {
        Panels::tiles_bytes(dtype, rows, columns, rounded, parts_of(dtype, rounded).width(), STEP)
    }

    fn blocking(&self) -> Blocking {
        match self.parts {
            Parts::ThreeByOne => Blocking { rows: 256, panels: 8, cut: CUT / 2 },
            Parts::OneByOne => Blocking { rows: 256, panels: 16, cut: CUT },
            // A panel is split for all rows of a block, which takes as long as the products of some thirty.
            Parts::ThreeByTwo | Parts::ThreeByThree => Blocking { rows: 384, panels: 8, cut: CUT / 2 },
        }
    }

    /// Whether panels are what tiles read.
    fn is_paired(&self) -> bool {
        matches!(self.panels.operands(), Operands::Bf16Pairs)
    }

    /// Calls `work` with `[step][part][16 pairs][width]` of the columns `from..from + count` of a panel.
    fn with_part(
        &self,
        panel: usize,
        from: usize,
        count: usize,
        split: &mut Aligned<u32>,
        work: impl FnOnce(&[u32]),
    ) {
        if self.is_paired() {
            let count = count.next_multiple_of(STEP);
            return self.panels.with_part(panel, from, count, |part| work(bytemuck::cast_slice(part)));
        }
        let [_, parts] = self.parts.counts();
        let words = count.div_ceil(STEP) * parts * STEP / 2 * WIDTH;
        let split = &mut split.reserve(words)[..words];
        self.split(panel, from, count, split);
        work(split);
    }

    /// Splits the columns `from..from + count` of a panel.
    fn split(&self, panel: usize, from: usize, count: usize, split: &mut [u32]) {
        self.panels.with_part(panel, from, count, |part| match self.panels.operands() {
            Operands::F16 => split_panel::<f16>(bytemuck::cast_slice(part), AHEAD, split),
            _ if self.parts == Parts::ThreeByTwo => {
                split_panel::<Short>(bytemuck::cast_slice(part), AHEAD, split);
            }
            _ => split_panel::<f32>(bytemuck::cast_slice(part), AHEAD, split),
        });
    }
}

/// The parts of activations and of weights of a type, rounded or exact.
fn parts_of(stored: Dtype, rounded: bool) -> Parts {
    if rounded { Parts::OneByOne } else { Parts::exact(stored) }
}

impl Weight for TileWeight {
    fn rows(&self) -> usize {
        self.panels.rows
    }

    fn columns(&self) -> usize {
        self.panels.columns
    }

    fn bytes(&self) -> usize {
        self.panels.bytes()
    }

    fn column_unit(&self) -> usize {
        self.panels.width
    }

    fn row_unit(&self) -> usize {
        2 * ROWS
    }

    fn rows_of_block(&self) -> usize {
        self.blocking().rows
    }

    fn form(&self) -> ActivationForm {
        ActivationForm::Split
    }

    fn activations<'a>(&self, x: ArrayView2<'a, f32>) -> Activations<'a> {
        let [parts, _] = self.parts.counts();
        let split = SplitRows::new(x, parts);
        Activations::Split(if self.by_vectors { split.and_together() } else { split })
    }

    fn block(
        &self,
        x: &Activations<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        store: Store,
        mut y: ArrayViewMut2<f32>,
    ) {
        let Activations::Split(x) = x else { panic!("expected activations in parts of bf16") };
        let (count, depth, parts) = (rows.len(), self.panels.columns, self.parts);
        let [of_x, of_w] = parts.counts();
        let mut y = BlockRows::of_block(self, x.dim(), (&rows, &columns), &mut y);
        assert_eq!(x.parts(), of_x, "parts of the activations");
        if count == 0 {
            return;
        }
        if let Some(together) = x.together().filter(|_| self.by_vectors) {
            return self.multiply_by_vectors(together, columns, store, &mut y);
        }
        let tiles = count.div_ceil(ROWS);
        if tiles <= FEW && !self.is_paired() {
            return self.multiply_few(x, (rows, columns), store, &mut y);
        }
        let width = self.panels.width;
        let Blocking { panels, cut, .. } = self.blocking();
        // Activations that are a single tile have all of K in one piece.
        let is_single = x.dim().0 <= ROWS;
        let cut = if is_single && self.is_paired() { depth.max(1) } else { cut };
        let is_near = tiles * ROWS * depth * of_x * size_of::<u16>() <= self.near;
        let panels = if is_near { 1 } else { panels };
        let of_panel = tiles * ROWS * width;
        SCRATCH.with_borrow_mut(|Scratch { sums, split }| {
            let sums = &mut sums.reserve(panels * of_panel)[..panels * of_panel];
            for begin in columns.clone().step_by(panels * width) {
                let end = columns.end.min(begin + panels * width);
                let firsts = (begin..end).step_by(width);
                if depth == 0 {
                    sums.fill(0.0);
                }
                for from in (0..depth).step_by(cut) {
                    let part = cut.min(depth - from);
                    let steps = part.div_ceil(STEP);
                    let (a, a_stride) = x.part(rows.start, from);
                    let a_stride = if is_single { steps * of_x * ROWS * STEP } else { a_stride };
                    let used = (tiles - 1) * a_stride + steps * of_x * ROWS * STEP;
                    assert!(a.len() >= used, "a part of the rows");
                    // What the next cut has of these rows is asked for in as many parts as there are panels.
                    let next_cut = if from + cut < depth { from + cut } else { 0 };
                    let next_rows: &[u8] = bytemuck::cast_slice(x.part(rows.start, next_cut).0);
                    let share = steps * of_x * tiles * ROWS * STEP * size_of::<u16>() / panels;
                    // In the last whole cut so are the places of the output.
                    let is_last_whole = from == (depth / cut).max(1) * cut - cut;
                    for (at, (first, sums)) in firsts.clone().zip(sums.chunks_exact_mut(of_panel)).enumerate()
                    {
                        let (next_panel, next_from) =
                            if first + width < end { (first + width, from) } else { (begin, next_cut) };
                        let next = [
                            next_rows.as_ptr().wrapping_add(at * share),
                            self.panels.stored(next_panel / width, next_from),
                        ];
                        let ahead = if is_last_whole {
                            let (first, stride) = y.place(first - columns.start);
                            Ahead { first, stride }
                        } else if parts == Parts::OneByOne {
                            Ahead::NOTHING
                        } else {
                            Ahead {
                                first: sums.as_ptr().wrapping_add(parts.rows_together() * width),
                                stride: width,
                            }
                        };
                        self.with_part(first / width, from, part, split, |b| {
                            assert!(b.len() >= steps * of_w * STEP / 2 * width, "a part of a panel");
                            let args = PanelArgs {
                                parts,
                                rows: count,
                                steps,
                                a: a.as_ptr(),
                                a_stride,
                                b: b.as_ptr(),
                                c: sums.as_mut_ptr(),
                                c_stride: width,
                                resume: from > 0,
                                next,
                                sums: ahead,
                            };
                            // SAFETY: `Native` makes weights of the processor's tiles where they are. `a` holds `steps` steps of
                            // all tiles at their stride and `b` as many of this panel, as was asserted; `sums` are whole tiles of
                            // their own. Tested against f64 sums at odd shapes, over tiles in plain Rust on every processor.
                            unsafe { panel(self.unit, args) }
                        });
                    }
                }
                y.put_panels(store, begin - columns.start, end - begin, (sums, of_panel), width);
            }
        });
    }
}

mod few_rows;
mod numbers;

use numbers::Numbers;

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;

    /// Rows of several blocks, of one, of one tile among others and alone; panels of several chunks, cuts of K that are whole and that are
    /// not; taken near and far: all of them the same bits.
    #[test]
    fn blocks_have_the_bits_of_the_whole_product() {
        let isa = Isa::with_stand_in().into_iter().find(|isa| isa.has_tiles()).expect("a stand-in");
        let unit = isa.tiles().expect("tiles");
        let (rows, outputs, depth) = (70, 600, 300);
        let value = |i: usize, j: usize| ((i * 37 + j * 11) % 101) as f32 / 50.7 - 1.0;
        let w = Array2::from_shape_fn((outputs, depth), |(i, j)| value(i, j));
        let x = Array2::from_shape_fn((rows, depth), |(i, j)| value(i, j + 3));
        for (dtype, rounded) in
            [(Dtype::BF16, false), (Dtype::F16, false), (Dtype::F32, false), (Dtype::BF16, true)]
        {
            let mut bytes = vec![0; dtype.bytes_for(w.len()).unwrap()];
            dtype.narrow(w.as_slice().unwrap(), &mut bytes).unwrap();
            let matrix = StoredMatrix::new(dtype, outputs, depth, bytes).unwrap();
            let mut weight = TileWeight::new(unit, isa, &matrix, rounded);
            let product = |weight: &TileWeight, x: ArrayView2<f32>, rows: Range<usize>| {
                let mut y = Array2::from_elem((rows.len(), outputs), f32::NAN);
                weight.block(&weight.activations(x), rows, 0..outputs, Store::Overwrite, y.view_mut());
                y
            };
            let whole = product(&weight, x.view(), 0..rows);
            for near in [0, NEAR] {
                weight.near = near;
                for part in [0..rows, 0..32, 32..rows, 64..rows, 32..48, 64..65] {
                    let expected = whole.slice(s![part.clone(), ..]);
                    assert_eq!(product(&weight, x.view(), part.clone()), expected, "{dtype} {near} {part:?}");
                    let own = x.slice(s![part.clone(), ..]);
                    assert_eq!(product(&weight, own, 0..part.len()), expected, "{dtype} {near} {part:?}");
                }
            }
        }
    }

    /// A row alone and among others, of numbers that are small enough for their products and parts to be flushed, and large: the same
    /// bits by vectors as by tiles.
    #[test]
    fn a_row_has_the_bits_of_tiles_by_vectors() {
        if !few::is_here() {
            return eprintln!(
                "SKIPPED, nothing was compared: this processor does not round to bf16 by itself"
            );
        }
        let isa = Isa::with_stand_in().into_iter().find(|isa| isa.has_tiles()).expect("a stand-in");
        let unit = isa.tiles().expect("tiles");
        // Any mantissas, and exponents around one.
        let number = |i: usize, j: usize, around: i32, spread: u32| {
            let bits = (i as u32 * 613 + j as u32 * 7).wrapping_mul(2_654_435_761);
            let exponent = around + (bits >> 8) as i32 % spread as i32;
            f32::from_bits((bits & 0x807f_ffff) | ((exponent + 127).clamp(0, 254) as u32) << 23)
        };
        let outputs = 70;
        for depth in [1, 31, 32, 33, 64, 300] {
            for (of_x, of_w) in [(0, 0), (-60, -64), (-126, 0), (0, -126), (60, -127), (-10, -24), (62, 60)] {
                for (dtype, spread) in [(Dtype::F32, 3), (Dtype::F32, 12), (Dtype::F16, 3), (Dtype::F16, 12)]
                {
                    let w = Array2::from_shape_fn((outputs, depth), |(i, j)| number(i, j, of_w, spread));
                    let x = Array2::from_shape_fn((20, depth), |(i, j)| number(i + 1, j + 5, of_x, spread));
                    let mut bytes = vec![0; dtype.bytes_for(w.len()).unwrap()];
                    if dtype.narrow(w.as_slice().unwrap(), &mut bytes).is_err() {
                        continue;
                    }
                    let matrix = StoredMatrix::new(dtype, outputs, depth, bytes).unwrap();
                    let weight = TileWeight::new(unit, isa, &matrix, false);
                    let overflows = dtype == Dtype::F16 && of_w > 15;
                    assert_eq!(weight.by_vectors, !overflows, "{dtype} {of_w}");
                    let product = |x: ArrayView2<f32>| {
                        let mut y = Array2::from_elem((x.nrows(), outputs), f32::NAN);
                        let rows = 0..x.nrows();
                        weight.block(
                            &weight.activations(x),
                            rows,
                            0..outputs,
                            Store::Overwrite,
                            y.view_mut(),
                        );
                        y.mapv(f32::to_bits)
                    };
                    let all = product(x.view());
                    for row in [0, 7, 19] {
                        let found = product(x.slice(s![row..=row, ..]));
                        assert_eq!(
                            found,
                            all.slice(s![row..=row, ..]),
                            "{dtype} {depth} {of_x} {of_w} {row}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn weights_that_are_no_numbers_are_not_split_in_registers() {
        let isa = Isa::with_stand_in().into_iter().find(|isa| isa.has_tiles()).expect("a stand-in");
        for (dtype, infinite) in [(Dtype::F32, f32::INFINITY), (Dtype::F32, f32::MAX), (Dtype::F16, f32::NAN)]
        {
            let mut w = vec![1.0; 40 * 50];
            w[1234] = infinite;
            let mut bytes = vec![0; dtype.bytes_for(w.len()).unwrap()];
            dtype.narrow(&w, &mut bytes).unwrap();
            let matrix = StoredMatrix::new(dtype, 40, 50, bytes).unwrap();
            assert!(!TileWeight::new(isa.tiles().unwrap(), isa, &matrix, false).by_vectors, "{infinite}");
        }
    }
}
