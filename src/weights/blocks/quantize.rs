//! f32 to blocks of small integers: Q8_0 and Q4_0.
//!
//! Both take the largest magnitude of a block as its scale, compute in f32, and round the scale to f16 only when
//! it is stored, so the integers belong to the unrounded one. Equal bit for bit to ggml's `quantize_row_q8_0_ref`
//! and `quantize_row_q4_0_ref`, and to the `gguf` Python package, which is the oracle of the tests.
//! Callers give finite values; a scale too small for its inverse makes a block of zeros in every implementation.

use half::f16;

use super::{Q4_0_BYTES, Q8_0_BYTES, SMALL};

/// Calls `quantize` for each pair of 32 elements and a block of `N` bytes.
#[inline]
fn each<const N: usize>(values: &[f32], out: &mut [u8], quantize: impl Fn(&[f32; SMALL], &mut [u8; N])) {
    let (elements, _) = values.as_chunks::<SMALL>();
    let (blocks, _) = out.as_chunks_mut::<N>();
    for (x, block) in elements.iter().zip(blocks) {
        quantize(x, block);
    }
}

fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// `d = max |x| / 127`, `q = x / d` rounded with halves away from zero.
pub(in crate::weights) fn quantize_q8_0(values: &[f32], out: &mut [u8]) {
    each(values, out, |x, block: &mut [u8; Q8_0_BYTES]| {
        let largest = x.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let d = largest / 127.0;
        let inverse = inverse(d);
        block[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
        for (q, x) in block[2..].iter_mut().zip(x) {
            *q = (x * inverse).round() as i8 as u8;
        }
    });
}

/// `d = x / −8` for the `x` of largest magnitude (the first of equal ones), `q = x / d + 8.5` cut to 0..15.
///
/// The sign of the scale is chosen so that this `x` becomes −8, the integer that has no positive counterpart.
pub(in crate::weights) fn quantize_q4_0(values: &[f32], out: &mut [u8]) {
    each(values, out, |x, block: &mut [u8; Q4_0_BYTES]| {
        let larger = |a: f32, &b: &f32| if b.abs() > a.abs() { b } else { a };
        let d = x.iter().fold(0.0, larger) / -8.0;
        let inverse = inverse(d);
        block[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
        let quantized = |x: f32| ((x * inverse + 8.5) as u8).min(15);
        let (low, high) = x.split_at(SMALL / 2);
        for ((q, &low), &high) in block[2..].iter_mut().zip(low).zip(high) {
            *q = quantized(low) | quantized(high) << 4;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::{q4_0, q8_0};
    use super::*;
    use proptest::prelude::*;

    fn block_of(first: &[f32]) -> [f32; SMALL] {
        let mut block = [0.0; SMALL];
        block[..first.len()].copy_from_slice(first);
        block
    }

    #[test]
    fn q8_0_rounds_halves_away_from_zero() {
        let mut out = [0; Q8_0_BYTES];
        quantize_q8_0(&block_of(&[127.0, 0.5, -0.5, 1.5, -126.5]), &mut out);
        assert_eq!(out[..2], f16::ONE.to_le_bytes());
        assert_eq!(out[2..8].iter().map(|&q| q as i8).collect::<Vec<_>>(), [127, 1, -1, 2, -127, 0]);
    }

    #[test]
    fn q4_0_gives_the_largest_the_integer_minus_eight() {
        let mut out = [0; Q4_0_BYTES];
        // Of a tie the first decides the sign of the scale.
        for (first, scale, low) in [([8.0, -8.0], -1.0, [0, 15]), ([-8.0, 8.0], 1.0, [0, 15])] {
            quantize_q4_0(&block_of(&first), &mut out);
            assert_eq!(f16::from_le_bytes([out[0], out[1]]).to_f32(), scale);
            assert_eq!([out[2] & 15, out[3] & 15], low);
            assert_eq!(out[2] >> 4, 8);
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let (mut eight, mut four) = ([1; Q8_0_BYTES], [1; Q4_0_BYTES]);
        quantize_q8_0(&[0.0; SMALL], &mut eight);
        quantize_q4_0(&[0.0; SMALL], &mut four);
        assert_eq!(eight, [0; Q8_0_BYTES]);
        assert_eq!(four[..2], [0, 0x80]);
        assert_eq!(four[2..], [0x88; 16]);
    }

    proptest! {
        /// Half a step of the scale, and the rounding of the scale to f16. In Q4_0 the side opposite to the
        /// largest value reaches only 7 steps, so it may lose a whole one.
        #[test]
        fn widening_comes_back_within_the_step(
            values in prop::array::uniform32(-100.0f32..100.0),
        ) {
            let largest = values.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            let mut back = [0.0; SMALL];
            let mut eight = [0; Q8_0_BYTES];
            quantize_q8_0(&values, &mut eight);
            q8_0(&eight, &mut back);
            for (a, b) in values.iter().zip(&back) {
                prop_assert!((a - b).abs() <= largest * (0.5 / 127.0 + 1.0 / 1024.0));
            }
            let mut four = [0; Q4_0_BYTES];
            quantize_q4_0(&values, &mut four);
            q4_0(&four, &mut back);
            for (a, b) in values.iter().zip(&back) {
                prop_assert!((a - b).abs() <= largest * (1.0 / 8.0 + 1.0 / 1024.0));
            }
        }
    }
}
