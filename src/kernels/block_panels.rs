//! Weights in ggml's blocks, kept as they are stored and widened to f32 a piece of a panel at a time.
//!
//! A piece stays in the second cache while all rows of a block of activations are multiplied with it, so a model takes the
//! memory of its file, and widening is done once for some hundred tokens. A few rows are multiplied with the blocks themselves
//! where there are [products](super::quants) for them.

#![allow(unsafe_code)]

use std::cell::RefCell;

use rayon::prelude::*;

use super::aligned::Aligned;
use super::order::{Order, transpose};
use super::quants::{self, Quants};
use super::tile::PART;
use super::{Isa, StoredMatrix};
use crate::weights::Dtype;

/// Columns of a piece: those of a part of the activations, and whole blocks of every type.
const PIECE: usize = PART;

/// A matrix `[rows, columns]` of blocks, as `[panel][piece][row of the panel]`, or `[panel][block][row of the panel]` where there
/// are [products](super::quants) with blocks; the last panel is filled up with zeros.
pub struct BlockPanels {
    dtype: Dtype,
    quants: Option<Quants>,
    isa: Isa,
    columns: usize,
    /// Rows of a panel.
    width: usize,
    bytes: Aligned<u8>,
}

/// What one thread widens into: rows as they are stored, and the piece that is made of them.
#[derive(Default)]
struct Wide {
    rows: Aligned<f32>,
    piece: Aligned<f32>,
}

thread_local! {
    static WIDE: RefCell<Wide> = RefCell::default();
}

impl BlockPanels {
    /// Whether a type is kept in blocks.
    pub const fn takes(dtype: Dtype) -> bool {
        dtype.block_size() > 1
    }

    /// Bytes in memory of a matrix of blocks; `None` for rows of no whole blocks, and for more than can be counted.
    pub fn bytes_of(dtype: Dtype, rows: usize, columns: usize, width: usize) -> Option<u64> {
        (rows.checked_next_multiple_of(width)? as u64).checked_mul(dtype.bytes_for(columns)? as u64)
    }

    /// Brings the rows of every panel together, piece by piece.
    pub fn new(matrix: &StoredMatrix<'_>, isa: Isa) -> Self {
        assert!(isa.is_here() && !isa.has_tiles(), "vectors of this processor");
        let (dtype, rows, columns) = (matrix.dtype(), matrix.rows(), matrix.columns());
        let width = isa.panel_width();
        let quants = Quants::of(dtype).map(|quants| quants.of_blocks(matrix.data()));
        let bytes = |elements| bytes_of(dtype, elements);
        let mut packed = Aligned::zeros(rows.div_ceil(width) * width * bytes(columns));
        if columns > 0 {
            packed.as_mut_slice().par_chunks_mut(width * bytes(columns)).enumerate().for_each(
                |(panel, out)| {
                    for lane in 0..width.min(rows - panel * width) {
                        let row = matrix.row(panel * width + lane);
                        if let Some(quants) = quants {
                            let size = bytes(quants::BLOCK);
                            let places = out.chunks_exact_mut(width * size);
                            for (block, out) in row.chunks_exact(size).zip(places) {
                                quants.place(block, lane, width, out);
                            }
                            continue;
                        }
                        for from in (0..columns).step_by(PIECE) {
                            let count = bytes(PIECE.min(columns - from));
                            let own = width * bytes(from) + lane * count;
                            out[own..own + count].copy_from_slice(&row[bytes(from)..][..count]);
                        }
                    }
                },
            );
        }
        Self { dtype, quants, isa, columns, width, bytes: packed }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.bytes.as_slice().len()
    }

    /// Calls `work` with columns `from..from + count` of a panel, `[count, width]`.
    ///
    /// # Panics
    /// If they are not one piece.
    pub fn with_piece<R>(
        &self,
        panel: usize,
        from: usize,
        count: usize,
        work: impl FnOnce(&[f32]) -> R,
    ) -> R {
        let stored = self.stored(panel, from, count);
        WIDE.with_borrow_mut(|Wide { rows, piece }| {
            let piece = &mut piece.reserve(self.width * count)[..self.width * count];
            if let Some(quants) = self.quants {
                // SAFETY: `new` has asserted that the processor has the instruction set, whose panels are `width` wide; `stored`
                // holds the blocks of `count` columns, `piece` as many numbers. Tested against the matrix's own rows.
                unsafe { quants::widen(self.isa, quants, count, stored.as_ptr(), piece.as_mut_ptr()) };
            } else {
                let rows = &mut rows.reserve(self.width * count)[..self.width * count];
                // Rows of whole blocks follow each other, so they are widened as one.
                self.dtype.widen(stored, rows).expect("whole blocks of a type that can be widened");
                transpose(rows, count, self.width, Order::Straight, piece);
            }
            work(piece)
        })
    }

    /// How integers are stored, where there are products with them as they are.
    pub fn quants(&self) -> Option<Quants> {
        self.quants
    }

    /// The blocks of columns `from..from + count` of a panel.
    ///
    /// # Panics
    /// If they are not one piece.
    pub fn stored(&self, panel: usize, from: usize, count: usize) -> &[u8] {
        let is_piece = from.is_multiple_of(PIECE) && count == PIECE.min(self.columns - from);
        assert!(is_piece, "a piece of the panel");
        &self.bytes.as_slice()[self.start(panel, from)..][..self.width * bytes_of(self.dtype, count)]
    }

    fn start(&self, panel: usize, from: usize) -> usize {
        self.width * (panel * bytes_of(self.dtype, self.columns) + bytes_of(self.dtype, from))
    }
}

/// Bytes of whole blocks; a matrix has rows of them.
fn bytes_of(dtype: Dtype, elements: usize) -> usize {
    dtype.bytes_for(elements).expect("whole blocks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_what_rows_widen_to() {
        for dtype in Dtype::ALL.into_iter().filter(|&dtype| BlockPanels::takes(dtype)) {
            for (rows, columns, isa) in shapes() {
                let width = isa.panel_width();
                let count = bytes_of(dtype, columns) * rows;
                // Any bytes are blocks; scales that are no numbers are left out.
                let bytes: Vec<u8> = (0..count).map(|i| (i * 37 % 113) as u8 & 0x3b).collect();
                let matrix = StoredMatrix::new(dtype, rows, columns, bytes).unwrap();
                let panels = BlockPanels::new(&matrix, isa);
                assert_eq!(Some(panels.bytes() as u64), BlockPanels::bytes_of(dtype, rows, columns, width));
                let mut expected = vec![0.0; columns];
                for row in 0..rows {
                    matrix.widen_row(row, &mut expected);
                    for from in (0..columns).step_by(PIECE) {
                        panels.with_piece(row / width, from, PIECE, |piece| {
                            let own = piece.iter().skip(row % width).step_by(width);
                            assert!(own.eq(&expected[from..from + PIECE]), "{dtype} [{row}, {from}]");
                        });
                    }
                }
            }
        }
    }

    fn shapes() -> Vec<(usize, usize, Isa)> {
        let of =
            |isa| [(1, 256), (35, 512), (20, 256), (33, 768)].map(|(rows, columns)| (rows, columns, isa));
        Isa::all().iter().copied().filter(|isa| !isa.has_tiles()).flat_map(of).collect()
    }

    #[test]
    fn the_last_piece_may_be_short() {
        let (rows, columns, isa) = (17, 320, Isa::Plain);
        let width = isa.panel_width();
        let bytes: Vec<u8> = (0..rows * bytes_of(Dtype::Q8_0, columns)).map(|i| (i % 60) as u8).collect();
        let matrix = StoredMatrix::new(Dtype::Q8_0, rows, columns, bytes).unwrap();
        let panels = BlockPanels::new(&matrix, isa);
        let mut expected = vec![0.0; columns];
        matrix.widen_row(16, &mut expected);
        panels.with_piece(1, 256, 64, |piece| {
            assert!(piece.iter().step_by(width).eq(&expected[256..]));
            assert!(piece.iter().skip(1).step_by(width).all(|&x| x == 0.0), "no row is left");
        });
    }
}
