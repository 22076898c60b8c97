//! Loops over the blocks of panels.

#![allow(unsafe_code)]

use super::BLOCK;
use super::steps::Step;
use crate::kernels::lanes::Quantised;
use crate::kernels::tile::{AHEAD, LINE, TileArgs};

/// What becomes of the columns of a panel, one after the other. A trait, not a closure: each call must be inlined.
trait Columns<V> {
    /// Takes the next column, as two vectors.
    ///
    /// # Safety
    /// As the implementation says.
    unsafe fn take(&mut self, column: [V; 2]);
}

/// Gives each column of `k`, a multiple of [`BLOCK`], to `columns`.
///
/// # Safety
/// The processor has the instruction set of `V`, `b` is valid for the blocks of `k` columns of two vectors, and `columns` may
/// take `k` of them.
#[inline(always)]
unsafe fn for_columns<V: Quantised, S: Step<V>>(k: usize, mut b: *const u8, columns: &mut impl Columns<V>) {
    let width = 2 * V::WIDTH;
    let step = S::BYTES * width;
    for _ in 0..k / BLOCK {
        // SAFETY: the caller vouches for a whole block: heads of two bytes, then the integers of every step.
        unsafe {
            let mut heads = [[V::zero(); 2]; 2];
            for heads in heads.iter_mut().take(S::HEADS) {
                *heads = [V::load_f16(b.cast()), V::load_f16(b.cast::<u16>().add(V::WIDTH))];
                b = b.wrapping_add(2 * width);
            }
            let heads = S::heads(heads);
            for line in 0..BLOCK / S::COLUMNS * step / LINE {
                V::prefetch(b.wrapping_add(AHEAD + line * LINE));
            }
            for _ in 0..BLOCK / S::COLUMNS {
                let integers = [S::load(b), S::load(b.add(S::BYTES * V::WIDTH))];
                b = b.wrapping_add(step);
                macro_rules! each {
                    ($($at:literal)*) => {$(
                        if $at < S::COLUMNS {
                            columns.take(S::column::<$at>(heads, integers));
                        }
                    )*};
                }
                each!(0 1 2 3 4 5 6 7);
            }
        }
    }
}

/// Sums of `MR` rows of activations, the numbers of a column side by side, the next column `step` after it.
struct Sums<V, const MR: usize> {
    sums: [[V; 2]; MR],
    a: *const f32,
    step: usize,
}

impl<V: Quantised, const MR: usize> Columns<V> for Sums<V, MR> {
    /// # Safety
    /// The processor has the instruction set of `V`, and `a` is valid for `MR` numbers of every column that is taken.
    #[inline(always)]
    unsafe fn take(&mut self, [left, right]: [V; 2]) {
        for (row, sums) in self.sums.iter_mut().enumerate() {
            // SAFETY: as the caller says.
            unsafe {
                let factor = V::splat(*self.a.add(row));
                sums[0] = factor.mul_add(left, sums[0]);
                sums[1] = factor.mul_add(right, sums[1]);
            }
        }
        self.a = self.a.wrapping_add(self.step);
    }
}

/// `MR` rows of packed activations times one panel: as `tile`'s tiles, to the last bit.
///
/// # Safety
/// As [`PanelFn`](crate::kernels::tile::PanelFn) for `MR` rows, of packed operands, with `b` valid for the blocks of `k` columns.
#[inline(always)]
unsafe fn tile<V: Quantised, S: Step<V>, const MR: usize, const TILE: usize>(t: TileArgs) {
    // SAFETY: every pointer stays inside what the caller vouches for: rows below MR, k below t.k, two vectors a row.
    unsafe {
        let mut sums = [[V::zero(); 2]; MR];
        if t.resume {
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = t.c.add(row * t.c_stride);
                *sums = [V::load(c), V::load(c.add(V::WIDTH))];
            }
        }
        let step = if MR == TILE { TILE } else { t.a_stride };
        let mut sums = Sums { sums, a: t.a, step };
        for_columns::<V, S>(t.k, t.b, &mut sums);
        for (row, sums) in sums.sums.iter().enumerate() {
            let c = t.c.add(row * t.c_stride);
            sums[0].store(c);
            sums[1].store(c.add(V::WIDTH));
        }
    }
}

/// All rows in tiles of `MR`, and what remains in a smaller one.
///
/// # Safety
/// As [`tile`], for all rows.
#[inline(always)]
pub(super) unsafe fn panel<V: Quantised, S: Step<V>, const MR: usize>(mut t: TileArgs) {
    // SAFETY: each tile covers rows that the caller vouches for, and no row twice.
    unsafe {
        while t.rows >= MR {
            tile::<V, S, MR, MR>(t);
            t.a = t.a.wrapping_add(MR * t.k);
            t.c = t.c.wrapping_add(MR * t.c_stride);
            t.rows -= MR;
        }
        macro_rules! rest {
            ($($rows:literal)*) => {
                match t.rows {
                    $($rows => tile::<V, S, $rows, MR>(t),)*
                    _ => {}
                }
            };
        }
        rest!(1 2 3 4 5 6 7 8 9 10 11);
    }
}

/// Rows of two vectors, written one after the other.
struct Written(*mut f32);

impl<V: Quantised> Columns<V> for Written {
    /// # Safety
    /// The processor has the instruction set of `V`, and the pointer is valid for two vectors of every column that is taken.
    #[inline(always)]
    unsafe fn take(&mut self, [left, right]: [V; 2]) {
        // SAFETY: as the caller says.
        unsafe {
            left.store(self.0);
            right.store(self.0.add(V::WIDTH));
        }
        self.0 = self.0.wrapping_add(2 * V::WIDTH);
    }
}

/// Writes the numbers of a panel, `[k, NR]`.
///
/// # Safety
/// As [`for_columns`]; `c` is valid for `k` rows of two vectors.
#[inline(always)]
pub(super) unsafe fn widen_panel<V: Quantised, S: Step<V>>(k: usize, b: *const u8, c: *mut f32) {
    // SAFETY: as the caller says.
    unsafe { for_columns::<V, S>(k, b, &mut Written(c)) }
}
