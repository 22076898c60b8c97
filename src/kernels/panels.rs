//! Weights in the order in which tiles read them.
//!
//! A matrix `[n, k]` is cut into panels of NR rows. In a panel, the NR numbers of one column stand side by side:
//! `[n / NR][k][NR]`, the last panel filled up with zeros. Types of 16 bits stay as they are and are widened in registers;
//! ggml's [blocks](BlockPanels) stay too and are widened on the way; every other type is widened to f32.

use half::bf16;
use rayon::prelude::*;

use super::aligned::Aligned;
use super::block_panels::BlockPanels;
use super::isa::Operands;
use super::order::{Order, transpose};
use super::quants::Quants;
use super::{Isa, StoredMatrix};
use crate::weights::Dtype;

/// A matrix in panels.
pub struct Panels {
    /// Rows of the matrix: outputs.
    pub rows: usize,
    /// Columns of the matrix: inputs.
    pub columns: usize,
    /// Rows of a panel.
    pub width: usize,
    /// Columns of a panel, those that fill it up with zeros among them.
    depth: usize,
    numbers: Numbers,
}

enum Numbers {
    F32(Aligned<f32>),
    /// Numbers of 16 bits, and what they are.
    Halves(Operands, Aligned<u16>),
    Blocks(BlockPanels),
}

impl Panels {
    /// Packs a matrix exactly: what was stored is what is multiplied with.
    pub fn exact(matrix: &StoredMatrix<'_>, isa: Isa) -> Self {
        let width = isa.panel_width();
        let numbers = match matrix.dtype() {
            Dtype::F16 => Numbers::Halves(Operands::F16, half_panels(matrix, width, 1, Order::Straight)),
            Dtype::BF16 => Numbers::Halves(Operands::Bf16, half_panels(matrix, width, 1, Order::Woven)),
            dtype if BlockPanels::takes(dtype) => Numbers::Blocks(BlockPanels::new(matrix, isa)),
            _ => Numbers::F32(pack(matrix, width, 1, Order::Straight, |row, out: &mut [f32]| {
                matrix.widen_row(row, out)
            })),
        };
        let (rows, columns) = (matrix.rows(), matrix.columns());
        Self { rows, columns, width, depth: columns, numbers }
    }

    /// Packs a matrix for products of tiles, which read pairs of bf16 numbers in steps of `step` columns: what is stored in bf16, or
    /// `rounded` to it, as such pairs, whole steps and panels `width` wide, everything else as [`exact`](Self::exact) does.
    pub fn of_tiles(matrix: &StoredMatrix<'_>, isa: Isa, rounded: bool, width: usize, step: usize) -> Self {
        if !rounded && matrix.dtype() != Dtype::BF16 {
            return Self::exact(matrix, isa);
        }
        let (rows, columns) = (matrix.rows(), matrix.columns());
        let numbers = bf16_panels(matrix, width, step, Order::Paired);
        let numbers = Numbers::Halves(Operands::Bf16Pairs, numbers);
        Self { rows, columns, width, depth: columns.next_multiple_of(step), numbers }
    }

    /// Bytes in memory of a matrix that is [packed for tiles](Self::of_tiles); `None` for more than can be counted.
    pub fn tiles_bytes(
        dtype: Dtype,
        rows: usize,
        columns: usize,
        rounded: bool,
        width: usize,
        step: usize,
    ) -> Option<u64> {
        if !rounded && dtype != Dtype::BF16 {
            return Self::exact_bytes(dtype, rows, columns, width);
        }
        Self::exact_bytes(Dtype::BF16, rows, columns.checked_next_multiple_of(step)?, width)
    }

    /// Packs a matrix rounded to bf16, in `pairs` of neighbours in a row if the number of columns is even.
    pub fn bf16(matrix: &StoredMatrix<'_>, width: usize, pairs: bool) -> Self {
        let columns = matrix.columns();
        let pairs = pairs && columns.is_multiple_of(2);
        let (operands, order) =
            if pairs { (Operands::Bf16Pairs, Order::Paired) } else { (Operands::Bf16, Order::Woven) };
        let numbers = Numbers::Halves(operands, bf16_panels(matrix, width, 1, order));
        Self { rows: matrix.rows(), columns, width, depth: columns, numbers }
    }

    /// Bytes in memory of a matrix that is packed exactly; `None` for more than can be counted.
    pub fn exact_bytes(dtype: Dtype, rows: usize, columns: usize, width: usize) -> Option<u64> {
        if BlockPanels::takes(dtype) {
            return BlockPanels::bytes_of(dtype, rows, columns, width);
        }
        let number = if matches!(dtype, Dtype::F16 | Dtype::BF16) { 2 } else { 4 };
        (rows.checked_next_multiple_of(width)? as u64).checked_mul(columns as u64)?.checked_mul(number)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match &self.numbers {
            Numbers::F32(numbers) => size_of_val(numbers.as_slice()),
            Numbers::Halves(_, numbers) => size_of_val(numbers.as_slice()),
            Numbers::Blocks(blocks) => blocks.bytes(),
        }
    }

    /// Whether parts are made when they are asked for, so that many rows should be multiplied with each.
    pub fn are_widened(&self) -> bool {
        matches!(self.numbers, Numbers::Blocks(_))
    }

    /// The blocks themselves, where there are products with them.
    pub fn quants(&self) -> Option<(Quants, &BlockPanels)> {
        match &self.numbers {
            Numbers::Blocks(blocks) => Some((blocks.quants()?, blocks)),
            _ => None,
        }
    }

    /// How parts are stored.
    pub fn operands(&self) -> Operands {
        match self.numbers {
            Numbers::F32(_) | Numbers::Blocks(_) => Operands::F32,
            Numbers::Halves(operands, _) => operands,
        }
    }

    /// Where a panel's columns from `from` on are stored, to be asked for before they are read.
    ///
    /// # Panics
    /// If they are blocks.
    pub fn stored(&self, panel: usize, from: usize) -> *const u8 {
        let at = (panel * self.depth + from) * self.width;
        match &self.numbers {
            Numbers::Blocks(_) => panic!("blocks lie piece by piece"),
            Numbers::F32(numbers) => numbers.as_slice().as_ptr().wrapping_add(at).cast(),
            Numbers::Halves(_, numbers) => numbers.as_slice().as_ptr().wrapping_add(at).cast(),
        }
    }

    /// Calls `work` with columns `from..from + count` of a panel: `[count, width]`, or `[count / 2, width, 2]` in pairs.
    ///
    /// # Panics
    /// If there are no such columns, or not those of a piece of blocks.
    pub fn with_part<R>(&self, panel: usize, from: usize, count: usize, work: impl FnOnce(&[u8]) -> R) -> R {
        assert!(from + count <= self.depth, "columns of the panel");
        let start = (panel * self.depth + from) * self.width;
        let range = start..start + count * self.width;
        match &self.numbers {
            Numbers::Blocks(blocks) => {
                blocks.with_piece(panel, from, count, |piece| work(bytemuck::cast_slice(piece)))
            }
            Numbers::F32(numbers) => work(bytemuck::cast_slice(&numbers.as_slice()[range])),
            Numbers::Halves(_, numbers) => work(bytemuck::cast_slice(&numbers.as_slice()[range])),
        }
    }
}

/// A matrix in bf16, rounded unless it is stored so.
fn bf16_panels(matrix: &StoredMatrix<'_>, width: usize, step: usize, order: Order) -> Aligned<u16> {
    if matrix.dtype() == Dtype::BF16 {
        return half_panels(matrix, width, step, order);
    }
    let columns = matrix.columns();
    pack(matrix, width, step, order, |row, out: &mut [u16]| {
        let mut wide = vec![0.0; columns];
        matrix.widen_row(row, &mut wide);
        for (out, x) in out.iter_mut().zip(wide) {
            *out = bf16::from_f32(x).to_bits();
        }
    })
}

fn half_panels(matrix: &StoredMatrix<'_>, width: usize, step: usize, order: Order) -> Aligned<u16> {
    pack(matrix, width, step, order, |row, out: &mut [u16]| {
        let (halves, _) = matrix.row(row).as_chunks::<2>();
        for (out, &half) in out.iter_mut().zip(halves) {
            *out = u16::from_le_bytes(half);
        }
    })
}

/// Packs rows that `read` gives, panel by panel on all threads; panels have whole steps of columns, filled up with zeros.
fn pack<T: bytemuck::Pod + Send + Sync>(
    matrix: &StoredMatrix<'_>,
    width: usize,
    step: usize,
    order: Order,
    read: impl Fn(usize, &mut [T]) + Sync,
) -> Aligned<T> {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let depth = columns.next_multiple_of(step);
    let mut packed = Aligned::zeros(rows.div_ceil(width) * width * depth);
    if columns == 0 {
        return packed;
    }
    packed.as_mut_slice().par_chunks_mut(depth * width).enumerate().for_each_init(
        || vec![T::zeroed(); columns * width],
        |unpacked, (panel, out)| {
            let first = panel * width;
            let own = width.min(rows - first);
            for (lane, row) in unpacked.chunks_exact_mut(columns).take(own).enumerate() {
                read(first + lane, row);
            }
            transpose(&unpacked[..own * columns], columns, width, order, out);
        },
    );
    packed
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    fn matrix(dtype: Dtype, rows: usize, columns: usize) -> (StoredMatrix<'static>, Vec<f32>) {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i % 97) as f32 - 48.0).collect();
        let mut bytes = vec![0; dtype.bytes_for(values.len()).unwrap()];
        dtype.narrow(&values, &mut bytes).unwrap();
        (StoredMatrix::new(dtype, rows, columns, bytes).unwrap(), values)
    }

    #[test]
    fn every_number_has_its_place_and_the_rest_is_zero() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            let isas = Isa::with_stand_in().into_iter();
            let shapes = [(1, 1), (16, 5), (35, 33), (35, 34), (20, 50)];
            for (isa, (rows, columns)) in isas.flat_map(|isa| shapes.map(|shape| (isa, shape))) {
                let width = isa.panel_width();
                let (matrix, values) = matrix(dtype, rows, columns);
                let all = [
                    Panels::exact(&matrix, isa),
                    Panels::bf16(&matrix, width, false),
                    Panels::bf16(&matrix, width, true),
                ];
                for panels in all {
                    for panel in 0..rows.div_ceil(width) {
                        let from = columns / 3 / 2 * 2;
                        let operands = panels.operands();
                        let (order, part) =
                            panels.with_part(panel, from, columns - from, |part| widened(operands, part));
                        assert_eq!(part.len(), (columns - from) * width);
                        for at in 0..part.len() {
                            let (column, row) = (from + at / width, panel * width + at % width);
                            let expected = if row < rows { values[row * columns + column] } else { 0.0 };
                            let found = part[order.place(at / width, at % width, width)];
                            assert_eq!(found, expected, "{dtype} [{row}, {column}]");
                        }
                    }
                }
            }
        }
    }

    fn widened(operands: Operands, part: &[u8]) -> (Order, Vec<f32>) {
        let halves = || bytemuck::cast_slice::<u8, u16>(part).iter().copied();
        match operands {
            Operands::Bf16Pairs => {
                (Order::Paired, halves().map(|half| bf16::from_bits(half).to_f32()).collect())
            }
            Operands::Bf16 => (Order::Woven, halves().map(|half| bf16::from_bits(half).to_f32()).collect()),
            Operands::F16 => (Order::Straight, halves().map(|half| f16::from_bits(half).to_f32()).collect()),
            _ => (Order::Straight, bytemuck::cast_slice(part).to_vec()),
        }
    }

    #[test]
    fn woven_halves_stand_side_by_side() {
        let places: Vec<usize> = (0..8).map(|lane| Order::Woven.place(1, lane, 8)).collect();
        assert_eq!(places, [8, 10, 12, 14, 9, 11, 13, 15]);
        let places: Vec<usize> = (0..4).map(|column| Order::Paired.place(column, 1, 8)).collect();
        assert_eq!(places, [2, 3, 18, 19]);
    }
}
