//! ggml's blocks of 32 weights in the order in which tiles read them, and products with them as they are.
//!
//! A block of a panel is the same block of all its rows: their scales, side by side as f16, their minima if there are any, and
//! the integers of one column after the other, those of neighbours in a column side by side. Not a byte more than in the file. A
//! step widens integers in registers as ggml's `dequantize_row_*` do, `integer · scale (+ minimum)` with each operation rounded,
//! so products have the bits of products with widened weights. For a few rows of activations, as in decoding, that is what lets
//! a weight of four bits come from memory four times as fast as one of sixteen.

#![allow(unsafe_code)]

use super::Isa;
use super::lanes::{Plain, Quantised};
use super::tile::{AHEAD, LINE, TileArgs};
use crate::weights::Dtype;

/// Weights of a block.
pub(super) const BLOCK: usize = 32;

/// How a type's integers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quants {
    Q8_0,
    Q4_0,
    Q4_1,
}

impl Quants {
    /// `None` for types that are stored in another way.
    pub(super) const fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::Q8_0 => Some(Self::Q8_0),
            Dtype::Q4_0 => Some(Self::Q4_0),
            Dtype::Q4_1 => Some(Self::Q4_1),
            _ => None,
        }
    }

    /// Numbers of f16 that stand before the integers.
    const fn heads(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 => 1,
            Self::Q4_1 => 2,
        }
    }

    /// Puts one block of a row into its `lane` of a block of `width` rows.
    pub(super) fn place(self, block: &[u8], lane: usize, width: usize, out: &mut [u8]) {
        let heads = self.heads();
        let (head, integers) = block.split_at(2 * heads);
        for (number, head) in head.as_chunks::<2>().0.iter().enumerate() {
            out[2 * (number * width + lane)..][..2].copy_from_slice(head);
        }
        let lanes = out[2 * heads * width..].iter_mut().skip(lane).step_by(width);
        match self {
            Self::Q8_0 => lanes.zip(integers).for_each(|(out, &integer)| *out = integer),
            Self::Q4_0 | Self::Q4_1 => {
                // The low nibbles are columns 0–15 of the block, the high ones 16–31.
                let nibble = |column: usize| (integers[column % 16] >> (column / 16 * 4)) & 15;
                lanes.enumerate().for_each(|(at, out)| *out = nibble(2 * at) | nibble(2 * at + 1) << 4);
            }
        }
    }
}

/// The columns that one step over the integers of a block gives: each the two vectors of a row of the panel.
trait Step<V: Quantised> {
    const HEADS: usize;
    /// Columns, at most two.
    const COLUMNS: usize;

    /// # Safety
    /// The processor has the instruction set of `V`; `from` is valid for two vectors of integers as they are stored.
    unsafe fn widen(heads: [[V; 2]; 2], from: *const u8) -> [[V; 2]; 2];
}

struct Q8_0;
struct Q4_0;
struct Q4_1;

impl<V: Quantised> Step<V> for Q8_0 {
    const HEADS: usize = 1;
    const COLUMNS: usize = 1;

    #[inline(always)]
    unsafe fn widen([[left, right], _]: [[V; 2]; 2], from: *const u8) -> [[V; 2]; 2] {
        // SAFETY: as the caller says.
        unsafe {
            let column = [V::load_i8(from).mul(left), V::load_i8(from.add(V::WIDTH)).mul(right)];
            [column; 2]
        }
    }
}

impl<V: Quantised> Step<V> for Q4_0 {
    const HEADS: usize = 1;
    const COLUMNS: usize = 2;

    #[inline(always)]
    unsafe fn widen([[left, right], _]: [[V; 2]; 2], from: *const u8) -> [[V; 2]; 2] {
        // SAFETY: as the caller says.
        unsafe {
            let [a, b] = V::load_nibbles::<-8>(from);
            let [c, d] = V::load_nibbles::<-8>(from.add(V::WIDTH));
            [[a.mul(left), c.mul(right)], [b.mul(left), d.mul(right)]]
        }
    }
}

impl<V: Quantised> Step<V> for Q4_1 {
    const HEADS: usize = 2;
    const COLUMNS: usize = 2;

    #[inline(always)]
    unsafe fn widen([[left, right], [low, high]]: [[V; 2]; 2], from: *const u8) -> [[V; 2]; 2] {
        // SAFETY: as the caller says.
        unsafe {
            let [a, b] = V::load_nibbles::<0>(from);
            let [c, d] = V::load_nibbles::<0>(from.add(V::WIDTH));
            let left = [a.mul(left).add(low), b.mul(left).add(low)];
            let right = [c.mul(right).add(high), d.mul(right).add(high)];
            [[left[0], right[0]], [left[1], right[1]]]
        }
    }
}

/// Calls `visit` with each column of `k`, a multiple of [`BLOCK`], as two vectors.
///
/// # Safety
/// The processor has the instruction set of `V`, and `b` is valid for the blocks of `k` columns of two vectors.
#[inline(always)]
unsafe fn for_columns<V: Quantised, S: Step<V>>(k: usize, mut b: *const u8, mut visit: impl FnMut([V; 2])) {
    let width = 2 * V::WIDTH;
    for _ in 0..k / BLOCK {
        // SAFETY: the caller vouches for a whole block: heads of two bytes, then the integers of every step.
        unsafe {
            let mut heads = [[V::zero(); 2]; 2];
            for heads in heads.iter_mut().take(S::HEADS) {
                *heads = [V::load_f16(b.cast()), V::load_f16(b.cast::<u16>().add(V::WIDTH))];
                b = b.wrapping_add(2 * width);
            }
            for line in 0..BLOCK / S::COLUMNS * width / LINE {
                V::prefetch(b.wrapping_add(AHEAD + line * LINE));
            }
            for _ in 0..BLOCK / S::COLUMNS {
                for column in S::widen(heads, b).into_iter().take(S::COLUMNS) {
                    visit(column);
                }
                b = b.wrapping_add(width);
            }
        }
    }
}

/// `MR` rows of packed activations times one panel: as `tile`'s tiles, to the last bit.
///
/// # Safety
/// As [`PanelFn`](super::tile::PanelFn) for `MR` rows, of packed operands, with `b` valid for the blocks of `k` columns.
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
        let mut a = t.a;
        for_columns::<V, S>(t.k, t.b, |[left, right]| {
            for (row, sums) in sums.iter_mut().enumerate() {
                let factor = V::splat(*a.add(row));
                sums[0] = factor.mul_add(left, sums[0]);
                sums[1] = factor.mul_add(right, sums[1]);
            }
            a = a.wrapping_add(if MR == TILE { TILE } else { t.a_stride });
        });
        for (row, sums) in sums.iter().enumerate() {
            let c = t.c.add(row * t.c_stride);
            sums[0].store(c);
            sums[1].store(c.add(V::WIDTH));
        }
    }
}

/// All rows in tiles of `MR`, and what remains in one of a power of two, as often as it takes.
///
/// # Safety
/// As [`tile`], for all rows.
#[inline(always)]
unsafe fn panel<V: Quantised, S: Step<V>, const MR: usize>(mut t: TileArgs) {
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

/// Writes the numbers of a panel, `[k, NR]`.
///
/// # Safety
/// As [`for_columns`]; `c` is valid for `k` rows of two vectors.
#[inline(always)]
unsafe fn widen_panel<V: Quantised, S: Step<V>>(k: usize, b: *const u8, mut c: *mut f32) {
    // SAFETY: as the caller says.
    unsafe {
        for_columns::<V, S>(k, b, |[left, right]| {
            left.store(c);
            right.store(c.add(V::WIDTH));
            c = c.wrapping_add(2 * V::WIDTH);
        });
    }
}

macro_rules! on_instruction_set {
    ($name:ident, $vector:ty, $rows:literal, $(#[$attribute:meta])*) => {
        pub(super) mod $name {
            use super::*;

            /// Products of some rows with a panel.
            ///
            /// # Safety
            /// The processor has the instruction set; as `panel` says.
            $(#[$attribute])*
            pub(in crate::kernels) unsafe fn multiply(quants: Quants, t: TileArgs) {
                // SAFETY: as the caller says.
                unsafe {
                    match quants {
                        Quants::Q8_0 => panel::<$vector, Q8_0, $rows>(t),
                        Quants::Q4_0 => panel::<$vector, Q4_0, $rows>(t),
                        Quants::Q4_1 => panel::<$vector, Q4_1, $rows>(t),
                    }
                }
            }

            /// The numbers of a panel.
            ///
            /// # Safety
            /// The processor has the instruction set; as `widen_panel` says.
            $(#[$attribute])*
            pub(in crate::kernels) unsafe fn widen(quants: Quants, k: usize, b: *const u8, c: *mut f32) {
                // SAFETY: as the caller says.
                unsafe {
                    match quants {
                        Quants::Q8_0 => widen_panel::<$vector, Q8_0>(k, b, c),
                        Quants::Q4_0 => widen_panel::<$vector, Q4_0>(k, b, c),
                        Quants::Q4_1 => widen_panel::<$vector, Q4_1>(k, b, c),
                    }
                }
            }
        }
    };
}

on_instruction_set!(plain, Plain, 2,);
#[cfg(target_arch = "x86_64")]
on_instruction_set!(avx2, std::arch::x86_64::__m256, 6, #[target_feature(enable = "avx2,fma,f16c")]);
#[cfg(target_arch = "x86_64")]
on_instruction_set!(avx512, std::arch::x86_64::__m512, 12, #[target_feature(enable = "avx512f")]);

/// Multiplies rows with a panel of blocks.
///
/// # Safety
/// The processor has the instruction set; the rest as for [`PanelFn`](super::tile::PanelFn) of packed operands, with `b` valid for
/// the blocks of `k` columns, a multiple of [`BLOCK`].
pub(super) unsafe fn multiply(isa: Isa, quants: Quants, t: TileArgs) {
    // SAFETY: as the caller says.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::multiply(quants, t),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => avx512::multiply(quants, t),
            _ => plain::multiply(quants, t),
        }
    }
}

/// Widens `k` columns of a panel of blocks at `b` into `c`, `[k, NR]`.
///
/// # Safety
/// The processor has the instruction set; `b` is valid for the blocks of `k` columns, a multiple of [`BLOCK`], `c` for `k` rows of
/// a panel.
pub(super) unsafe fn widen(isa: Isa, quants: Quants, k: usize, b: *const u8, c: *mut f32) {
    // SAFETY: as the caller says.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::widen(quants, k, b, c),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => avx512::widen(quants, k, b, c),
            _ => plain::widen(quants, k, b, c),
        }
    }
}
