//! Numbers of f32 as sums of numbers of bf16, in the order in which tiles read them.
//!
//! The first part is the number rounded to bf16, the second what is left, rounded, the third what is left then: 8 + 8 + 8
//! bits, exact for every number whose parts are no less than the least normal number. Of numbers of f16, two parts are exact.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m512, _mm256_loadu_si256, _mm512_cvtph_ps, _mm512_loadu_ps};

use half::f16;

use super::super::Isa;
use super::super::wide::on_widest;
use super::{STEP, WIDTH};

/// Parts of which a number of f32 is the sum.
pub(super) const PARTS: usize = 3;

/// The nearest number of bf16, ties to even, as the upper half of f32 bits, and what is left of `x`.
///
/// What is no number or without end is its own first part, and nothing is left of it; what would be rounded to infinity is cut.
#[inline(always)]
fn leading(x: f32) -> (u32, f32) {
    const EXPONENT: u32 = 0x7f80_0000;
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    let cut = bits & 0xffff_0000;
    let is_finite = bits & EXPONENT != EXPONENT;
    let finite = if nearest & EXPONENT == EXPONENT { cut } else { nearest };
    // Not a number stays none without its lower bits.
    let other = if bits & 0x007f_ffff != 0 { cut | 0x0040_0000 } else { cut };
    let first = if is_finite { finite } else { other };
    (first, if is_finite { x - f32::from_bits(first) } else { 0.0 })
}

/// The bits of the least number that is nearer to the one after the largest of bf16 than to that: it would be rounded to one without
/// end, of which something that is no number would be left.
const BEYOND: u32 = 0x7f7f_8000;

/// Numbers of a panel as they are stored.
pub(super) trait Number: bytemuck::Pod + Into<f32> {
    /// Parts of which each is the sum.
    const PARTS: usize;

    /// Whether the processor rounds its parts to numbers.
    fn is_ordinary(self) -> bool;

    /// Sixteen of them.
    ///
    /// # Safety
    /// So many are there, and the processor has AVX-512.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load(from: *const Self) -> __m512;
}

impl Number for f32 {
    const PARTS: usize = PARTS;

    fn is_ordinary(self) -> bool {
        (self.to_bits() & i32::MAX as u32) < BEYOND
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load(from: *const Self) -> __m512 {
        // SAFETY: as the caller says.
        unsafe { _mm512_loadu_ps(from) }
    }
}

/// A number of f32 that is the sum of two parts: what has 16 bits or fewer, as what ggml's blocks become when they are widened.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(super) struct Short(f32);

// SAFETY: a number of f32, for which any bits are one and all zero is 0.
unsafe impl bytemuck::Zeroable for Short {}
// SAFETY: as above; it has no padding and nothing else in it.
unsafe impl bytemuck::Pod for Short {}

impl From<Short> for f32 {
    fn from(short: Short) -> Self {
        short.0
    }
}

impl Number for Short {
    const PARTS: usize = 2;

    fn is_ordinary(self) -> bool {
        self.0.is_ordinary()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load(from: *const Self) -> __m512 {
        // SAFETY: as the caller says.
        unsafe { _mm512_loadu_ps(from.cast()) }
    }
}

on_widest! {
    /// Whether no number has a third part, of [ordinary](Number::is_ordinary) numbers.
    ///
    /// What the first part leaves is, in units of the last bit, the lower half of the bits or what that lacks to the next number; it has
    /// eight bits or fewer if it is less than 256 times its last one. Weights are read for this when a model is loaded, so it is
    /// not done by splitting.
    pub fn are_short(numbers: &[f32]) -> bool {
        numbers.chunks(1 << 10).all(|numbers| {
            let is_long = |number: &f32| {
                let lower = number.to_bits() & 0xffff;
                let left = lower.min(0x1_0000 - lower);
                let last = left & left.wrapping_neg();
                left >= (last << 8).max(1)
            };
            !numbers.iter().fold(false, |any, number| any | is_long(number))
        })
    }
}

impl Number for f16 {
    const PARTS: usize = 2;

    fn is_ordinary(self) -> bool {
        self.is_finite()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load(from: *const Self) -> __m512 {
        // SAFETY: as the caller says; sixteen numbers of 16 bits are half a vector.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
}

/// Splits `[count, 32]` numbers of a panel into `[step][part][16 pairs][32][2]`; what fills up the last step is 0.
///
/// Most of the time of a product of few rows goes here, so where the processor rounds to bf16 by itself, as all do that have tiles, it
/// does. Parts are the same but for those of about 2⁻¹²⁶, where the instruction takes 0, as tiles do. What lies `ahead` bytes behind
/// what is split is asked for, so that it comes from memory as fast.
pub(super) fn split_panel<T: Number>(numbers: &[T], ahead: usize, out: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    if rounds_by_itself() {
        // SAFETY: the processor has the instructions.
        let is_split = unsafe { x86::split_panel(numbers, ahead, out) };
        if is_split {
            return;
        }
    }
    let mut wide = [0.0; STEP * WIDTH];
    let steps = out.chunks_exact_mut(T::PARTS * STEP / 2 * WIDTH);
    for (out, numbers) in steps.zip(numbers.chunks(STEP * WIDTH)) {
        wide.iter_mut().zip(numbers).for_each(|(wide, number)| *wide = (*number).into());
        split_panel_plainly(&wide[..numbers.len()], T::PARTS, out);
    }
}

/// Splits rows of numbers, of one length: of each 32 of a row one part after the other, `between` apart, and the next 32
/// `parts * between` after them; each row 32 after the one before. What fills up the last 32 is 0. As with
/// [panels](split_panel), by the processor's own rounding where it has one.
pub(super) fn split_rows<'a>(
    rows: impl Iterator<Item = &'a [f32]> + Clone,
    parts: usize,
    between: usize,
    out: &mut [u16],
) {
    #[cfg(target_arch = "x86_64")]
    if rounds_by_itself() {
        // SAFETY: the processor has the instructions.
        let is_split = unsafe { x86::split_rows(rows.clone(), parts, between, out) };
        if is_split {
            return;
        }
    }
    for (at, row) in rows.enumerate() {
        split_row_plainly(row, parts, between, &mut out[at * STEP..]);
    }
}

/// Whether loops have AVX-512 with an instruction that rounds to bf16.
#[cfg(target_arch = "x86_64")]
pub(super) fn rounds_by_itself() -> bool {
    Isa::of_loops() == Isa::Avx512Bf16 && is_x86_feature_detected!("avx512bw")
}

on_widest! {
    /// The same on any processor.
    pub fn split_panel_plainly(numbers: &[f32], parts: usize, out: &mut [u32]) {
        let lines = out.chunks_exact_mut(parts * STEP / 2 * WIDTH);
        for (out, numbers) in lines.zip(numbers.chunks(STEP * WIDTH)) {
            if numbers.len() < STEP * WIDTH {
                out.fill(0);
            }
            for (line, rows) in numbers.chunks(2 * WIDTH).enumerate() {
                let mut left = [[0.0f32; WIDTH]; 2];
                for (left, row) in left.iter_mut().zip(rows.chunks_exact(WIDTH)) {
                    left.copy_from_slice(row);
                }
                let [low, high] = &mut left;
                for part in 0..parts {
                    let out = &mut out[(part * STEP / 2 + line) * WIDTH..][..WIDTH];
                    for ((out, low), high) in out.iter_mut().zip(low.iter_mut()).zip(high.iter_mut()) {
                        let (first, second);
                        (first, *low) = leading(*low);
                        (second, *high) = leading(*high);
                        *out = first >> 16 | second;
                    }
                }
            }
        }
    }
}

on_widest! {
    /// One row of [`split_rows`], on any processor.
    pub fn split_row_plainly(numbers: &[f32], parts: usize, between: usize, out: &mut [u16]) {
        for (step, numbers) in numbers.chunks(STEP).enumerate() {
            let mut left = [0.0f32; STEP];
            left[..numbers.len()].copy_from_slice(numbers);
            for part in 0..parts {
                let out = &mut out[(step * parts + part) * between..][..STEP];
                for (out, left) in out.iter_mut().zip(&mut left) {
                    let first;
                    (first, *left) = leading(*left);
                    *out = (first >> 16) as u16;
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
pub(super) mod tests {
    use half::f16;

    use super::*;

    pub(in super::super) fn parts_of(x: f32) -> [f32; PARTS] {
        let mut left = x;
        std::array::from_fn(|_| {
            let (first, rest) = leading(left);
            left = rest;
            f32::from_bits(first)
        })
    }

    #[test]
    fn three_parts_are_the_number() {
        let special = [0.0, -0.0, 1.0, f32::MAX, f32::MIN, 1e-30, 3.4e38, -3.399e38, 1.0 + f32::EPSILON];
        let many = (0..200_000u32).map(|i| f32::from_bits(i.wrapping_mul(21_473)));
        // Below them, parts are less than the least normal number of f32.
        let large = |x: &f32| x.is_finite() && (*x == 0.0 || x.abs() >= f32::MIN_POSITIVE * 65536.0);
        for x in special.into_iter().chain(many).filter(large) {
            let [first, second, third] = parts_of(x);
            for part in [first, second, third] {
                assert_eq!(part.to_bits() & 0xffff, 0, "{x:e}");
            }
            assert_eq!(f64::from(first) + f64::from(second) + f64::from(third), f64::from(x), "{x:e}");
            assert!(second.abs() <= first.abs() / 128.0 || first == 0.0, "{x:e}");
        }
    }

    #[test]
    fn two_parts_are_a_number_of_f16() {
        for bits in 0..=u16::MAX {
            let x = f16::from_bits(bits).to_f32();
            if x.is_finite() {
                let [first, second, third] = parts_of(x);
                assert_eq!((first + second, third), (x, 0.0), "{x:e}");
            }
        }
    }

    #[test]
    fn short_numbers_have_no_third_part() {
        // Sixteen bits, or fewer in another place.
        let short = |i: u32| {
            f32::from_bits((i.wrapping_mul(40_503) & 0x7f_ff00) | (100 + i % 60) << 23 | (i & 1) << 31)
        };
        let mut numbers: Vec<f32> = (0..45 * WIDTH as u32).map(short).collect();
        numbers[3] = 1.0 + f32::EPSILON;
        assert!(are_short(&numbers) && are_short(&[]));
        assert!(numbers.iter().all(|&x| parts_of(x)[2] == 0.0));
        assert_split(&numbers.iter().map(|&x| Short(x)).collect::<Vec<_>>());
        for x in (0..100_000u32).map(|i| f32::from_bits(0x3e80_0000 + i.wrapping_mul(977) % 0x0200_0000)) {
            assert_eq!(are_short(&[x]), parts_of(x)[2] == 0.0, "{x:e}");
        }
        for long in [1.0 + 3.0 * f32::EPSILON + 2f32.powi(-9), 1.1, f32::from_bits(0x3f81_0101)] {
            assert_ne!(parts_of(long)[2], 0.0);
            numbers[45 * WIDTH - 1] = long;
            assert!(!are_short(&numbers), "{long}");
        }
    }

    #[test]
    fn what_is_no_number_has_one_part() {
        for x in [f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(parts_of(x), [x, 0.0, 0.0]);
        }
        for x in [f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xff80_0001)] {
            let [first, second, third] = parts_of(x);
            assert!(first.is_nan() && second == 0.0 && third == 0.0);
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn parts_that_the_processor_rounds_are_the_same() {
        let has = ["avx512f", "avx512bw", "avx512bf16"];
        let are_here = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16");
        if !are_here {
            return eprintln!("SKIPPED, nothing was compared: this processor lacks one of {has:?}");
        }
        let beyond = f32::from_bits(0x7f7f_8000);
        let all =
            (0..1u32 << 16).map(|i| f32::from_bits(i.wrapping_mul(65_537) ^ i.wrapping_mul(40_503) << 3));
        let mut numbers: Vec<f32> = all.map(|x| if x.abs() < beyond { x } else { 1.0 }).collect();
        numbers[5] = f32::from_bits(0x7f7f_7fff);
        for count in [1, 2, 31, 32, 45, numbers.len() / WIDTH] {
            let (numbers, words) =
                (&numbers[..count * WIDTH], count.div_ceil(STEP) * PARTS * STEP / 2 * WIDTH);
            let (mut found, mut expected) = (vec![7; words], vec![7; words]);
            // SAFETY: the processor has the instructions, as was just asked.
            assert!(unsafe { x86::split_panel(numbers, 0, &mut found) });
            split_panel_plainly(numbers, PARTS, &mut expected);
            for (found, expected) in found.iter().zip(&expected) {
                for shift in [0, 16] {
                    let [found, expected] = [found, expected].map(|word| f32::from_bits(word >> shift << 16));
                    let next_to_nothing = found.abs().max(expected.abs()) <= f32::MIN_POSITIVE;
                    assert!(found == expected || next_to_nothing, "{found:e} {expected:e}");
                }
            }
        }
        for large in [beyond, f32::MAX, f32::NEG_INFINITY, f32::NAN] {
            numbers[77] = large;
            let mut found = vec![7; numbers.len() / 2 * 3];
            // SAFETY: as above.
            assert!(!unsafe { x86::split_panel(&numbers, 0, &mut found) }, "{large} would be lost");
            split_panel(&numbers, 0, &mut found);
            // The lower half of the second line of each part.
            let part = |part: usize| {
                f64::from(f32::from_bits(found[(part * STEP / 2 + 1) * WIDTH + 77 % WIDTH] << 16))
            };
            // The first two may be more than f32 holds.
            let sum = part(0) + part(1) + part(2);
            assert!(sum == f64::from(large) || (sum.is_nan() && large.is_nan()), "{large}: {sum}");
        }
    }

    #[test]
    fn panels_are_split_in_pairs() {
        for count in [1, 2, 31, 32, 45] {
            let numbers: Vec<f32> = (0..count * WIDTH).map(|i| i as f32 * 1.000_123 + 0.37).collect();
            assert_split(&numbers);
            assert_split(&numbers.iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>());
        }
    }

    fn assert_split<T: Number>(numbers: &[T]) {
        let (steps, parts) = (numbers.len().div_ceil(STEP * WIDTH), T::PARTS);
        let mut out = vec![7; steps * parts * STEP / 2 * WIDTH];
        split_panel(numbers, 0, &mut out);
        for (k, lane) in (0..steps * STEP).flat_map(|k| (0..WIDTH).map(move |lane| (k, lane))) {
            let expected = parts_of(numbers.get(k * WIDTH + lane).map_or(0.0, |&x| x.into()));
            for (part, expected) in expected.iter().take(parts).enumerate() {
                let line = (k / STEP * parts + part) * STEP / 2 + k % STEP / 2;
                let word = out[line * WIDTH + lane];
                let found = if k % 2 == 0 { word << 16 } else { word & 0xffff_0000 };
                assert_eq!(found, expected.to_bits(), "[{k}, {lane}] part {part}");
            }
        }
    }
}
