//! Where a small matrix lies.

/// A matrix in a slice: `rows` of `columns` numbers, each row `stride` after the one before.
#[derive(Debug, Clone, Copy)]
pub struct MatrixLayout {
    /// How many rows there are.
    pub rows: usize,
    /// Numbers of a row.
    pub columns: usize,
    /// From one row to the next, at least `columns`.
    pub stride: usize,
}

impl MatrixLayout {
    /// Rows without gaps.
    pub fn packed(rows: usize, columns: usize) -> Self {
        Self { rows, columns, stride: columns }
    }

    /// Numbers from the first to the last one.
    pub(super) fn extent(self) -> usize {
        if self.rows == 0 { 0 } else { (self.rows - 1) * self.stride + self.columns }
    }
}

/// A right factor, row by row.
#[derive(Debug, Clone, Copy)]
pub enum Right<'a> {
    /// Numbers of f32.
    Numbers(&'a [f32], MatrixLayout),
    /// Pairs of [rows](super::pair_rows) of bf16 numbers; the shape counts pairs.
    Pairs(&'a [u32], MatrixLayout),
}
