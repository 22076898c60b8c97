//! Products of small matrices on the calling thread, with the tiles of the linear layers.

#![allow(unsafe_code)]

use super::Isa;
use super::amx;
use super::isa::Operands;
use super::layout::{MatrixLayout, Right};
#[cfg(target_arch = "x86_64")]
use super::tile::LINE;
use super::tile::TileArgs;

/// Asks for numbers that are read soon, so that they are near by then.
pub fn prefetch<T: bytemuck::Pod>(numbers: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytemuck::cast_slice::<T, u8>(numbers).chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: SSE, which every processor of this architecture has; the address is that of a number.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}

/// Columns of a product are made in steps of it: widths are multiples.
pub fn column_step() -> usize {
    Isa::best().panel_width()
}

/// `c = a · b`, or with `resume` `c += a · b`, each sum taken up where `c` left it.
///
/// # Panics
/// If shapes do not agree, a slice is too short, or the columns of `b` are no multiple of [`column_step`].
pub fn multiply_small(
    (a, a_shape): (&[f32], MatrixLayout),
    (b, b_shape): (&[f32], MatrixLayout),
    (c, c_shape): (&mut [f32], MatrixLayout),
    resume: bool,
) {
    product(Isa::best(), Operands::Strided, (a, a_shape), (b, b_shape), (c, c_shape), resume);
}

/// A product of operands at strides: of f32 numbers, or of what stands in their places.
pub(super) fn product(
    isa: Isa,
    operands: Operands,
    (a, a_shape): (&[f32], MatrixLayout),
    (b, b_shape): (&[f32], MatrixLayout),
    (c, c_shape): (&mut [f32], MatrixLayout),
    resume: bool,
) {
    let width = isa.panel_width();
    assert!(isa.is_here(), "an instruction set of this processor");
    assert_eq!(
        (a_shape.rows, a_shape.columns, b_shape.columns),
        (c_shape.rows, b_shape.rows, c_shape.columns),
        "shapes of the product"
    );
    for (length, shape) in [(a.len(), a_shape), (b.len(), b_shape), (c.len(), c_shape)] {
        assert!(shape.stride >= shape.columns && shape.extent() <= length, "{length} numbers for {shape:?}");
    }
    assert_eq!(c_shape.columns % width, 0, "whole panels of columns");
    if let Some(unit) = isa.tiles() {
        let right = match operands {
            Operands::StridedBf16Pairs => Right::Pairs(bytemuck::cast_slice(b), b_shape),
            _ => Right::Numbers(b, b_shape),
        };
        return amx::multiply(unit, (a, a_shape), right, (c, c_shape), resume);
    }
    for column in (0..c_shape.columns).step_by(width) {
        let tile = TileArgs {
            rows: c_shape.rows,
            k: b_shape.rows,
            a: a.as_ptr(),
            a_stride: a_shape.stride,
            b: b.as_ptr().wrapping_add(column).cast(),
            b_stride: b_shape.stride,
            c: c.as_mut_ptr().wrapping_add(column),
            c_stride: c_shape.stride,
            resume,
        };
        // SAFETY: the processor has the instruction set, as was asserted. The shapes lie inside their slices, as was just asserted, and
        // `column + width` is at most the columns of `b` and `c`; `c` is borrowed mutably, so it overlaps neither. Tested
        // against sums in f64.
        unsafe { isa.panel(operands)(tile) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_blocks_multiply_and_sums_go_on() {
        let width = column_step();
        for (rows, depth) in [(1, 1), (5, 64), (13, 7), (64, 33)] {
            let (a_stride, b_stride) = (depth + 3, 2 * width + 5);
            let a: Vec<f32> = (0..rows * a_stride).map(|i| (i % 13) as f32 - 6.0).collect();
            let b: Vec<f32> = (0..depth * b_stride).map(|i| (i % 7) as f32 - 3.0).collect();
            let mut c = vec![1.0; rows * 2 * width];
            let shapes = (
                MatrixLayout { rows, columns: depth, stride: a_stride },
                MatrixLayout { rows: depth, columns: 2 * width, stride: b_stride },
                MatrixLayout::packed(rows, 2 * width),
            );
            multiply_small((&a, shapes.0), (&b, shapes.1), (&mut c, shapes.2), false);
            multiply_small((&a, shapes.0), (&b, shapes.1), (&mut c, shapes.2), true);
            for (at, found) in c.iter().enumerate() {
                let (i, j) = (at / (2 * width), at % (2 * width));
                // Small integers: exact.
                let sum: f32 = (0..depth).map(|k| a[i * a_stride + k] * b[k * b_stride + j]).sum();
                assert_eq!(*found, 2.0 * sum);
            }
        }
    }

    #[test]
    #[should_panic(expected = "numbers for")]
    fn a_slice_that_is_too_short_is_refused() {
        let width = column_step();
        let (a, b, mut c) = ([0.0; 3], vec![0.0; 4 * width], vec![0.0; width]);
        multiply_small(
            (&a, MatrixLayout::packed(1, 4)),
            (&b, MatrixLayout::packed(4, width)),
            (&mut c, MatrixLayout::packed(1, width)),
            false,
        );
    }
}
