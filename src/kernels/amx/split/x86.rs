//! The same by instructions that round to bf16.

#![allow(unsafe_code)]

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
fn split_pairs<T: Number>(rows: &[T; 2 * WIDTH], out: &mut [u32], line: usize, mut most: __m512i) -> __m512i {
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
            let both = unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) };
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
