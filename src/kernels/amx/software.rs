//! A tile in plain Rust: what TDPBF16PS computes, in its order, with its flushes.
//!
//! For each row and column, even and odd products are summed apart over the 16 pairs of a tile, the two sums are added, and
//! the result to what was there. What is below the least normal number is 0, coming in and going out. Products of two bf16
//! numbers between 2⁻¹²⁶ and the largest f32 are exact in f32, so multiplying and adding round once, as the processor does.

use super::super::wide::on_widest;
use super::{ROWS, STEP, WIDTH};

/// Words of a row of a tile: pairs of bf16 numbers, or sums.
pub(super) const WORDS: usize = STEP / 2;

/// 16 × 16 sums.
pub(super) type Sums = [[f32; WORDS]; ROWS];

/// 0 in place of what is below the least normal number.
#[inline(always)]
fn flushed(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(if bits & 0x7f80_0000 == 0 { bits & 0x8000_0000 } else { bits })
}

/// The first and the second number of a pair.
#[inline(always)]
fn pair(word: u32) -> [f32; 2] {
    [flushed(f32::from_bits(word << 16)), flushed(f32::from_bits(word & 0xffff_0000))]
}

on_widest! {
    /// Adds a product: `a` are 16 rows of 16 pairs, `b` 16 rows of pairs that are [`WIDTH`] apart, of which the first 16 count.
    pub fn add_product(sums: &mut Sums, a: &[u32], b: &[u32]) {
        let b = b.chunks(WIDTH);
        let mut wide = [[[0.0f32; WORDS]; 2]; WORDS];
        for (wide, b) in wide.iter_mut().zip(b) {
            let [even, odd] = wide;
            for ((even, odd), word) in even.iter_mut().zip(odd).zip(b) {
                [*even, *odd] = pair(*word);
            }
        }
        for (sums, a) in sums.iter_mut().zip(a.chunks_exact(WORDS)) {
            let mut apart = [[0.0f32; WORDS]; 2];
            for (word, [even, odd]) in a.iter().zip(&wide) {
                let factors = pair(*word);
                for ((apart, factor), b) in apart.iter_mut().zip(factors).zip([even, odd]) {
                    for (sum, b) in apart.iter_mut().zip(b) {
                        *sum = flushed(factor * b + *sum);
                    }
                }
            }
            let [even, odd] = apart;
            for ((sum, even), odd) in sums.iter_mut().zip(even).zip(odd) {
                *sum = flushed(flushed(*sum) + flushed(even + odd));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    fn word(low: f32, high: f32) -> u32 {
        u32::from(bf16::from_f32(high).to_bits()) << 16 | u32::from(bf16::from_f32(low).to_bits())
    }

    /// Sums of a product whose only row has these pairs, with a column of these.
    fn one(start: f32, a: &[(f32, f32)], b: &[(f32, f32)]) -> f32 {
        let (mut rows, mut columns) = (vec![0; ROWS * WORDS], vec![0; WORDS * WIDTH]);
        for (at, ((a_low, a_high), (b_low, b_high))) in a.iter().zip(b).enumerate() {
            rows[at] = word(*a_low, *a_high);
            columns[at * WIDTH] = word(*b_low, *b_high);
        }
        let mut sums = [[0.0; WORDS]; ROWS];
        sums[0][0] = start;
        add_product(&mut sums, &rows, &columns);
        assert!(sums.iter().skip(1).flatten().all(|&sum| sum == 0.0));
        sums[0][0]
    }

    #[test]
    fn even_and_odd_products_are_summed_apart() {
        // In one sum, 1 would be lost beside 2^30.
        let big = 32768.0;
        assert_eq!(one(0.0, &[(big, 1.0), (-big, 0.0)], &[(big, 1.0), (big, 0.0)]), 1.0);
        // Before what was there, which would lose them one by one.
        let half = [(0.5, 0.5)];
        assert_eq!(one(16_777_216.0, &half, &[(1.0, 1.0)]), 16_777_216.0);
        assert_eq!(one(16_777_216.0, &half, &[(2.0, 2.0)]), 16_777_218.0);
    }

    #[test]
    fn what_is_below_normal_numbers_is_zero() {
        let least = f32::MIN_POSITIVE;
        assert_eq!(one(0.0, &[(least, 0.0)], &[(1.0, 0.0)]), least);
        assert_eq!(one(0.0, &[(least / 2.0, 0.0)], &[(4.0, 0.0)]), 0.0);
        assert_eq!(one(0.0, &[(least, 0.0)], &[(0.5, 0.0)]), 0.0);
        assert_eq!(one(least / 2.0, &[(0.0, 0.0)], &[(0.0, 0.0)]), 0.0);
    }

    #[test]
    fn what_is_no_number_stays_none() {
        assert!(one(0.0, &[(f32::NAN, 0.0)], &[(1.0, 0.0)]).is_nan());
        assert_eq!(one(0.0, &[(f32::INFINITY, 0.0)], &[(2.0, 0.0)]), f32::INFINITY);
    }
}
