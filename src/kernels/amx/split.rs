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
        self.to_bits() & i32::MAX as u32 <= BEYOND - 1
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load(from: *const Self) -> __m512 {
        // SAFETY: as the caller says.
        unsafe { _mm512_loadu_ps(from) }
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
mod x86 {
    use std::arch::x86_64::*;

    use super::{BEYOND, Number, STEP, WIDTH};

    /// The order in which numbers of two rows stand in pairs: the first ones of both, the second ones of both, and so on.
    const WOVEN: [u16; WIDTH] = {
        let mut order = [0; WIDTH];
        let mut at = 0;
        while at < WIDTH {
            order[at] = (at / 2 + at % 2 * WIDTH / 2) as u16;
            at += 1;
        }
        order
    };

    /// The larger ones of these bits and of those of numbers without their signs.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn largest(most: __m512i, numbers: __m512) -> __m512i {
        let positive = _mm512_set1_epi32(i32::MAX);
        _mm512_max_epu32(most, _mm512_and_si512(_mm512_castps_si512(numbers), positive))
    }

    /// [`split_panel`](super::split_panel) by instructions of the processor; `false`, and what was written is worth nothing, if one
    /// of the numbers is beyond those that it rounds to numbers.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn split_panel<T: Number>(numbers: &[T], ahead: usize, out: &mut [u32]) -> bool {
        let mut most = _mm512_setzero_si512();
        let steps = out.chunks_exact_mut(T::PARTS * STEP / 2 * WIDTH);
        for (out, numbers) in steps.zip(numbers.chunks(STEP * WIDTH)) {
            let (lines, rest) = numbers.as_chunks::<{ 2 * WIDTH }>();
            for (line, rows) in lines.iter().enumerate() {
                for next in (0..size_of_val(rows)).step_by(64) {
                    _mm_prefetch::<_MM_HINT_T0>(rows.as_ptr().cast::<i8>().wrapping_add(ahead + next));
                }
                most = split_pairs(rows, out, line, most);
            }
            if lines.len() < STEP / 2 {
                let mut rows = [T::zeroed(); 2 * WIDTH];
                rows[..rest.len()].copy_from_slice(rest);
                for line in lines.len()..STEP / 2 {
                    most = split_pairs(&rows, out, line, most);
                    rows.fill(T::zeroed());
                }
            }
        }
        _mm512_reduce_max_epu32(most) < BEYOND
    }

    /// [`split_rows`](super::split_rows) in the same way, a step of all rows after the other, so that what is written lies side by side.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn split_rows<'a>(
        rows: impl Iterator<Item = &'a [f32]> + Clone,
        parts: usize,
        between: usize,
        out: &mut [u16],
    ) -> bool {
        let mut most = _mm512_setzero_si512();
        let length = rows.clone().next().map_or(0, <[f32]>::len);
        for from in (0..length).step_by(STEP) {
            let out = &mut out[from / STEP * parts * between..];
            for (at, row) in rows.clone().enumerate() {
                let out = &mut out[at * STEP..];
                match row[from..].first_chunk::<STEP>() {
                    Some(numbers) => most = split_step(numbers, parts, between, out, most),
                    None => {
                        let mut numbers = [0.0; STEP];
                        numbers[..length - from].copy_from_slice(&row[from..length]);
                        most = split_step(&numbers, parts, between, out, most);
                    }
                }
            }
        }
        _mm512_reduce_max_epu32(most) < BEYOND
    }

    /// 32 numbers of a row; returns the larger ones of `most` and of their bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn split_step(
        numbers: &[f32; STEP],
        parts: usize,
        between: usize,
        out: &mut [u16],
        most: __m512i,
    ) -> __m512i {
        // SAFETY: the numbers are two vectors.
        let (mut low, mut high) =
            unsafe { (_mm512_loadu_ps(numbers.as_ptr()), _mm512_loadu_ps(numbers.as_ptr().add(STEP / 2))) };
        let most = largest(largest(most, low), high);
        for part in 0..parts {
            // SAFETY: both are 64 bytes of any bits.
            let both = unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) };
            let out = &mut out[part * between..][..STEP];
            // SAFETY: so many numbers of 16 bits are a vector.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), both) };
            let wide = |half| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half)));
            low = _mm512_sub_ps(low, wide(_mm512_castsi512_si256(both)));
            high = _mm512_sub_ps(high, wide(_mm512_extracti64x4_epi64::<1>(both)));
        }
        most
    }

    /// Two rows, which are one line of pairs of each part of a step; returns the larger ones of `most` and of their bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn split_pairs<T: Number>(
        rows: &[T; 2 * WIDTH],
        out: &mut [u32],
        line: usize,
        mut most: __m512i,
    ) -> __m512i {
        const HALF: usize = WIDTH / 2;
        assert!(out.len() == T::PARTS * STEP / 2 * WIDTH && line < STEP / 2, "a line of a step");
        let upper = _mm512_set1_epi32(0xffff_0000u32 as i32);
        for columns in [0, HALF] {
            // SAFETY: `rows` has two rows of two vectors, and `WOVEN` is a vector of numbers of 16 bits.
            let (mut low, mut high, woven) = unsafe {
                let rows = rows.as_ptr().add(columns);
                (T::load(rows), T::load(rows.add(WIDTH)), _mm512_loadu_si512(WOVEN.as_ptr().cast()))
            };
            most = largest(largest(most, low), high);
            for part in 0..T::PARTS {
                // SAFETY: both are 64 bytes of any bits.
                let both =
                    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) };
                let pairs = _mm512_permutexvar_epi16(woven, both);
                let out = &mut out[(part * STEP / 2 + line) * WIDTH + columns..][..HALF];
                // SAFETY: sixteen words are a vector.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), pairs) };
                low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)));
                high = _mm512_sub_ps(high, _mm512_castsi512_ps(_mm512_and_si512(pairs, upper)));
            }
        }
        most
    }
}

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
