//! The innermost product: a few rows of activations times one panel of weights, kept in registers.
//!
//! A panel is `[k, NR]`, row by row, where NR is two vectors wide; every step over k loads one row of the panel, widens it
//! where it is stored narrower, and loads one number of each row of activations. Each output is summed over k in ascending
//! order by one accumulator, so its bits depend on neither the number of rows nor the place of a tile, and a sum that is
//! stored and taken up again later is the same sum.

#![allow(unsafe_code)]

use super::lanes::{Lanes, Plain, Widen};

/// How the numbers of a panel are stored.
pub trait Stored<V: Lanes> {
    /// Bytes of a number.
    const BYTES: usize;

    /// The two vectors of one row of a panel.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`, and `from` is valid for two vectors of numbers.
    unsafe fn load(from: *const u8) -> [V; 2];
}

/// Numbers of 32 bits.
pub struct F32;
/// IEEE numbers of 16 bits.
pub struct F16;
/// The upper halves of numbers of 32 bits, the two vectors woven into each other: the first number of the left, the first of
/// the right, the second of the left, and so on. Two operations widen them all.
pub struct Bf16;

impl<V: Lanes> Stored<V> for F32 {
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> [V; 2] {
        // SAFETY: as the caller says.
        unsafe { [V::load(from.cast()), V::load(from.cast::<f32>().add(V::WIDTH))] }
    }
}

impl<V: Widen> Stored<V> for F16 {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> [V; 2] {
        // SAFETY: as the caller says.
        unsafe { [V::load_f16(from.cast()), V::load_f16(from.cast::<u16>().add(V::WIDTH))] }
    }
}

impl<V: Widen> Stored<V> for Bf16 {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> [V; 2] {
        // SAFETY: as the caller says.
        unsafe { V::load_bf16_pairs(from.cast()) }
    }
}

/// Where a tile lies. Strides are in numbers.
#[derive(Clone, Copy)]
pub struct TileArgs {
    /// Rows of activations and of the output.
    pub rows: usize,
    /// Length of the sums.
    pub k: usize,
    /// Activations: packed in tiles, or `[rows, k]`.
    pub a: *const f32,
    /// From one row of `a` to the next; if it is packed, from one column of the last tile to the next.
    pub a_stride: usize,
    /// The panel `[k, NR]`.
    pub b: *const u8,
    /// From one row of `b` to the next, unless it is packed.
    pub b_stride: usize,
    /// The output `[rows, NR]`.
    pub c: *mut f32,
    /// From one row of `c` to the next.
    pub c_stride: usize,
    /// Whether sums go on from what `c` holds; else they begin at 0.
    pub resume: bool,
}

/// Columns of a part of the activations, at most: a part of a panel stays in the first cache, or near it, for all rows.
pub const PART: usize = 256;
/// How far ahead one tile asks for weights: what comes before they are read takes as long as they do from memory. Processors ask by
/// themselves, but not across pages of 4 KiB.
pub const AHEAD: usize = 4096;
/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Computes all rows of one panel.
///
/// # Safety
/// The processor has the function's instruction set; `a` is valid for `rows` rows of `k` numbers at their stride, or if it is
/// packed for whole tiles, `b` for `k` rows of NR numbers as they are stored, `c` for `rows` rows of NR, and `c` overlaps
/// neither.
pub type PanelFn = unsafe fn(TileArgs);

/// Lines of weights that a tile asks for while it multiplies.
///
/// One tile by itself asks for what it reads soon. Of several, only the first reads what was not read before: all of them together ask
/// for a part of a panel ahead, so that memory is at work all the time.
#[derive(Clone, Copy)]
struct Ahead {
    from: *const u8,
    lines: usize,
    /// Of them in four steps.
    at_once: usize,
}

impl Ahead {
    /// What tile `index` of so many asks for in a packed part of `k` rows of `bytes` from `b` on.
    #[inline(always)]
    fn of(index: usize, tiles: usize, (b, k, bytes): (*const u8, usize, usize)) -> Self {
        let all = (k * bytes).div_ceil(LINE);
        let lines = all.div_ceil(tiles);
        let from = match tiles {
            1 => b.wrapping_add(AHEAD),
            _ => b.wrapping_add(PART * bytes + index * lines * LINE),
        };
        Self { from, lines, at_once: (4 * bytes / LINE).div_ceil(tiles) }
    }

    /// Asks for the lines of four steps.
    #[inline(always)]
    fn ask<V: Lanes>(&mut self) {
        for _ in 0..self.at_once.min(self.lines) {
            V::prefetch(self.from);
            self.from = self.from.wrapping_add(LINE);
            self.lines -= 1;
        }
    }
}

/// `MR` rows; loops over rows are unrolled, so that accumulators are registers. In packed operands the numbers of a column
/// lie side by side, the next column `TILE` after it or, of fewer rows, as far as it is, and the rows of the panel follow each
/// other.
///
/// # Safety
/// As [`PanelFn`], for `MR` rows.
#[inline(always)]
unsafe fn tile<V: Lanes, N: Stored<V>, const MR: usize, const TILE: usize, const PACKED: bool>(
    t: TileArgs,
    mut ahead: Ahead,
) {
    let (a_stride, a_step, b_step) = match PACKED {
        true => (1, if MR == TILE { TILE } else { t.a_stride }, 2 * V::WIDTH * N::BYTES),
        false => (t.a_stride, 1, t.b_stride * N::BYTES),
    };
    // SAFETY: every pointer stays inside what the caller vouches for: rows below MR, k below t.k, two vectors a row.
    unsafe {
        let mut sums = [[V::zero(); 2]; MR];
        if t.resume {
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = t.c.add(row * t.c_stride);
                *sums = [V::load(c), V::load(c.add(V::WIDTH))];
            }
        }
        let (mut a, mut b) = (t.a, t.b);
        // Four steps without a test between them, where operands are packed.
        let fours = if PACKED { t.k / 4 } else { 0 };
        for _ in 0..fours {
            ahead.ask::<V>();
            step::<V, N, MR>(&mut sums, a, a_stride, b);
            step::<V, N, MR>(&mut sums, a.add(a_step), a_stride, b.add(b_step));
            step::<V, N, MR>(&mut sums, a.add(2 * a_step), a_stride, b.add(2 * b_step));
            step::<V, N, MR>(&mut sums, a.add(3 * a_step), a_stride, b.add(3 * b_step));
            (a, b) = (a.wrapping_add(4 * a_step), b.wrapping_add(4 * b_step));
        }
        for _ in 4 * fours..t.k {
            step::<V, N, MR>(&mut sums, a, a_stride, b);
            (a, b) = (a.wrapping_add(a_step), b.wrapping_add(b_step));
        }
        for (row, sums) in sums.iter().enumerate() {
            let c = t.c.add(row * t.c_stride);
            sums[0].store(c);
            sums[1].store(c.add(V::WIDTH));
        }
    }
}

/// One row of a panel times one number of each row of activations.
///
/// # Safety
/// As [`PanelFn`], for `MR` rows and one step.
#[inline(always)]
unsafe fn step<V: Lanes, N: Stored<V>, const MR: usize>(
    sums: &mut [[V; 2]; MR],
    a: *const f32,
    a_stride: usize,
    b: *const u8,
) {
    // SAFETY: the caller's pointers are valid for one number of each row and for two vectors.
    unsafe {
        let [left, right] = N::load(b);
        for (row, sums) in sums.iter_mut().enumerate() {
            let factor = V::splat(*a.add(row * a_stride));
            sums[0] = factor.mul_add(left, sums[0]);
            sums[1] = factor.mul_add(right, sums[1]);
        }
    }
}

/// All rows in tiles of `MR`, and what remains in a smaller one.
///
/// # Safety
/// As [`PanelFn`].
#[inline(always)]
unsafe fn panel<V: Lanes, N: Stored<V>, const MR: usize, const PACKED: bool>(mut t: TileArgs) {
    let tiles = t.rows.div_ceil(MR);
    let mut index = 0;
    let part = (t.b, t.k, 2 * V::WIDTH * N::BYTES);
    // SAFETY: each tile covers rows that the caller vouches for, and no row twice.
    unsafe {
        while t.rows >= MR {
            tile::<V, N, MR, MR, PACKED>(t, Ahead::of(index, tiles, part));
            index += 1;
            t.a = t.a.wrapping_add(if PACKED { MR * t.k } else { MR * t.a_stride });
            t.c = t.c.wrapping_add(MR * t.c_stride);
            t.rows -= MR;
        }
        let ahead = Ahead::of(index, tiles.max(1), part);
        match t.rows {
            1 => tile::<V, N, 1, MR, PACKED>(t, ahead),
            2 => tile::<V, N, 2, MR, PACKED>(t, ahead),
            3 => tile::<V, N, 3, MR, PACKED>(t, ahead),
            4 => tile::<V, N, 4, MR, PACKED>(t, ahead),
            5 => tile::<V, N, 5, MR, PACKED>(t, ahead),
            6 => tile::<V, N, 6, MR, PACKED>(t, ahead),
            7 => tile::<V, N, 7, MR, PACKED>(t, ahead),
            8 => tile::<V, N, 8, MR, PACKED>(t, ahead),
            9 => tile::<V, N, 9, MR, PACKED>(t, ahead),
            10 => tile::<V, N, 10, MR, PACKED>(t, ahead),
            11 => tile::<V, N, 11, MR, PACKED>(t, ahead),
            _ => {}
        }
    }
}

/// Plain Rust.
///
/// # Safety
/// As [`PanelFn`].
pub unsafe fn plain<N: Stored<Plain>, const PACKED: bool>(t: TileArgs) {
    // SAFETY: the caller's contract is that of `panel`.
    unsafe { panel::<Plain, N, 2, PACKED>(t) }
}

/// 6 × 16: twelve accumulators of the sixteen registers.
///
/// # Safety
/// As [`PanelFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn avx2<N: Stored<std::arch::x86_64::__m256>, const PACKED: bool>(t: TileArgs) {
    // SAFETY: the caller's contract is that of `panel`.
    unsafe { panel::<std::arch::x86_64::__m256, N, 6, PACKED>(t) }
}

/// 12 × 32: twenty-four accumulators of the thirty-two registers.
///
/// # Safety
/// As [`PanelFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub unsafe fn avx512<N: Stored<std::arch::x86_64::__m512>, const PACKED: bool>(t: TileArgs) {
    // SAFETY: the caller's contract is that of `panel`.
    unsafe { panel::<std::arch::x86_64::__m512, N, 12, PACKED>(t) }
}

/// 12 × 32 with pairs of bf16 numbers, each in the place of one number of f32: `k` counts pairs. The instruction adds two
/// products in its own order and takes what is below the least normal number as 0, so results are near those of widened
/// numbers, not the same.
///
/// # Safety
/// As [`PanelFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
pub unsafe fn avx512_bf16<const PACKED: bool>(t: TileArgs) {
    // SAFETY: the caller's contract is that of `panel`.
    unsafe { panel::<super::lanes::Bf16Pairs, F32, 12, PACKED>(t) }
}
