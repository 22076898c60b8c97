//! The innermost product: a few rows of activations times one panel of weights, kept in registers.
//!
//! A panel is `[k, NR]`, row by row, where NR is two vectors wide; every step over k loads one row of the panel and
//! one number of each row of activations. Each output is summed over k in ascending order by one accumulator, so its
//! bits depend on neither the number of rows nor the place of a tile, and a sum that is stored and taken up again later is
//! the same sum.

#![allow(unsafe_code)]

use super::lanes::{Lanes, Plain};

/// Where a tile lies. Strides are in numbers.
#[derive(Clone, Copy)]
pub struct TileArgs {
    /// Rows of activations and of the output.
    pub rows: usize,
    /// Length of the sums.
    pub k: usize,
    /// Activations `[rows, k]`.
    pub a: *const f32,
    /// From one row of `a` to the next.
    pub a_stride: usize,
    /// The panel `[k, NR]`.
    pub b: *const f32,
    /// From one row of `b` to the next.
    pub b_stride: usize,
    /// The output `[rows, NR]`.
    pub c: *mut f32,
    /// From one row of `c` to the next.
    pub c_stride: usize,
    /// Whether sums go on from what `c` holds; else they begin at 0.
    pub resume: bool,
}

/// Computes all rows of one panel.
///
/// # Safety
/// The processor has the function's instruction set; `a` is valid for `rows` rows of `k` numbers, `b` for `k` rows of NR,
/// `c` for `rows` rows of NR, each at its stride, and `c` overlaps neither.
pub type PanelFn = unsafe fn(TileArgs);

/// `MR` rows; all loops over `MR` are unrolled, so that accumulators are registers.
///
/// # Safety
/// As [`PanelFn`], for `MR` rows.
#[inline(always)]
unsafe fn tile<V: Lanes, const MR: usize>(t: TileArgs) {
    // SAFETY: every pointer stays inside what the caller vouches for: rows below MR, k below t.k, two vectors a row.
    unsafe {
        let mut sums = [[V::zero(); 2]; MR];
        if t.resume {
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = t.c.add(row * t.c_stride);
                *sums = [V::load(c), V::load(c.add(V::WIDTH))];
            }
        }
        let mut rows = [t.a; MR];
        for (row, a) in rows.iter_mut().enumerate() {
            *a = t.a.add(row * t.a_stride);
        }
        let mut b = t.b;
        for k in 0..t.k {
            let (left, right) = (V::load(b), V::load(b.add(V::WIDTH)));
            b = b.wrapping_add(t.b_stride);
            for (a, sums) in rows.iter().zip(&mut sums) {
                let factor = V::splat(*a.add(k));
                sums[0] = factor.mul_add(left, sums[0]);
                sums[1] = factor.mul_add(right, sums[1]);
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let c = t.c.add(row * t.c_stride);
            sums[0].store(c);
            sums[1].store(c.add(V::WIDTH));
        }
    }
}

/// All rows in tiles of `MR`, and what remains in narrower ones.
///
/// # Safety
/// As [`PanelFn`].
#[inline(always)]
unsafe fn panel<V: Lanes, const MR: usize>(mut t: TileArgs) {
    // SAFETY: each tile covers rows that the caller vouches for, and no row twice.
    unsafe {
        let advance = |t: &mut TileArgs, rows: usize| {
            t.a = t.a.wrapping_add(rows * t.a_stride);
            t.c = t.c.wrapping_add(rows * t.c_stride);
            t.rows -= rows;
        };
        while t.rows >= MR {
            tile::<V, MR>(t);
            advance(&mut t, MR);
        }
        if t.rows >= 4 {
            tile::<V, 4>(t);
            advance(&mut t, 4);
        }
        if t.rows >= 4 {
            tile::<V, 4>(t);
            advance(&mut t, 4);
        }
        match t.rows {
            1 => tile::<V, 1>(t),
            2 => tile::<V, 2>(t),
            3 => tile::<V, 3>(t),
            _ => {}
        }
    }
}

/// Plain Rust.
///
/// # Safety
/// As [`PanelFn`].
pub unsafe fn plain(t: TileArgs) {
    // SAFETY: the caller's contract is that of `panel`.
    unsafe { panel::<Plain, 2>(t) }
}

/// 6 × 16: twelve accumulators of the sixteen registers.
///
/// # Safety
/// As [`PanelFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn avx2(t: TileArgs) {
    // SAFETY: the caller's contract is that of `panel`.
    unsafe { panel::<std::arch::x86_64::__m256, 6>(t) }
}

/// 12 × 32: twenty-four accumulators of the thirty-two registers.
///
/// # Safety
/// As [`PanelFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub unsafe fn avx512(t: TileArgs) {
    // SAFETY: the caller's contract is that of `panel`.
    unsafe { panel::<std::arch::x86_64::__m512, 12>(t) }
}
