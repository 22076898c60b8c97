//! Products of small integers: weights and activations in blocks of 32, each with a scale.
//!
//! The weights are those of Q8_0: `w = q · d`, q in −127..=127, d one number for 32 neighbours in a row. Activations get the
//! same form, row by row, just before a product. Inside a block sums are exact integers; over the blocks of a row they are f32
//! in ascending order. So the bits depend on neither the number of rows nor the place of a tile.

#![allow(unsafe_code)]

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::aligned::{Aligned, Recycled};
use super::int8_tile::{BLOCK, Form, Int8Args};
use super::output::BlockRows;
use super::tiled::Tiled;
use super::wide::on_widest;
use super::{ActivationForm, Activations, Isa, Store, StoredMatrix, Weight};

/// The largest quantised magnitude.
const LARGEST: f32 = 127.0;

/// A weight in panels: integers `[panel][k / group][row of the panel][group]`, scales `[panel][k / 32][row of the panel]`.
pub(super) struct Int8Panels {
    form: Form,
    rows: usize,
    columns: usize,
    blocks: usize,
    quants: Aligned<i8>,
    scales: Aligned<f32>,
    /// Places as those of the scales; empty where the form needs none.
    starts: Aligned<i32>,
}

/// Activations `[rows, blocks * 32]` in blocks, in tiles.
#[derive(Debug)]
pub struct Int8Rows {
    quants: Quants,
    scales: Tiled<f32>,
}

#[derive(Debug)]
enum Quants {
    Pairs(Tiled<i16>),
    /// Each 128 too high, so that there is no sign.
    Fours(Tiled<u8>),
}

impl Quants {
    /// The tiles from `row` on, in the part that begins at column `from`.
    fn part(&self, row: usize, from: usize) -> &[u8] {
        match self {
            Quants::Pairs(tiles) => bytemuck::cast_slice(tiles.part(row, from)),
            Quants::Fours(tiles) => tiles.part(row, from),
        }
    }
}

/// Columns of a part of the activations: what a tile and its part of a panel take stays in the first cache.
const PART: usize = 512;

/// What is added to activations that stand as bytes without a sign.
const OFFSET: i32 = 128;

impl Int8Panels {
    /// Bytes in memory of a matrix in this form; `None` for more than can be counted.
    pub(super) fn bytes_of(rows: usize, columns: usize, isa: Isa) -> Option<u64> {
        let form = Form::of(isa);
        let rows = rows.checked_next_multiple_of(form.panel)? as u64;
        let starts = if form.group == 4 { size_of::<i32>() } else { 0 };
        let block = (BLOCK + size_of::<f32>() + starts) as u64;
        rows.checked_mul(columns.div_ceil(BLOCK) as u64)?.checked_mul(block)
    }

    pub(super) fn new(matrix: &StoredMatrix<'_>, isa: Isa) -> Self {
        let form @ Form { panel, group, .. } = Form::of(isa);
        let (rows, columns) = (matrix.rows(), matrix.columns());
        let (panels, blocks) = (rows.div_ceil(panel), columns.div_ceil(BLOCK));
        let mut quants = Aligned::<i8>::zeros(panels * blocks * BLOCK * panel);
        let mut scales = Aligned::<f32>::zeros(panels * blocks * panel);
        if blocks > 0 {
            let all = quants.as_mut_slice().par_chunks_mut(blocks * BLOCK * panel);
            let work = all.zip(scales.as_mut_slice().par_chunks_mut(blocks * panel)).enumerate();
            work.for_each_init(
                || vec![0.0; columns],
                |wide, (index, (quants, scales))| {
                    for lane in 0..panel.min(rows - index * panel) {
                        matrix.widen_row(index * panel + lane, wide);
                        for (block, values) in wide.chunks(BLOCK).enumerate() {
                            let (scale, inverse) = scales_of(values);
                            scales[block * panel + lane] = scale;
                            for (k, value) in values.iter().enumerate() {
                                let k = block * BLOCK + k;
                                quants[(k / group * panel + lane) * group + k % group] =
                                    quant(*value, inverse) as i8;
                            }
                        }
                    }
                },
            );
        }
        let starts = if group == 4 { starts(form, quants.as_slice()) } else { Aligned::zeros(0) };
        Self { form, rows, columns, blocks, quants, scales, starts }
    }
}

/// For every block and row of a panel what takes [`OFFSET`] back out of a sum.
fn starts(form: Form, quants: &[i8]) -> Aligned<i32> {
    let mut starts = Aligned::zeros(quants.len() / BLOCK);
    let blocks = quants.chunks_exact(BLOCK * form.panel);
    for (quants, starts) in blocks.zip(starts.as_mut_slice().chunks_exact_mut(form.panel)) {
        for groups in quants.chunks_exact(form.group * form.panel) {
            for (group, start) in groups.chunks_exact(form.group).zip(starts.iter_mut()) {
                *start -= OFFSET * group.iter().map(|&q| i32::from(q)).sum::<i32>();
            }
        }
    }
    starts
}

/// A block's scale, and what its values are multiplied with: 0 where all of them become 0.
fn scales_of(values: &[f32]) -> (f32, f32) {
    // Without their signs numbers are ordered as their bits are, and what is no number is above all.
    let largest = values.iter().fold(0, |largest, value| largest.max(value.to_bits() & !(1 << 31)));
    let largest = f32::from_bits(largest);
    let inverse = LARGEST / largest;
    if largest > 0.0 && largest.is_finite() && inverse.is_finite() {
        (largest / LARGEST, inverse)
    } else if largest.is_finite() {
        // Nothing, or so little that its inverse is beyond numbers.
        (0.0, 0.0)
    } else {
        (largest, 0.0)
    }
}

/// `value * inverse` as an integer, ties to even. The largest magnitude becomes 127; where `inverse` is 0, all become 0: the
/// scale says what is no number.
fn quant(value: f32, inverse: f32) -> i16 {
    /// Whose unit is 1, so that adding it rounds; the low bits are the integer then.
    const UNIT: f32 = 12_582_912.0;
    let scaled = if inverse == 0.0 { 0.0 } else { value * inverse };
    ((scaled + UNIT).to_bits() as i32).wrapping_sub(UNIT.to_bits() as i32) as i16
}

on_widest! {
    /// Quantises one row, block by block.
    pub fn quantize(values: &[f32], quants: &mut [i16], scales: &mut [f32]) {
        for ((values, quants), scale) in
            values.chunks(BLOCK).zip(quants.chunks_exact_mut(BLOCK)).zip(scales)
        {
            let (own, inverse) = scales_of(values);
            *scale = own;
            for (out, value) in quants.iter_mut().zip(values) {
                *out = quant(*value, inverse);
            }
            quants[values.len()..].fill(0);
        }
    }
}

impl Int8Rows {
    /// Quantises rows.
    fn new(x: ArrayView2<f32>, form: Form) -> Self {
        let (rows, blocks) = (x.nrows(), x.ncols().div_ceil(BLOCK));
        let depth = blocks * BLOCK;
        let (mut quants, mut scales) = (Recycled::take(rows * depth), Array2::zeros((rows, blocks)));
        if blocks > 0 {
            let x = x.as_standard_layout();
            let rows = quants.as_mut_slice().par_chunks_exact_mut(depth).zip(scales.axis_iter_mut(Axis(0)));
            rows.zip(x.axis_iter(Axis(0))).for_each(|((quants, mut scales), row)| {
                let row = row.as_slice().expect("numbers of a row are neighbours");
                quantize(row, quants, scales.as_slice_mut().expect("scales of a row are neighbours"));
            });
        }
        // A row of `depth` numbers for each of `rows`.
        let quants = ArrayView2::from_shape((rows, depth), quants.as_slice()).expect("whole rows");
        let Form { tile, group, .. } = form;
        let raised = |q: i16| (i32::from(q) + OFFSET) as u8;
        let quants = match group {
            4 => Quants::Fours(Tiled::new::<_, 4>(quants, tile, PART, raised)),
            _ => Quants::Pairs(Tiled::new::<_, 2>(quants, tile, PART, |q: i16| q)),
        };
        Self { quants, scales: Tiled::new::<_, 1>(scales.view(), tile, PART / BLOCK, |scale: f32| scale) }
    }
}

impl Weight for Int8Panels {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn bytes(&self) -> usize {
        let starts = size_of_val(self.starts.as_slice());
        self.quants.as_slice().len() + size_of_val(self.scales.as_slice()) + starts
    }

    fn column_unit(&self) -> usize {
        self.form.panel
    }

    fn form(&self) -> ActivationForm {
        ActivationForm::Int8
    }

    fn activations<'a>(&self, x: ArrayView2<'a, f32>) -> Activations<'a> {
        Activations::Int8(Int8Rows::new(x, self.form))
    }

    fn block(
        &self,
        x: &Activations<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        store: Store,
        mut y: ArrayViewMut2<f32>,
    ) {
        let Activations::Int8(x) = x else { panic!("expected activations in blocks of integers") };
        let (count, depth) = (rows.len(), self.blocks * BLOCK);
        let (x_rows, x_blocks) = x.scales.dim();
        assert_eq!(x_blocks, self.blocks, "blocks of the activations");
        let mut y = BlockRows::of_block(self, (x_rows, self.columns), (&rows, &columns), &mut y);
        let Form { panel, tile, group, product } = self.form;
        let tiles = count.next_multiple_of(tile);
        let mut sums = vec![0.0; count * panel];
        for first in columns.clone().step_by(panel) {
            sums.fill(0.0);
            let b = &self.quants.as_slice()[first * depth..][..depth * panel];
            let scales = first * self.blocks..(first + panel) * self.blocks;
            let b_scales = &self.scales.as_slice()[scales.clone()];
            let starts = if group == 4 { &self.starts.as_slice()[scales] } else { &[] };
            for from in (0..depth).step_by(PART) {
                let (block, blocks) = (from / BLOCK, (depth - from).min(PART) / BLOCK);
                let (a, a_scales) = (x.quants.part(rows.start, from), x.scales.part(rows.start, block));
                let width = if group == 4 { 1 } else { size_of::<i16>() };
                assert!(a.len() >= tiles * blocks * BLOCK * width && a_scales.len() >= tiles * blocks);
                let args = Int8Args {
                    rows: count,
                    blocks,
                    a: a.as_ptr(),
                    a_scales: a_scales.as_ptr(),
                    b: b[from * panel..].as_ptr(),
                    b_scales: b_scales[block * panel..].as_ptr(),
                    starts: if group == 4 { starts[block * panel..].as_ptr() } else { starts.as_ptr() },
                    c: sums.as_mut_ptr(),
                };
                // SAFETY: the parts of `a` hold whole tiles of `blocks` blocks, as many as `count` rows take, in the form of
                // these weights; those of `b`, with scales and starts where the form has them, lie in the slices that were
                // just cut, since `blocks` blocks follow `from`; `sums` is a buffer of its own, and the instruction set is one
                // that `Native` has asked the processor for. Tested against exact sums.
                unsafe { product(args) }
            }
            let own = panel.min(columns.end - first);
            y.put(store, first - columns.start, own, &sums, panel);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayView1;

    use super::*;
    use crate::kernels::{MatMul, Native, Precision, multiply};

    fn values(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 37 + j * 11 + seed) % 101) as f32 / 50.0 - 1.0)
    }

    /// What the product is by its definition, in f64.
    fn expected(x: &Array2<f32>, w: &Array2<f32>) -> Array2<f64> {
        let quantised = |row: ArrayView1<f32>| -> Vec<f64> {
            let row = row.to_vec();
            let blocks = row.chunks(BLOCK).flat_map(|block| {
                let (scale, inverse) = scales_of(block);
                block
                    .iter()
                    .map(move |&v| f64::from(quant(v, inverse)) * f64::from(scale))
                    .collect::<Vec<_>>()
            });
            blocks.collect()
        };
        Array2::from_shape_fn((x.nrows(), w.nrows()), |(i, j)| {
            quantised(x.row(i)).iter().zip(quantised(w.row(j))).map(|(a, b)| a * b).sum()
        })
    }

    #[test]
    fn every_instruction_set_sums_the_same_integers() {
        for (m, n, k) in [(1, 1, 1), (3, 16, 32), (7, 33, 70), (14, 50, 256), (13, 20, 1100)] {
            let (x, w) = (values(m, k, 3), values(n, k, 8));
            let stored = StoredMatrix::from_f32(n, k, w.as_slice().unwrap()).unwrap();
            let exact = expected(&x, &w);
            for isa in Isa::with_stand_in() {
                let native = Native::with_isa(isa, Precision::Int8).unwrap();
                let mut y = Array2::from_elem((m, n), f32::NAN);
                multiply(native.prepare(&stored).as_ref(), x.view(), y.view_mut(), Store::Overwrite);
                for (found, exact) in y.iter().zip(&exact) {
                    let error = (f64::from(*found) - exact).abs();
                    assert!(error < 1e-6 * k as f64, "{isa:?} {m}x{n}x{k}: {found} {exact}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let x = ndarray::array![[1.0, f32::INFINITY], [f32::NAN, 1.0], [0.0, 0.0]];
        let form = Form::of(Isa::Plain);
        let rows = Int8Rows::new(x.view(), form);
        assert!(rows.scales.part(0, 0)[0].is_infinite() && rows.scales.part(0, 0)[1].is_nan());
        assert_eq!(rows.scales.part(2, 0)[0], 0.0);
        assert_eq!(rows.quants.part(2, 0)[..2 * size_of::<i16>()], [0; 4]);
    }

    #[test]
    fn blocks_of_next_to_nothing_become_nothing() {
        for tiny in [0.0, 1e-45, 1e-40] {
            assert_eq!(scales_of(&[tiny, -tiny]), (0.0, 0.0));
        }
        let (scale, inverse) = scales_of(&[0.5, -2.0, 1.0 / 127.0]);
        let quants = [0.5, -2.0, 1.0 / 127.0].map(|value| quant(value, inverse));
        assert_eq!((scale, quants), (2.0 / 127.0, [32, -127, 0]));
    }
}
