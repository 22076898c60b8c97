//! The difference of two stored matrices, widened and subtracted block by block.
//!
//! Products with thin matrices are all that the randomised methods need, and they go over fixed blocks: every
//! element of a result is summed in one order, whatever the number of threads.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::weights::{Dtype, TensorView, WeightsError};

/// Elements of a block of whole rows: 8 MiB of f64.
const BLOCK: usize = 1 << 20;
/// Columns of a block of columns; whole blocks of every quantised type.
const COLUMNS: usize = 256;
/// Rows of a block of columns.
const ROWS: usize = 1024;

/// `tuned − base`, `[rows, columns]`, computed when asked for.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'a> {
    base: &'a TensorView<'a>,
    tuned: &'a TensorView<'a>,
    rows: usize,
    columns: usize,
}

impl<'a> Difference<'a> {
    /// The difference of two matrices with the same columns, over the rows that both have.
    ///
    /// `None` if they are not such matrices, are empty, or are of a type that is not widened.
    pub fn new(base: &'a TensorView<'_>, tuned: &'a TensorView<'_>) -> Option<Self> {
        let (&[base_rows, columns], &[tuned_rows, tuned_columns]) =
            (base.info.shape.as_slice(), tuned.info.shape.as_slice())
        else {
            return None;
        };
        let rows = base_rows.min(tuned_rows);
        let widens = |dtype: Dtype| dtype.is_widenable() && dtype.bytes_for(columns).is_some();
        let fit = columns == tuned_columns && rows > 0 && columns > 0;
        (fit && widens(base.info.dtype) && widens(tuned.info.dtype)).then_some(Self {
            base,
            tuned,
            rows,
            columns,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The smaller side.
    pub fn side(&self) -> usize {
        self.rows.min(self.columns)
    }

    /// The elements of some rows and columns; `columns.start` must be a multiple of 256 or 0.
    pub fn block(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Array2<f64>, WeightsError> {
        let mut out = Array2::zeros((rows.len(), columns.len()));
        let mut base = vec![0.0; columns.len()];
        let mut tuned = vec![0.0; columns.len()];
        for (row, mut out) in rows.zip(out.rows_mut()) {
            let first = row * self.columns + columns.start;
            self.base.widen_from(first, &mut base)?;
            self.tuned.widen_from(first, &mut tuned)?;
            for ((y, &a), &b) in out.iter_mut().zip(&base).zip(&tuned) {
                *y = f64::from(b) - f64::from(a);
            }
        }
        Ok(out)
    }

    /// All elements.
    pub fn dense(&self) -> Result<Array2<f64>, WeightsError> {
        self.block(0..self.rows, 0..self.columns)
    }

    /// `Δ · x` for `x: [columns, k]`, as `[rows, k]`.
    pub fn times(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, WeightsError> {
        let mut y = Array2::zeros((self.rows, x.ncols()));
        let step = (BLOCK / self.columns).clamp(1, ROWS);
        y.axis_chunks_iter_mut(Axis(0), step).into_par_iter().enumerate().try_for_each(|(i, mut y)| {
            let first = i * step;
            let block = self.block(first..first + y.nrows(), 0..self.columns)?;
            general_mat_mul(1.0, &block, &x, 0.0, &mut y);
            Ok::<_, WeightsError>(())
        })?;
        Ok(y)
    }

    /// `Δᵀ · y` for `y: [rows, k]`, as `[columns, k]`.
    pub fn transposed_times(&self, y: ArrayView2<'_, f64>) -> Result<Array2<f64>, WeightsError> {
        let mut z = Array2::zeros((self.columns, y.ncols()));
        z.axis_chunks_iter_mut(Axis(0), COLUMNS).into_par_iter().enumerate().try_for_each(|(i, mut z)| {
            let columns = i * COLUMNS..i * COLUMNS + z.nrows();
            for first in (0..self.rows).step_by(ROWS) {
                let rows = first..self.rows.min(first + ROWS);
                let block = self.block(rows.clone(), columns.clone())?;
                general_mat_mul(1.0, &block.t(), &y.slice(s![rows, ..]), 1.0, &mut z);
            }
            Ok::<_, WeightsError>(())
        })?;
        Ok(z)
    }

    /// The Gram matrix of the smaller side: `Δ · Δᵀ` or `Δᵀ · Δ`, both triangles: which of them LAPACK reads depends on
    /// the order of rows and columns in memory.
    pub fn gram(&self) -> Result<Array2<f64>, WeightsError> {
        let side = self.side();
        let wide = self.rows < self.columns;
        // Strips of the smaller side against strips of the longer one.
        let strip = |own: Range<usize>, along: Range<usize>| {
            if wide { self.block(own, along) } else { self.block(along, own).map(|b| b.reversed_axes()) }
        };
        let length = if wide { self.columns } else { self.rows };
        let mut gram = Array2::zeros((side, side));
        gram.axis_chunks_iter_mut(Axis(0), COLUMNS).into_par_iter().enumerate().try_for_each(
            |(i, mut rows)| {
                let own = i * COLUMNS..i * COLUMNS + rows.nrows();
                for first in (0..length).step_by(ROWS) {
                    let along = first..length.min(first + ROWS);
                    let left = strip(own.clone(), along.clone())?;
                    // The matrix is symmetric: blocks right of the diagonal are copied.
                    for other in (0..own.end).step_by(COLUMNS) {
                        let right = strip(other..side.min(other + COLUMNS), along.clone())?;
                        let end = other + right.nrows();
                        general_mat_mul(1.0, &left, &right.t(), 1.0, &mut rows.slice_mut(s![.., other..end]));
                    }
                }
                Ok::<_, WeightsError>(())
            },
        )?;
        for row in 0..side {
            for column in 0..row {
                gram[[column, row]] = gram[[row, column]];
            }
        }
        Ok(gram)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Matrix, numbers};
    use super::*;

    /// f64 sums of a thousand products in another order.
    const TOLERANCE: f64 = 1e-10;

    fn close(a: &Array2<f64>, b: &Array2<f64>) {
        assert_eq!(a.dim(), b.dim());
        let scale = b.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE * scale));
    }

    #[test]
    fn products_are_those_of_the_dense_difference() {
        for (rows, columns) in [(1, 1), (3, 700), (1100, 5), (300, 520)] {
            let mut next = numbers(rows as u64 + 7);
            let base = Matrix::random(Dtype::F16, rows + 2, columns, &mut next);
            let tuned = Matrix::random(Dtype::BF16, rows, columns, &mut next);
            let (a, b) = (base.view(), tuned.view());
            let difference = Difference::new(&a, &b).unwrap();
            assert_eq!((difference.rows(), difference.columns()), (rows, columns));
            let dense = difference.dense().unwrap();
            let (wide_a, wide_b) = (a.to_f32().unwrap(), b.to_f32().unwrap());
            let last = rows * columns - 1;
            assert_eq!(dense[[rows - 1, columns - 1]], f64::from(wide_b[last]) - f64::from(wide_a[last]));
            let x = Array2::from_shape_simple_fn((columns, 4), || f64::from(next()));
            let y = Array2::from_shape_simple_fn((rows, 4), || f64::from(next()));
            close(&difference.times(x.view()).unwrap(), &dense.dot(&x));
            close(&difference.transposed_times(y.view()).unwrap(), &dense.t().dot(&y));
            let gram = if rows < columns { dense.dot(&dense.t()) } else { dense.t().dot(&dense) };
            close(&difference.gram().unwrap(), &gram);
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let mut next = numbers(1);
        let base = Matrix::random(Dtype::F32, 1500, 600, &mut next);
        let tuned = Matrix::random(Dtype::F32, 1500, 600, &mut next);
        let (a, b) = (base.view(), tuned.view());
        let difference = Difference::new(&a, &b).unwrap();
        let x = Array2::from_shape_simple_fn((600, 9), || f64::from(next()));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let y = difference.times(x.view()).unwrap();
                let z = difference.transposed_times(y.view()).unwrap();
                (y, z)
            })
        };
        assert_eq!(run(1), run(4));
    }

    #[test]
    fn quantised_rows_are_cut_at_their_blocks() {
        let bytes: Vec<u8> =
            (0..3 * 18 * 18).map(|i| if i % 18 == 1 { 0x2c } else { (i % 7) as u8 }).collect();
        let base = Matrix::new(Dtype::Q4_0, 3, 576, bytes);
        let tuned = Matrix::new(Dtype::F32, 3, 576, vec![0; 3 * 576 * 4]);
        let (a, b) = (base.view(), tuned.view());
        let difference = Difference::new(&a, &b).unwrap();
        let part = difference.block(1..3, 512..576).unwrap();
        assert_eq!(part, difference.dense().unwrap().slice(s![1..3, 512..576]));
        assert!(part.iter().any(|x| *x != 0.0));
    }

    #[test]
    fn what_is_no_pair_of_matrices_has_no_difference() {
        let mut next = numbers(2);
        let a = Matrix::random(Dtype::F32, 4, 6, &mut next);
        let b = Matrix::random(Dtype::F32, 4, 7, &mut next);
        let ints = Matrix::new(Dtype::I64, 4, 6, vec![0; 4 * 6 * 8]);
        let empty = Matrix::new(Dtype::F32, 0, 6, vec![]);
        for other in [&b, &ints, &empty] {
            assert!(Difference::new(&a.view(), &other.view()).is_none());
        }
    }
}
