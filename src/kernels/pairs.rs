//! Numbers rounded to bf16, in pairs, for small products on processors that multiply pairs in one instruction.

#![allow(unsafe_code)]

use super::Isa;
#[cfg(test)]
use super::isa::Operands;
#[cfg(test)]
use super::layout::MatrixLayout;
use super::native::rounded;
#[cfg(test)]
use super::small::product;

/// Whether this processor multiplies pairs of bf16 numbers in one instruction.
pub fn multiplies_pairs() -> bool {
    Isa::best().has_bf16_products()
}

/// Pairs of neighbours in a row, the first in the lower half: a left factor. Rows have an even number of columns.
pub fn pair_columns(x: &[f32], pairs: &mut Vec<u32>) {
    assert!(x.len().is_multiple_of(2), "pairs of columns");
    pairs.resize(x.len() / 2, 0);
    #[cfg(target_arch = "x86_64")]
    if Isa::of_loops() == Isa::Avx512Bf16 {
        // SAFETY: the processor has AVX-512 BF16, as was just asked.
        return unsafe { x86::pair_columns(x, pairs) };
    }
    for (pair, x) in pairs.iter_mut().zip(x.as_chunks::<2>().0) {
        *pair = of(x[0], x[1]);
    }
}

/// Pairs of two rows of `width` numbers, one below the other, the upper one in the lower half: a right factor.
///
/// # Panics
/// If these are no whole pairs of rows.
pub fn pair_rows(x: &[f32], width: usize, pairs: &mut Vec<u32>) {
    assert!(x.len().is_multiple_of(2 * width), "pairs of rows");
    pairs.resize(x.len() / 2, 0);
    for (pairs, rows) in pairs.chunks_exact_mut(width).zip(x.chunks_exact(2 * width)) {
        let (upper, lower) = rows.split_at(width);
        for ((pair, upper), lower) in pairs.iter_mut().zip(upper).zip(lower) {
            *pair = of(*upper, *lower);
        }
    }
}

/// `c = a · b`, or with `resume` `c += a · b`, of pairs of [columns](pair_columns) and of [rows](pair_rows); shapes count pairs.
///
/// # Panics
/// As [`multiply_small`](super::multiply_small), and if this processor [multiplies no pairs](multiplies_pairs).
#[cfg(test)]
pub(super) fn multiply_pairs(
    (a, a_shape): (&[u32], MatrixLayout),
    (b, b_shape): (&[u32], MatrixLayout),
    (c, c_shape): (&mut [f32], MatrixLayout),
    resume: bool,
) {
    let (a, b) = (bytemuck::cast_slice(a), bytemuck::cast_slice(b));
    product(Isa::best(), Operands::StridedBf16Pairs, (a, a_shape), (b, b_shape), (c, c_shape), resume);
}

fn of(low: f32, high: f32) -> u32 {
    u32::from(rounded(high)) << 16 | u32::from(rounded(low))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// Two vectors of numbers become one of pairs.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn pair_columns(x: &[f32], pairs: &mut [u32]) {
        let (numbers, numbers_rest) = x.as_chunks::<32>();
        let (vectors, pairs_rest) = pairs.as_chunks_mut::<16>();
        for (x, pairs) in numbers.iter().zip(vectors) {
            // SAFETY: `x` has two vectors of numbers and `pairs` one of 32 bits; a vector of bf16 numbers is 64 bytes of any bits.
            unsafe {
                let (low, high) = (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(16)));
                let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_si512(pairs.as_mut_ptr().cast(), both);
            }
        }
        for (pair, x) in pairs_rest.iter_mut().zip(numbers_rest.as_chunks::<2>().0) {
            *pair = super::of(x[0], x[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::kernels::column_step;

    #[test]
    fn pairs_stand_in_their_order() {
        for count in [2, 32, 34, 100] {
            let x: Vec<f32> = (0..count).map(|i| (i as f32 - 7.3) * 1.37).collect();
            let wide = |bits: u32| bf16::from_bits(bits as u16).to_f32();
            let mut pairs = vec![7; 3];
            pair_columns(&x, &mut pairs);
            let found: Vec<f32> = pairs.iter().flat_map(|&pair| [wide(pair), wide(pair >> 16)]).collect();
            assert_eq!(found, x.iter().map(|&x| bf16::from_f32(x).to_f32()).collect::<Vec<_>>());
            pair_rows(&x, count / 2, &mut pairs);
            let (upper, lower) = x.split_at(count / 2);
            for ((pair, upper), lower) in pairs.iter().zip(upper).zip(lower) {
                let expected = [*upper, *lower].map(|x| bf16::from_f32(x).to_f32());
                assert_eq!([wide(*pair), wide(pair >> 16)], expected);
            }
        }
    }

    #[test]
    fn products_of_pairs_are_those_of_rounded_numbers() {
        if !multiplies_pairs() {
            eprintln!("SKIPPED: this processor has no bf16 dot product");
            return;
        }
        let width = column_step();
        for (rows, depth) in [(1, 2), (5, 64), (13, 6), (30, 34)] {
            // Small integers are bf16 numbers, and their sums exact.
            let a: Vec<f32> = (0..rows * depth).map(|i| (i % 13) as f32 - 6.0).collect();
            let b: Vec<f32> = (0..depth * 2 * width).map(|i| (i % 7) as f32 - 3.0).collect();
            let mut c = vec![1.0; rows * 2 * width];
            let (mut a_pairs, mut b_pairs) = (Vec::new(), Vec::new());
            pair_columns(&a, &mut a_pairs);
            pair_rows(&b, 2 * width, &mut b_pairs);
            for resume in [false, true] {
                multiply_pairs(
                    (&a_pairs, MatrixLayout::packed(rows, depth / 2)),
                    (&b_pairs, MatrixLayout::packed(depth / 2, 2 * width)),
                    (&mut c, MatrixLayout::packed(rows, 2 * width)),
                    resume,
                );
            }
            for (at, found) in c.iter().enumerate() {
                let (i, j) = (at / (2 * width), at % (2 * width));
                let sum: f32 = (0..depth).map(|k| a[i * depth + k] * b[k * 2 * width + j]).sum();
                assert_eq!(*found, 2.0 * sum);
            }
        }
    }
}
