//! The innermost product of pairs of bf16 numbers, with AVX-512 BF16.
//!
//! The instruction adds two products to a sum of f32, in its own order and without numbers below the least normal one: the
//! results are near those of widened numbers, not the same.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::tile::TileArgs;

/// Rows of a tile.
const TILE: usize = 12;

/// All rows of one panel of 32 columns: 12 × 32, twenty-four accumulators of the thirty-two registers. `k` counts pairs, and
/// both operands are packed: activations `[k][12][2]` a tile, the panel `[k][32][2]`.
///
/// # Safety
/// As [`PanelFn`](super::tile::PanelFn).
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn panel(mut t: TileArgs) {
    // SAFETY: each tile covers rows that the caller vouches for, and no row twice.
    unsafe {
        while t.rows >= TILE {
            tile::<TILE>(t);
            t.a = t.a.wrapping_add(TILE * t.k);
            t.c = t.c.wrapping_add(TILE * t.c_stride);
            t.rows -= TILE;
        }
        match t.rows {
            1 => tile::<1>(t),
            2 => tile::<2>(t),
            3 => tile::<3>(t),
            4 => tile::<4>(t),
            5 => tile::<5>(t),
            6 => tile::<6>(t),
            7 => tile::<7>(t),
            8 => tile::<8>(t),
            9 => tile::<9>(t),
            10 => tile::<10>(t),
            11 => tile::<11>(t),
            _ => {}
        }
    }
}

/// `MR` rows.
///
/// # Safety
/// As [`panel`], for `MR` rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile<const MR: usize>(t: TileArgs) {
    // SAFETY: every pointer stays inside what the caller vouches for: rows below MR, pairs below t.k, two vectors a row.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); 2]; MR];
        if t.resume {
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = t.c.add(row * t.c_stride);
                *sums = [_mm512_loadu_ps(c), _mm512_loadu_ps(c.add(16))];
            }
        }
        let (mut a, mut b) = (t.a.cast::<i32>(), t.b);
        for _ in 0..t.k {
            let (left, right) =
                (pairs(_mm512_loadu_si512(b.cast())), pairs(_mm512_loadu_si512(b.add(64).cast())));
            for (row, sums) in sums.iter_mut().enumerate() {
                let factor = pairs(_mm512_set1_epi32(a.add(row).read_unaligned()));
                sums[0] = _mm512_dpbf16_ps(sums[0], factor, left);
                sums[1] = _mm512_dpbf16_ps(sums[1], factor, right);
            }
            (a, b) = (a.wrapping_add(TILE), b.wrapping_add(128));
        }
        for (row, sums) in sums.iter().enumerate() {
            let c = t.c.add(row * t.c_stride);
            _mm512_storeu_ps(c, sums[0]);
            _mm512_storeu_ps(c.add(16), sums[1]);
        }
    }
}

/// The same bits as another type.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn pairs(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes, and any bits are thirty-two numbers.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}
