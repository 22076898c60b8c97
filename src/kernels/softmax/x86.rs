//! The same by AVX-512: compilers make poor vectors of the comparisons, and leave the exponentials of several rows alone.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{LANES, ScoreBlock};
use crate::kernels::exp::x86::exp;

/// Numbers of a vector.
const VECTOR: usize = 16;

/// [`take_block`](super::take_block) with the bits of fused multiply-adds.
#[target_feature(enable = "avx512f")]
pub(super) fn take_block(block: ScoreBlock<'_>) {
    for group in block.in_groups(VECTOR) {
        take_rows(group);
    }
}

/// As many rows as a vector has numbers, or fewer: what is rescaled is one exponential for all.
#[inline]
#[target_feature(enable = "avx512f")]
fn take_rows(block: ScoreBlock<'_>) {
    let ScoreBlock { scores, width, scale, seen, rows, out, out_width } = block;
    let (mut highest, mut before) = ([0.0; VECTOR], [0.0; VECTOR]);
    for (at, ((scores, row), &seen)) in scores.chunks_exact_mut(width).zip(&*rows).zip(seen).enumerate() {
        if seen < width {
            scores[seen..].fill(if seen == 0 { 0.0 } else { f32::NEG_INFINITY });
        }
        let mut most = _mm512_set1_ps(row.highest);
        for numbers in scores.as_chunks::<VECTOR>().0 {
            // What is no number is passed over.
            most = _mm512_max_ps(load(numbers), most);
        }
        before[at] = row.highest;
        highest[at] = _mm512_reduce_max_ps(most);
    }
    let scale = _mm512_set1_ps(scale);
    let mut kept = [0.0; VECTOR];
    store(&mut kept, exp(_mm512_mul_ps(_mm512_sub_ps(load(&before), load(&highest)), scale)));
    let parts = scores.chunks_exact_mut(width).zip(out.chunks_exact_mut(out_width));
    for (at, ((scores, out), (row, &seen))) in parts.zip(rows.iter_mut().zip(seen)).enumerate() {
        if seen == 0 {
            continue;
        }
        if highest[at] > row.highest && row.sum > 0.0 {
            row.sum *= kept[at];
            out.iter_mut().for_each(|out| *out *= kept[at]);
        }
        row.highest = highest[at];
        let highest = _mm512_set1_ps(highest[at]);
        let mut sums = _mm256_setzero_ps();
        for numbers in scores.as_chunks_mut::<VECTOR>().0 {
            let powers = exp(_mm512_mul_ps(_mm512_sub_ps(load(numbers), highest), scale));
            store(numbers, powers);
            let [low, high] = halves(powers);
            sums = _mm256_add_ps(_mm256_add_ps(sums, low), high);
        }
        let mut lanes = [0.0f32; LANES];
        // SAFETY: eight numbers are half a vector.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sums) };
        row.sum += lanes.iter().sum::<f32>();
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(numbers: &[f32; VECTOR]) -> __m512 {
    // SAFETY: sixteen numbers are a vector.
    unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(numbers: &mut [f32; VECTOR], vector: __m512) {
    // SAFETY: sixteen numbers are a vector.
    unsafe { _mm512_storeu_ps(numbers.as_mut_ptr(), vector) }
}

/// The first eight numbers of a vector, and the others.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(vector: __m512) -> [__m256; 2] {
    let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(vector));
    [_mm512_castps512_ps256(vector), _mm256_castpd_ps(high)]
}
