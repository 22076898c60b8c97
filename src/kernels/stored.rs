//! A weight as a file holds it.

use std::borrow::Cow;

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
