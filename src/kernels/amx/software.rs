//! A tile in plain Rust: what TDPBF16PS computes, in its order, with its flushes.
//!
//! For each row and column, even and odd products are summed apart over the 16 pairs of a tile, the two sums are added, and
//! the result to what was there. What is below the least normal number is 0, coming in and going out. Products of two bf16
//! numbers between 2⁻¹²⁶ and the largest f32 are exact in f32, so multiplying and adding round once, as the processor does.

use super::super::wide::{mul_add, on_widest};
use super::{ROWS, STEP};

/// Words of a row of a tile: pairs of bf16 numbers, or sums.
pub(super) const WORDS: usize = STEP / 2;

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

/// Rows that are worked on at a time: sums enough that none waits for its last addition.
const AT_ONCE: usize = 4;

/// Even and odd numbers of 16 pairs, for each of some rows or columns.
type Apart = [[f32; WORDS]; 2];

on_widest! {
    /// Adds a product: `a` are 16 pairs for each row of `sums`, of which there are at most 16, `b` 16 rows of pairs that are
    /// `width` apart, of which the first 16 count.
    pub fn add_product(sums: &mut [[f32; WORDS]], a: &[u32], b: &[u32], width: usize) {
        let mut columns: [Apart; WORDS] = [[[0.0; WORDS]; 2]; WORDS];
        for (columns, words) in columns.iter_mut().zip(b.chunks(width)) {
            unpair(words.first_chunk().expect("16 columns"), columns);
        }
        let mut rows: [Apart; ROWS] = [[[0.0; WORDS]; 2]; ROWS];
        for (rows, words) in rows.iter_mut().zip(a.as_chunks().0) {
            unpair(words, rows);
        }
        if are_ordinary(&rows, &columns) {
            walk(sums, &rows, &columns, mul_add::<FUSED>);
        } else {
            walk(sums, &rows, &columns, |a, b, sum| flushed(a * b + sum));
        }
    }
}

#[inline(always)]
fn unpair(words: &[u32; WORDS], [even, odd]: &mut Apart) {
    for ((even, odd), word) in even.iter_mut().zip(odd).zip(words) {
        [*even, *odd] = pair(*word);
    }
}

/// Whether nothing is there to be flushed: all products are multiples of one power of two that is a normal number, so their sums,
/// rounded or not, are too, or 0; and none is beyond numbers. Then it is the same whether a product is rounded before it is added.
#[inline(always)]
fn are_ordinary(rows: &[Apart; ROWS], columns: &[Apart; WORDS]) -> bool {
    /// Bits of a number of bf16 behind the first one, and what exponents are stored too high by.
    const BEHIND: u32 = 7;
    const BIAS: u32 = 127;
    let [a, b] = [rows, columns].map(|of| exponents(of.as_flattened().as_flattened()));
    let (least, greatest) = (a[0] + b[0], a[1] + b[1]);
    // 2^-126, and below 2^127.
    least >= 2 * (BIAS + BEHIND) - 126 && greatest + 2 < 2 * BIAS + 127 && a[1].max(b[1]) < 2 * BIAS + 1
}

/// The least exponent of those that are not 0, and the greatest one, as they are stored.
#[inline(always)]
fn exponents(numbers: &[f32]) -> [u32; 2] {
    const ONE: u32 = 1.0f32.to_bits();
    let (mut least, mut greatest) = ([u32::MAX; WORDS], [0; WORDS]);
    for numbers in numbers.as_chunks::<WORDS>().0 {
        for ((least, greatest), number) in least.iter_mut().zip(&mut greatest).zip(numbers) {
            let magnitude = number.to_bits() & !(1 << 31);
            // 0 is above all.
            *least = (*least).min(magnitude.wrapping_sub(1));
            *greatest = (*greatest).max(magnitude);
        }
    }
    let least = least.into_iter().fold(u32::MAX, u32::min);
    let greatest = greatest.into_iter().fold(0, u32::max);
    // Where all are 0, so is every product.
    [least.checked_add(1).unwrap_or(ONE) >> 23, greatest >> 23]
}

/// The order of the sums; `add` adds a product of two numbers to a sum.
#[inline(always)]
fn walk(
    sums: &mut [[f32; WORDS]],
    rows: &[Apart; ROWS],
    columns: &[Apart; WORDS],
    add: impl Fn(f32, f32, f32) -> f32,
) {
    for (sums, rows) in sums.chunks_mut(AT_ONCE).zip(rows.as_chunks::<AT_ONCE>().0) {
        let mut apart: [Apart; AT_ONCE] = [[[0.0; WORDS]; 2]; AT_ONCE];
        for (k, columns) in columns.iter().enumerate() {
            for (apart, row) in apart.iter_mut().zip(rows) {
                for ((apart, factors), column) in apart.iter_mut().zip(row).zip(columns) {
                    for (sum, b) in apart.iter_mut().zip(column) {
                        *sum = add(factors[k], *b, *sum);
                    }
                }
            }
        }
        for (sums, [even, odd]) in sums.iter_mut().zip(&apart) {
            for ((sum, even), odd) in sums.iter_mut().zip(even).zip(odd) {
                *sum = flushed(flushed(*sum) + flushed(even + odd));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::super::WIDTH;
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
        add_product(&mut sums, &rows, &columns, WIDTH);
        assert!(sums.iter().skip(1).flatten().all(|&sum| sum == 0.0));
        sums[0][0]
    }

    /// Words whose numbers have exponents from `least` on, as they are stored, `range` of them; one in 16 is 0.
    fn words(count: usize, (least, range): (u32, u32), seed: u32) -> Vec<u32> {
        let mut state = seed;
        let mut half = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let exponent = least + (state >> 8) % range;
            let number = (state >> 24 & 0x7f) | exponent << 7 | state >> 16 & 0x8000;
            if state >> 28 == 7 { 0 } else { number }
        };
        (0..count).map(|_| half() | half() << 16).collect()
    }

    #[test]
    fn where_nothing_can_be_flushed_nothing_else_changes() {
        // Exponents from, and how many; whether products of them are ordinary.
        let cases = [
            ((100, 40), (100, 40), true),
            ((71, 1), (71, 1), true),
            ((71, 1), (70, 1), false),
            ((189, 1), (189, 1), true),
            ((189, 1), (190, 1), false),
            ((0, 60), (0, 60), false),
            ((0, 255), (0, 255), false),
            ((127, 1), (255, 1), false),
        ];
        for (seed, (of_a, of_b, ordinary)) in (0..).zip(cases) {
            let (a, b) = (words(ROWS * WORDS, of_a, seed), words(WORDS * WIDTH, of_b, seed + 100));
            let [mut rows, mut columns]: [[Apart; WORDS]; 2] = [[[[0.0; WORDS]; 2]; WORDS]; 2];
            a.as_chunks().0.iter().zip(&mut rows).for_each(|(words, out)| unpair(words, out));
            b.chunks(WIDTH)
                .zip(&mut columns)
                .for_each(|(words, out)| unpair(words.first_chunk().unwrap(), out));
            assert_eq!(are_ordinary(&rows, &columns), ordinary, "{of_a:?} {of_b:?}");
            for count in [1, 3, 16] {
                let start = [[0.75; WORDS]; ROWS];
                let (mut found, mut expected) = (start, start);
                add_product(&mut found[..count], &a[..count * WORDS], &b, WIDTH);
                walk(&mut expected[..count], &rows, &columns, |a, b, sum| flushed(a * b + sum));
                // Which of two NaNs a sum keeps is the compiler's to choose.
                let bits = |sum: f32| if sum.is_nan() { f32::NAN } else { sum }.to_bits();
                assert_eq!(found.map(|row| row.map(bits)), expected.map(|row| row.map(bits)));
            }
        }
        // Nothing but 0 is ordinary.
        assert!(are_ordinary(&[[[0.0; WORDS]; 2]; ROWS], &[[[-0.0; WORDS]; 2]; WORDS]));
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
