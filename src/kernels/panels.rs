//! Weights in the order in which tiles read them.
//!
//! A matrix `[n, k]` is cut into panels of NR rows. In a panel, the NR numbers of one column stand side by side:
//! `[n / NR][k][NR]`, the last panel filled up with zeros. Types of 16 bits stay as they are and are widened on the way
//! into the kernel, a few kilobytes at a time, which costs a fraction of the product; every other type is widened to f32.

#![allow(unsafe_code)]

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::StoredMatrix;
use super::wide::on_widest;
use crate::weights::Dtype;

/// A cache line of numbers: what vectors are made of begins at a multiple of its size.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

// SAFETY: sixteen f32 without padding; any bits are numbers, and all zero is one of them.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for Line {}

/// Numbers in memory that begins at a cache line.
#[derive(Default)]
pub struct Aligned<T> {
    lines: Vec<Line>,
    length: usize,
    of: std::marker::PhantomData<T>,
}

impl<T: bytemuck::Pod> Aligned<T> {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let lines = (length * size_of::<T>()).div_ceil(size_of::<Line>());
        Self { lines: vec![Line([0.0; 16]); lines], length, of: std::marker::PhantomData }
    }

    /// Makes room for `length` numbers and more, whose values are anything.
    pub fn reserve(&mut self, length: usize) -> &mut [T] {
        if self.length < length {
            *self = Self::zeros(length);
        }
        self.as_mut_slice()
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[T] {
        bytemuck::cast_slice::<Line, T>(&self.lines).get(..self.length).unwrap_or_default()
    }

    /// The numbers.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut::<Line, T>(&mut self.lines).get_mut(..self.length).unwrap_or_default()
    }
}

/// A matrix in panels.
pub struct Panels {
    /// Rows of the matrix: outputs.
    pub rows: usize,
    /// Columns of the matrix: inputs.
    pub columns: usize,
    /// Rows of a panel.
    pub width: usize,
    numbers: Numbers,
}

enum Numbers {
    F32(Aligned<f32>),
    F16(Aligned<u16>),
    Bf16(Aligned<u16>),
}

impl Panels {
    /// Packs a matrix exactly: what was stored is what is multiplied with.
    pub fn exact(matrix: &StoredMatrix<'_>, width: usize) -> Self {
        let numbers = match matrix.dtype() {
            Dtype::F16 => Numbers::F16(half_panels(matrix, width)),
            Dtype::BF16 => Numbers::Bf16(half_panels(matrix, width)),
            _ => Numbers::F32(pack(matrix, width, |row, out: &mut [f32]| matrix.widen_row(row, out))),
        };
        Self { rows: matrix.rows(), columns: matrix.columns(), width, numbers }
    }

    /// Packs a matrix rounded to bf16.
    pub fn bf16(matrix: &StoredMatrix<'_>, width: usize) -> Self {
        let columns = matrix.columns();
        let numbers = match matrix.dtype() {
            Dtype::BF16 => half_panels(matrix, width),
            _ => pack(matrix, width, |row, out: &mut [u16]| {
                let mut wide = vec![0.0; columns];
                matrix.widen_row(row, &mut wide);
                for (out, x) in out.iter_mut().zip(wide) {
                    *out = bf16::from_f32(x).to_bits();
                }
            }),
        };
        Self { rows: matrix.rows(), columns, width, numbers: Numbers::Bf16(numbers) }
    }

    /// Bytes in memory of a matrix that is packed exactly.
    pub fn exact_bytes(dtype: Dtype, rows: usize, columns: usize, width: usize) -> u64 {
        let number = if matches!(dtype, Dtype::F16 | Dtype::BF16) { 2 } else { 4 };
        (rows.next_multiple_of(width) as u64).saturating_mul(columns as u64).saturating_mul(number)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match &self.numbers {
            Numbers::F32(numbers) => size_of_val(numbers.as_slice()),
            Numbers::F16(numbers) | Numbers::Bf16(numbers) => size_of_val(numbers.as_slice()),
        }
    }

    /// Columns `from..from + count` of a panel in f32, `[count, width]`: in place, or widened into `scratch`.
    ///
    /// # Panics
    /// If there are no such columns.
    pub fn part<'a>(
        &'a self,
        panel: usize,
        from: usize,
        count: usize,
        scratch: &'a mut Aligned<f32>,
    ) -> &'a [f32] {
        let start = (panel * self.columns + from) * self.width;
        let range = start..start + count * self.width;
        match &self.numbers {
            Numbers::F32(numbers) => &numbers.as_slice()[range],
            Numbers::F16(numbers) => {
                let halves: &[f16] = bytemuck::cast_slice(&numbers.as_slice()[range]);
                let out = &mut scratch.reserve(halves.len())[..halves.len()];
                halves.convert_to_f32_slice(out);
                out
            }
            Numbers::Bf16(numbers) => {
                let halves = &numbers.as_slice()[range];
                let out = &mut scratch.reserve(halves.len())[..halves.len()];
                widen_bf16(halves, out);
                out
            }
        }
    }
}

on_widest! {
    /// Widens numbers of 16 bits, the upper halves of f32.
    pub fn widen_bf16(halves: &[u16], out: &mut [f32]) {
        for (out, half) in out.iter_mut().zip(halves) {
            *out = f32::from_bits(u32::from(*half) << 16);
        }
    }
}

fn half_panels(matrix: &StoredMatrix<'_>, width: usize) -> Aligned<u16> {
    pack(matrix, width, |row, out: &mut [u16]| {
        let (halves, _) = matrix.row(row).as_chunks::<2>();
        for (out, &half) in out.iter_mut().zip(halves) {
            *out = u16::from_le_bytes(half);
        }
    })
}

/// Packs rows that `read` gives, panel by panel on all threads.
pub(super) fn pack<T: bytemuck::Pod + Send + Sync>(
    matrix: &StoredMatrix<'_>,
    width: usize,
    read: impl Fn(usize, &mut [T]) + Sync,
) -> Aligned<T> {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let mut packed = Aligned::zeros(rows.div_ceil(width) * width * columns);
    if columns == 0 {
        return packed;
    }
    packed.as_mut_slice().par_chunks_mut(columns * width).enumerate().for_each_init(
        || vec![T::zeroed(); columns * width],
        |unpacked, (panel, out)| {
            let first = panel * width;
            let own = width.min(rows - first);
            for (lane, row) in unpacked.chunks_exact_mut(columns).take(own).enumerate() {
                read(first + lane, row);
            }
            transpose(&unpacked[..own * columns], columns, width, out);
        },
    );
    packed
}

/// `out[c * width + r] = rows[r * columns + c]`, in squares that stay in the nearest cache.
fn transpose<T: Copy>(rows: &[T], columns: usize, width: usize, out: &mut [T]) {
    /// Columns of a square.
    const SQUARE: usize = 16;
    for start in (0..columns).step_by(SQUARE) {
        let end = columns.min(start + SQUARE);
        for (lane, row) in rows.chunks_exact(columns).enumerate() {
            for (column, &value) in row[start..end].iter().enumerate() {
                out[(start + column) * width + lane] = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
            for (rows, columns, width) in [(1, 1, 16), (16, 5, 16), (35, 33, 16), (35, 33, 32)] {
                let (matrix, values) = matrix(dtype, rows, columns);
                for panels in [Panels::exact(&matrix, width), Panels::bf16(&matrix, width)] {
                    let mut scratch = Aligned::default();
                    for panel in 0..rows.div_ceil(width) {
                        let from = columns / 3;
                        let part = panels.part(panel, from, columns - from, &mut scratch);
                        for (at, &found) in part.iter().enumerate() {
                            let (column, row) = (from + at / width, panel * width + at % width);
                            let expected = if row < rows { values[row * columns + column] } else { 0.0 };
                            assert_eq!(found, expected, "{dtype} [{row}, {column}]");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_begin_at_a_cache_line() {
        for length in [0, 1, 17, 1000] {
            let numbers = Aligned::<u16>::zeros(length);
            assert_eq!((numbers.as_slice().as_ptr().align_offset(64), numbers.as_slice().len()), (0, length));
        }
    }
}
