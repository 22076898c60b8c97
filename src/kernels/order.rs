//! Order of a matrix's numbers in a panel, and packing them.

/// Where the numbers stand in a panel.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// A column's one after the other, then the next column.
    Straight,
    /// In a column, those of the second half between those of the first: what [`Bf16`](super::tile::Bf16) reads.
    Woven,
    /// Two neighbours of one row side by side, then those of the next row.
    Paired,
}

impl Order {
    /// The place of a number in its panel.
    pub fn place(self, column: usize, lane: usize, width: usize) -> usize {
        match self {
            Order::Straight => column * width + lane,
            Order::Woven => column * width + 2 * (lane % (width / 2)) + lane / (width / 2),
            Order::Paired => (column / 2 * width + lane) * 2 + column % 2,
        }
    }
}

/// `out[place of c and r] = rows[r * columns + c]`, in squares that stay in the nearest cache.
pub(super) fn transpose<T: Copy>(rows: &[T], columns: usize, width: usize, order: Order, out: &mut [T]) {
    /// Columns of a square.
    const SQUARE: usize = 16;
    for start in (0..columns).step_by(SQUARE) {
        let end = columns.min(start + SQUARE);
        for (lane, row) in rows.chunks_exact(columns).enumerate() {
            for (column, &value) in (start..end).zip(&row[start..end]) {
                out[order.place(column, lane, width)] = value;
            }
        }
    }
}
