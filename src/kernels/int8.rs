//! Products of small integers: weights and activations in blocks of 32, each with a scale.
//!
//! The weights are those of Q8_0: `w = q · d`, q in −127..=127, d one number for 32 neighbours in a row. Activations get the
//! same form, row by row, just before a product. Inside a block sums are exact integers; over the blocks of a row they are f32
//! in ascending order. So the bits depend on neither the number of rows nor the place of a tile.

#![allow(unsafe_code)]

use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

use super::int8_tile::{BLOCK, Int8Args, PANEL, panel};
use super::output::BlockRows;
use super::panels::Aligned;
use super::{Activations, Isa, Store, StoredMatrix, Weight};

/// The largest quantised magnitude.
const LARGEST: f32 = 127.0;

/// A weight in panels of [`PANEL`] rows: integers `[panel][k / 2][PANEL][2]`, scales `[panel][k / 32][PANEL]`.
pub(super) struct Int8Panels {
    isa: Isa,
    rows: usize,
    columns: usize,
    blocks: usize,
    quants: Aligned<i8>,
    scales: Aligned<f32>,
}

/// Activations `[rows, blocks * 32]` in blocks; sums of pairs want them as 16 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Int8Rows {
    blocks: usize,
    quants: Vec<i16>,
    scales: Vec<f32>,
}

impl Int8Panels {
    /// Bytes in memory of a matrix in this form.
    pub(super) fn bytes_of(rows: usize, columns: usize) -> u64 {
        let (rows, blocks) = (rows.next_multiple_of(PANEL) as u64, columns.div_ceil(BLOCK) as u64);
        rows.saturating_mul(blocks).saturating_mul((BLOCK + size_of::<f32>()) as u64)
    }

    pub(super) fn new(matrix: &StoredMatrix<'_>, isa: Isa) -> Self {
        let (rows, columns) = (matrix.rows(), matrix.columns());
        let (panels, blocks) = (rows.div_ceil(PANEL), columns.div_ceil(BLOCK));
        let mut quants = Aligned::<i8>::zeros(panels * blocks * BLOCK * PANEL);
        let mut scales = Aligned::<f32>::zeros(panels * blocks * PANEL);
        if blocks > 0 {
            let all = quants.as_mut_slice().par_chunks_mut(blocks * BLOCK * PANEL);
            let work = all.zip(scales.as_mut_slice().par_chunks_mut(blocks * PANEL)).enumerate();
            work.for_each_init(
                || vec![0.0; columns],
                |wide, (panel, (quants, scales))| {
                    for lane in 0..PANEL.min(rows - panel * PANEL) {
                        matrix.widen_row(panel * PANEL + lane, wide);
                        for (block, values) in wide.chunks(BLOCK).enumerate() {
                            let (scale, inverse) = scales_of(values);
                            scales[block * PANEL + lane] = scale;
                            for (k, value) in values.iter().enumerate() {
                                let k = block * BLOCK + k;
                                quants[(k / 2 * PANEL + lane) * 2 + k % 2] = quant(*value, inverse) as i8;
                            }
                        }
                    }
                },
            );
        }
        Self { isa, rows, columns, blocks, quants, scales }
    }
}

/// A block's scale, and what its values are multiplied with.
fn scales_of(values: &[f32]) -> (f32, f32) {
    let largest = values.iter().fold(0.0f32, |a, b| if b.abs() > a || b.is_nan() { b.abs() } else { a });
    if largest > 0.0 && largest.is_finite() { (largest / LARGEST, LARGEST / largest) } else { (largest, 0.0) }
}

fn quant(value: f32, inverse: f32) -> i16 {
    // In range: the largest magnitude becomes 127. Not a number becomes 0; its block's scale says so.
    (value * inverse).round_ties_even() as i16
}

impl Int8Rows {
    /// Quantises rows.
    pub fn new(x: ArrayView2<f32>) -> Self {
        let blocks = x.ncols().div_ceil(BLOCK);
        let mut quants = vec![0i16; x.nrows() * blocks * BLOCK];
        let mut scales = vec![0.0; x.nrows() * blocks];
        if blocks > 0 {
            let all = quants.par_chunks_mut(blocks * BLOCK).zip(scales.par_chunks_mut(blocks));
            all.enumerate().for_each(|(row, (quants, scales))| {
                let row: ArrayView1<f32> = x.row(row);
                let row = row.as_standard_layout();
                let row = row.as_slice().unwrap_or_default();
                for ((values, quants), scale) in
                    row.chunks(BLOCK).zip(quants.chunks_mut(BLOCK)).zip(scales.iter_mut())
                {
                    let (own, inverse) = scales_of(values);
                    *scale = own;
                    for (quant_out, value) in quants.iter_mut().zip(values) {
                        *quant_out = quant(*value, inverse);
                    }
                }
            });
        }
        Self { blocks, quants, scales }
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
        self.quants.as_slice().len() + size_of_val(self.scales.as_slice())
    }

    fn column_unit(&self) -> usize {
        PANEL
    }

    fn activations<'a>(&self, x: ArrayView2<'a, f32>) -> Activations<'a> {
        Activations::Int8(Int8Rows::new(x))
    }

    fn block(
        &self,
        x: &Activations<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        store: Store,
        mut y: ArrayViewMut2<f32>,
    ) {
        let x = x.int8();
        let (count, depth) = (rows.len(), self.blocks * BLOCK);
        assert_eq!((y.dim(), x.blocks), ((count, columns.len()), self.blocks), "shapes of the block");
        assert_eq!(columns.start % PANEL, 0, "blocks begin at panels");
        let a = &x.quants[rows.start * depth..rows.end * depth];
        let a_scales = &x.scales[rows.start * self.blocks..rows.end * self.blocks];
        let mut y = BlockRows::new(&mut y);
        let mut sums = vec![0.0; count * PANEL];
        for index in columns.start / PANEL..columns.end.div_ceil(PANEL) {
            sums.fill(0.0);
            let b = &self.quants.as_slice()[index * depth * PANEL..][..depth * PANEL];
            let b_scales = &self.scales.as_slice()[index * self.blocks * PANEL..][..self.blocks * PANEL];
            let args = Int8Args {
                rows: count,
                blocks: self.blocks,
                a: a.as_ptr(),
                a_scales: a_scales.as_ptr(),
                b: b.as_ptr(),
                b_scales: b_scales.as_ptr(),
                c: sums.as_mut_ptr(),
            };
            // SAFETY: the slices were just cut to the sizes that the contract names, `sums` is a buffer of its own, and the
            // instruction set is one that `Native` has asked the processor for. Tested against exact sums.
            unsafe { panel(self.isa)(args) }
            let first = index * PANEL - columns.start;
            let own = PANEL.min(columns.len() - first);
            y.put(store, first, own, &sums, PANEL);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

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
        for (m, n, k) in [(1, 1, 1), (3, 16, 32), (7, 33, 70), (14, 50, 256)] {
            let (x, w) = (values(m, k, 3), values(n, k, 8));
            let stored = StoredMatrix::from_f32(n, k, w.as_slice().unwrap()).unwrap();
            let exact = expected(&x, &w);
            for isa in Isa::all() {
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
        let rows = Int8Rows::new(ndarray::array![[1.0, f32::INFINITY], [f32::NAN, 1.0], [0.0, 0.0]].view());
        assert!(rows.scales[0].is_infinite() && rows.scales[1].is_nan());
        assert_eq!((rows.scales[2], rows.quants[2 * BLOCK]), (0.0, 0));
    }
}
