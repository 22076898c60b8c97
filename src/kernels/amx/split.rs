//! Numbers of f32 as sums of numbers of bf16, in the order in which tiles read them.
//!
//! The first part is the number rounded to bf16, the second what is left, rounded, the third what is left then: 8 + 8 + 8
//! bits, exact for every number whose parts are no less than the least normal number. Of numbers of f16, two parts are exact.

#![allow(unsafe_code)]

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::super::Isa;
use super::super::aligned::Recycled;
use super::super::wide::on_widest;
use super::{ROWS, STEP, WIDTH};

/// Parts of which a number of f32 is the sum.
pub(super) const PARTS: usize = 3;
/// Numbers of a tile of rows.
const TILE: usize = ROWS * STEP;

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

/// Splits `[count, 32]` numbers of a panel into `[step][part][16 pairs][32][2]`; what fills up the last step is 0.
///
/// Most of the time of a product of few rows goes here, so where the processor rounds to bf16 by itself, as all do that have tiles, it
/// does. Parts are the same but for those of about 2⁻¹²⁶, where the instruction takes 0, as tiles do.
pub(super) fn split_panel(numbers: &[f32], parts: usize, out: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    if Isa::of_loops() == Isa::Avx512Bf16 && is_x86_feature_detected!("avx512bw") {
        // SAFETY: the processor has both.
        let is_split = unsafe { x86::split_panel(numbers, parts, out) };
        if is_split {
            return;
        }
    }
    split_panel_plainly(numbers, parts, out);
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
    /// Splits a row of numbers: of each 32 one part after the other, `between` apart, and the next 32 `parts * between` after
    /// them; what fills up the last 32 is 0.
    pub fn split_row(numbers: &[f32], parts: usize, between: usize, out: &mut [u16]) {
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

/// Rows of activations in parts and tiles, `[group of rows][step][part][tile][16][32]`: groups are two tiles, or one where there
/// are no more rows than it has. What fills up the last group is anything.
#[derive(Debug)]
pub struct SplitRows {
    rows: usize,
    columns: usize,
    parts: usize,
    tiles: usize,
    numbers: Recycled<u16>,
}

impl SplitRows {
    /// What a number of f32 takes in all its parts.
    pub(in super::super) const BYTES: usize = PARTS * size_of::<u16>();

    /// Splits every number into so many parts, on all threads.
    pub(super) fn new(x: ArrayView2<f32>, parts: usize) -> Self {
        let x = x.as_standard_layout();
        let (rows, columns) = x.dim();
        let mut split = Self::empty(rows, columns, parts);
        let group = split.group();
        let fill = |(index, out): (usize, &mut [u16])| {
            let (first, between) = (index * split.tiles * ROWS, split.tiles * TILE);
            for row in first..rows.min(first + split.tiles * ROWS) {
                let numbers = x.row(row).to_slice().expect("numbers of a row are neighbours");
                split_row(numbers, parts, between, &mut out[(row - first) * STEP..]);
            }
        };
        let mut numbers = std::mem::replace(&mut split.numbers, Recycled::take(0));
        match group {
            0 => {}
            _ if rows <= ROWS => numbers.as_mut_slice().chunks_mut(group).enumerate().for_each(fill),
            _ => numbers.as_mut_slice().par_chunks_mut(group).enumerate().for_each(fill),
        }
        split.numbers = numbers;
        split
    }

    /// The same layout, to be filled.
    fn empty(rows: usize, columns: usize, parts: usize) -> Self {
        let tiles = if rows <= ROWS { 1 } else { 2 };
        let groups = rows.div_ceil(tiles * ROWS);
        let numbers = Recycled::take(groups * columns.div_ceil(STEP) * parts * tiles * TILE);
        Self { rows, columns, parts, tiles, numbers }
    }

    /// Rows, without those that fill up the last group, and columns.
    pub(super) fn dim(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Parts of every number.
    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// Tiles of a group.
    pub(super) fn tiles(&self) -> usize {
        self.tiles
    }

    /// Numbers of a group.
    pub(super) fn group(&self) -> usize {
        self.columns.div_ceil(STEP) * self.parts * self.tiles * TILE
    }

    /// The groups from the one that begins at `row` on, from step `step` on.
    ///
    /// # Panics
    /// If no group begins there.
    pub(super) fn from(&self, row: usize, step: usize) -> &[u16] {
        assert!(row.is_multiple_of(self.tiles * ROWS), "the beginning of a group");
        let group = row / (self.tiles * ROWS);
        &self.numbers.as_slice()[group * self.group() + step * self.parts * self.tiles * TILE..]
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{STEP, WIDTH};

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

    /// [`split_panel`](super::split_panel) by instructions of the processor; `false`, and nothing is done, if one of the numbers would
    /// be rounded to one without end, of which something that is no number would be left.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn split_panel(numbers: &[f32], parts: usize, out: &mut [u32]) -> bool {
        /// The bits of the least number that is nearer to the one after the largest of bf16 than to that.
        const BEYOND: u32 = 0x7f7f_8000;
        if numbers.iter().fold(0, |most, number| most.max(number.to_bits() & !(1 << 31))) >= BEYOND {
            return false;
        }
        let (lines, rest) = numbers.as_chunks::<{ 2 * WIDTH }>();
        for (at, rows) in lines.iter().enumerate() {
            split_rows(rows, parts, out, at);
        }
        let whole = lines.len() + usize::from(!rest.is_empty());
        if !rest.is_empty() {
            let mut rows = [0.0; 2 * WIDTH];
            rows[..rest.len()].copy_from_slice(rest);
            split_rows(&rows, parts, out, lines.len());
        }
        for line in whole..whole.next_multiple_of(STEP / 2) {
            split_rows(&[0.0; 2 * WIDTH], parts, out, line);
        }
        true
    }

    /// Two rows, which are one line of pairs of each part.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn split_rows(rows: &[f32; 2 * WIDTH], parts: usize, out: &mut [u32], line: usize) {
        const HALF: usize = WIDTH / 2;
        let first = line / (STEP / 2) * parts * STEP / 2 + line % (STEP / 2);
        for columns in 0..2 {
            // SAFETY: `rows` has two rows of two vectors, and `WOVEN` is a vector of numbers of 16 bits.
            let (mut low, mut high, woven) = unsafe {
                let rows = rows.as_ptr().add(columns * HALF);
                (
                    _mm512_loadu_ps(rows),
                    _mm512_loadu_ps(rows.add(WIDTH)),
                    _mm512_loadu_si512(WOVEN.as_ptr().cast()),
                )
            };
            for part in 0..parts {
                // SAFETY: both are 64 bytes of any bits.
                let both =
                    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) };
                let pairs = _mm512_permutexvar_epi16(woven, both);
                let out = &mut out[(first + part * STEP / 2) * WIDTH + columns * HALF..][..HALF];
                // SAFETY: sixteen words are a vector.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), pairs) };
                let upper = _mm512_set1_epi32(0xffff_0000u32 as i32);
                low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)));
                high = _mm512_sub_ps(high, _mm512_castsi512_ps(_mm512_and_si512(pairs, upper)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use ndarray::Array2;

    use super::*;

    fn parts_of(x: f32) -> [f32; PARTS] {
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
    fn every_part_has_its_place() {
        let value = |i: usize, j: usize| (i * 257 + j) as f32 * 1.000_123 + 0.37;
        for (rows, columns, parts) in [(1, 1, 3), (16, 33, 3), (17, 64, 1), (70, 100, 3)] {
            let x = Array2::from_shape_fn((rows, columns), |(i, j)| value(i, j));
            let split = SplitRows::new(x.view(), parts);
            let tiles = if rows <= ROWS { 1 } else { 2 };
            assert_eq!((split.dim(), split.tiles(), split.parts()), ((rows, columns), tiles, parts));
            for (i, j) in (0..rows).flat_map(|i| (0..columns.next_multiple_of(STEP)).map(move |j| (i, j))) {
                let expected = if j < columns { parts_of(x[(i, j)]) } else { [0.0; PARTS] };
                let from = split.from(i / (tiles * ROWS) * tiles * ROWS, j / STEP);
                let (tile, lane) = (i % (tiles * ROWS) / ROWS, i % ROWS);
                for (part, expected) in expected.iter().take(parts).enumerate() {
                    let found = from[((part * tiles + tile) * ROWS + lane) * STEP + j % STEP];
                    assert_eq!(u32::from(found) << 16, expected.to_bits(), "[{i}, {j}] part {part}");
                }
            }
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
        for (count, parts) in [(1, 1), (2, 3), (31, 2), (numbers.len() / WIDTH, 3)] {
            let (numbers, words) =
                (&numbers[..count * WIDTH], count.div_ceil(STEP) * parts * STEP / 2 * WIDTH);
            let (mut found, mut expected) = (vec![7; words], vec![7; words]);
            // SAFETY: the processor has the instructions, as was just asked.
            assert!(unsafe { x86::split_panel(numbers, parts, &mut found) });
            split_panel_plainly(numbers, parts, &mut expected);
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
            assert!(!unsafe { x86::split_panel(&numbers, 3, &mut found) }, "{large} would be lost");
            split_panel(&numbers, 3, &mut found);
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
            for parts in [1, 2, 3] {
                let steps = count.div_ceil(STEP);
                let mut out = vec![7; steps * parts * STEP / 2 * WIDTH];
                split_panel(&numbers, parts, &mut out);
                for (k, lane) in (0..steps * STEP).flat_map(|k| (0..WIDTH).map(move |lane| (k, lane))) {
                    let expected = parts_of(numbers.get(k * WIDTH + lane).copied().unwrap_or(0.0));
                    for (part, expected) in expected.iter().take(parts).enumerate() {
                        let line = (k / STEP * parts + part) * STEP / 2 + k % STEP / 2;
                        let word = out[line * WIDTH + lane];
                        let found = if k % 2 == 0 { word << 16 } else { word & 0xffff_0000 };
                        assert_eq!(found, expected.to_bits(), "{count} [{k}, {lane}] part {part}");
                    }
                }
            }
        }
    }
}
