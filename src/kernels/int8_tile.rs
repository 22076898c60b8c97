//! The innermost product of blocks of integers.

#![allow(unsafe_code)]

use super::Isa;

/// Numbers with one scale.
pub(super) const BLOCK: usize = 32;
/// Rows of a panel of weights.
pub(super) const PANEL: usize = 16;

/// Where the operands of one panel lie.
#[derive(Clone, Copy)]
pub(super) struct Int8Args {
    /// Rows of activations and of the output.
    pub rows: usize,
    /// Blocks of a row.
    pub blocks: usize,
    /// Activations `[rows][blocks * 32]`.
    pub a: *const i16,
    /// Their scales `[rows][blocks]`.
    pub a_scales: *const f32,
    /// Weights `[blocks * 16][PANEL][2]`.
    pub b: *const i8,
    /// Their scales `[blocks][PANEL]`.
    pub b_scales: *const f32,
    /// The output `[rows][PANEL]`, to which the product is added.
    pub c: *mut f32,
}

/// Adds the product of all rows and one panel.
///
/// # Safety
/// The processor has the function's instruction set, and every pointer is valid for the shape at its field; `c` overlaps
/// none of the others.
pub(super) type Int8Fn = unsafe fn(Int8Args);

/// The function for an instruction set that the processor has.
pub(super) fn panel(isa: Isa) -> Int8Fn {
    match isa {
        Isa::Plain => plain,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512 => x86::avx2,
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::Avx512 => plain,
    }
}

/// Plain Rust.
///
/// # Safety
/// As [`Int8Fn`].
unsafe fn plain(t: Int8Args) {
    let depth = t.blocks * BLOCK;
    // SAFETY: the shapes that the caller vouches for.
    let (a, a_scales, b, b_scales, c) = unsafe {
        (
            std::slice::from_raw_parts(t.a, t.rows * depth),
            std::slice::from_raw_parts(t.a_scales, t.rows * t.blocks),
            std::slice::from_raw_parts(t.b, depth * PANEL),
            std::slice::from_raw_parts(t.b_scales, t.blocks * PANEL),
            std::slice::from_raw_parts_mut(t.c, t.rows * PANEL),
        )
    };
    for (row, c) in c.chunks_exact_mut(PANEL).enumerate() {
        for block in 0..t.blocks {
            let a = &a[row * depth + block * BLOCK..][..BLOCK];
            let b = &b[block * BLOCK * PANEL..][..BLOCK * PANEL];
            let mut sums = [0i32; PANEL];
            for (pair, b) in a.chunks_exact(2).zip(b.chunks_exact(2 * PANEL)) {
                for (sum, b) in sums.iter_mut().zip(b.chunks_exact(2)) {
                    *sum += i32::from(pair[0]) * i32::from(b[0]) + i32::from(pair[1]) * i32::from(b[1]);
                }
            }
            let scale = a_scales[row * t.blocks + block];
            for ((c, sum), b_scale) in c.iter_mut().zip(sums).zip(&b_scales[block * PANEL..]) {
                *c += sum as f32 * (scale * b_scale);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BLOCK, Int8Args, PANEL};

    /// 6 × 16: twelve integer accumulators; the sums over blocks wait in `c`.
    ///
    /// # Safety
    /// As [`Int8Fn`](super::Int8Fn).
    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) unsafe fn avx2(mut t: Int8Args) {
        // SAFETY: each tile covers rows that the caller vouches for, and no row twice.
        unsafe {
            let advance = |t: &mut Int8Args, rows: usize| {
                t.a = t.a.wrapping_add(rows * t.blocks * BLOCK);
                t.a_scales = t.a_scales.wrapping_add(rows * t.blocks);
                t.c = t.c.wrapping_add(rows * PANEL);
                t.rows -= rows;
            };
            while t.rows >= 6 {
                tile::<6>(t);
                advance(&mut t, 6);
            }
            match t.rows {
                1 => tile::<1>(t),
                2 => tile::<2>(t),
                3 => tile::<3>(t),
                4 => tile::<4>(t),
                5 => tile::<5>(t),
                _ => {}
            }
        }
    }

    /// `MR` rows. A step takes two numbers of each row: `madd` multiplies pairs and adds the two products, and
    /// 32 · 127 · 127 is far below what 32 bits hold.
    ///
    /// # Safety
    /// As [`Int8Fn`](super::Int8Fn), for `MR` rows.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile<const MR: usize>(t: Int8Args) {
        let depth = t.blocks * BLOCK;
        // SAFETY: offsets stay inside the shapes that the caller vouches for.
        unsafe {
            for block in 0..t.blocks {
                let mut sums = [[_mm256_setzero_si256(); 2]; MR];
                let mut b = t.b.add(block * BLOCK * PANEL);
                let a = t.a.add(block * BLOCK);
                for pair in 0..BLOCK / 2 {
                    let left = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.cast()));
                    let right = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.add(16).cast()));
                    b = b.add(2 * PANEL);
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let both = a.add(row * depth + 2 * pair).cast::<i32>().read_unaligned();
                        let factor = _mm256_set1_epi32(both);
                        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(factor, left));
                        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(factor, right));
                    }
                }
                let b_scales = t.b_scales.add(block * PANEL);
                let scales = [_mm256_loadu_ps(b_scales), _mm256_loadu_ps(b_scales.add(8))];
                for (row, sums) in sums.iter().enumerate() {
                    let own = _mm256_set1_ps(*t.a_scales.add(row * t.blocks + block));
                    for half in 0..2 {
                        let c = t.c.add(row * PANEL + 8 * half);
                        let scale = _mm256_mul_ps(own, scales[half]);
                        let sum = _mm256_cvtepi32_ps(sums[half]);
                        _mm256_storeu_ps(c, _mm256_fmadd_ps(sum, scale, _mm256_loadu_ps(c)));
                    }
                }
            }
        }
    }
}
