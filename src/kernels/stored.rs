//! A weight as a file holds it.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::weights::{Dtype, WeightsError};

/// A matrix `[rows, columns]`, row-major, in the type and with the bytes of its file.
#[derive(Debug, Clone)]
pub struct StoredMatrix<'a> {
    dtype: Dtype,
    rows: usize,
    columns: usize,
    data: Cow<'a, [u8]>,
}

impl<'a> StoredMatrix<'a> {
    /// # Errors
    /// Bytes that are not those of whole rows of this type, and types that cannot be widened to f32.
    pub fn new(
        dtype: Dtype,
        rows: usize,
        columns: usize,
        data: impl Into<Cow<'a, [u8]>>,
    ) -> Result<Self, WeightsError> {
        let data = data.into();
        let expected = dtype.bytes_for(columns).and_then(|row| row.checked_mul(rows));
        if expected != Some(data.len()) {
            return Err(WeightsError::WidenLength {
                dtype,
                elements: rows.saturating_mul(columns),
                expected: expected.map_or_else(
                    || format!("rows of whole blocks ({columns} columns)"),
                    |n| format!("{n} bytes"),
                ),
                found: data.len(),
            });
        }
        if !dtype.is_widenable() {
            return Err(WeightsError::NotWidenable { dtype });
        }
        Ok(Self { dtype, rows, columns, data })
    }

    /// A matrix of f32 numbers, row-major; `values.len()` must be `rows * columns`.
    pub fn from_f32(
        rows: usize,
        columns: usize,
        values: &[f32],
    ) -> Result<StoredMatrix<'static>, WeightsError> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        StoredMatrix::new(Dtype::F32, rows, columns, bytes)
    }

    /// How its elements are stored.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Rows: output features of a linear layer.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: input features of a linear layer.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The bytes of all rows.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes of one row.
    ///
    /// # Panics
    /// If `row` is none of the rows.
    pub fn row(&self, row: usize) -> &[u8] {
        assert!(row < self.rows, "a row of the matrix");
        let width = self.data.len() / self.rows;
        &self.data[row * width..][..width]
    }

    /// Widens one row into `out`, which has `columns` numbers.
    ///
    /// # Panics
    /// If `row` is none of the rows or `out` has another length.
    pub fn widen_row(&self, row: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.columns, "a row of the matrix");
        self.dtype.widen(self.row(row), out).expect("`new` has checked type and length of every row");
    }

    /// The rows of these numbers, in their order.
    ///
    /// # Panics
    /// If one is none of the rows.
    pub fn select(&self, rows: &[usize]) -> StoredMatrix<'static> {
        let data: Vec<u8> = rows.iter().flat_map(|&row| self.row(row)).copied().collect();
        StoredMatrix { dtype: self.dtype, rows: rows.len(), columns: self.columns, data: data.into() }
    }

    /// The same numbers in 16 bits each, if they are stored in f32 and all of them are numbers of bf16 or all of f16, as those of
    /// models are that were trained or released so and then saved wider: bit for bit the same when they are widened again.
    pub fn halved(&self) -> Option<StoredMatrix<'static>> {
        if self.dtype != Dtype::F32 || self.data.is_empty() {
            return None;
        }
        [Dtype::BF16, Dtype::F16].into_iter().find_map(|dtype| self.halved_to(dtype))
    }

    fn halved_to(&self, dtype: Dtype) -> Option<StoredMatrix<'static>> {
        let halve = |row: usize, out: &mut [u8]| {
            let (mut numbers, mut again) = (vec![0.0; self.columns], vec![0.0; self.columns]);
            self.widen_row(row, &mut numbers);
            dtype.narrow(&numbers, out).and_then(|()| dtype.widen(out, &mut again)).ok()?;
            let is_same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
            numbers.iter().zip(&again).all(is_same).then_some(())
        };
        let width = dtype.bytes_for(self.columns)?;
        // Most matrices of f32 are of f32: they are known by their first row, before there is room for all.
        halve(0, &mut vec![0; width])?;
        let mut data = vec![0; width * self.rows];
        data.par_chunks_exact_mut(width).enumerate().try_for_each(|(row, out)| halve(row, out))?;
        Some(StoredMatrix { dtype, rows: self.rows, columns: self.columns, data: data.into() })
    }

    /// The same with bytes of its own.
    pub fn into_owned(self) -> StoredMatrix<'static> {
        let Self { dtype, rows, columns, data } = self;
        StoredMatrix { dtype, rows, columns, data: Cow::Owned(data.into_owned()) }
    }

    /// Bytes in memory or in the file.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_widened_and_selected() {
        let bytes: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let matrix = StoredMatrix::new(Dtype::F32, 3, 2, bytes).unwrap();
        let mut row = [0.0; 2];
        matrix.widen_row(1, &mut row);
        assert_eq!(row, [3.0, 4.0]);
        matrix.select(&[2, 0]).widen_row(0, &mut row);
        assert_eq!((row, matrix.select(&[]).rows()), ([5.0, 6.0], 0));
    }

    #[test]
    fn numbers_of_16_bits_are_halved_and_no_others() {
        let halved = |values: &[f32]| {
            let matrix = StoredMatrix::from_f32(2, values.len() / 2, values).unwrap();
            matrix.halved().map(|half| {
                let mut rows = vec![0.0; values.len()];
                let (first, second) = rows.split_at_mut(values.len() / 2);
                half.widen_row(0, first);
                half.widen_row(1, second);
                assert!(rows.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits()), "{rows:?}");
                half.dtype()
            })
        };
        let (of_f16, of_bf16, of_both) = (1.0 + 2f32.powi(-10), 2f32.powi(100), 1.5);
        assert_eq!(halved(&[of_both, -0.0, f32::INFINITY, 0.0]), Some(Dtype::BF16));
        assert_eq!(halved(&[of_both, of_bf16, 0.0, -2.0]), Some(Dtype::BF16));
        assert_eq!(halved(&[of_both, of_f16, 0.0, -2.0]), Some(Dtype::F16));
        for other in [1.1, f32::from_bits(0x7fc0_0001), 1e-42] {
            assert_eq!(halved(&[other, of_both, of_both, of_both]), None, "{other}");
            assert_eq!(halved(&[of_both, of_both, of_both, other]), None, "{other}");
        }
        assert_eq!(halved(&[of_f16, of_bf16, 1.0, 1.0]), None);
        assert_eq!(halved(&[]), None);
        let already = StoredMatrix::new(Dtype::F16, 1, 2, vec![0; 4]).unwrap();
        assert!(already.halved().is_none());
    }

    #[test]
    fn bytes_of_another_shape_or_type_are_refused() {
        for (dtype, rows, columns, bytes) in [
            (Dtype::F32, 2, 2, 15),
            (Dtype::Q8_0, 1, 33, 34),
            (Dtype::F16, usize::MAX, 4, 8),
            (Dtype::I64, 1, 1, 8),
        ] {
            assert!(StoredMatrix::new(dtype, rows, columns, vec![0; bytes]).is_err(), "{dtype}");
        }
    }
}
