//! ggml's blocks of 32 weights in the order in which tiles read them, and products with them as they are.
//!
//! A block of a panel is the same block of all its rows: their scales, side by side as f16, their minima if there are any, and
//! then bytes of one column after the other, those of neighbours in a column side by side; of nibbles, eight columns at a time,
//! those of a row together. Not a byte more than in the file. A step widens integers in registers to the numbers of ggml's
//! `dequantize_row_*` (a scale of Q4_0 without end gives none), so products have the bits of products with widened weights. For a
//! few rows of activations, as in decoding, that is what lets a weight of four bits come from memory four times as fast as one of
//! sixteen.
//!
//! Arithmetic is what limits nibbles. 16 + n takes no conversion, only the nibble's bits; then `scale · (16 + n) + (minimum − 16 ·
//! scale)`, rounded once, is `scale · n + minimum` rounded once, if the difference is exact. It is for any weights that a
//! quantiser makes, and asked of each matrix.

#![allow(unsafe_code)]

use half::f16;

use super::Isa;
use super::lanes::{ABOVE, Plain};
use super::tile::TileArgs;
use crate::weights::Dtype;

mod products;
mod steps;

use products::{panel, widen_panel};
use steps::{Bytes, Eight, Q4_0, Q4_1, Q4_1Apart};

/// Weights of a block.
pub(super) const BLOCK: usize = 32;

/// How a type's integers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quants {
    Q8_0,
    Q4_0,
    Q4_1,
    /// Q4_1 with a minimum that is far smaller than its scale, or no number.
    Q4_1Apart,
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

    /// How the blocks of a matrix are best multiplied.
    pub(super) fn of_blocks(self, blocks: &[u8]) -> Self {
        let is_near = |block: &[u8]| {
            let number = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f64();
            let base = number(2) - f64::from(ABOVE) * number(0);
            base.is_finite() && f64::from(base as f32) == base
        };
        match self {
            Self::Q4_1 if !blocks.chunks_exact(2 * 2 + BLOCK / 2).all(is_near) => Self::Q4_1Apart,
            other => other,
        }
    }

    /// Numbers of f16 that stand before the integers.
    const fn heads(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 => 1,
            Self::Q4_1 | Self::Q4_1Apart => 2,
        }
    }

    /// Puts one block of a row into its `lane` of a block of `width` rows.
    pub(super) fn place(self, block: &[u8], lane: usize, width: usize, out: &mut [u8]) {
        let heads = self.heads();
        let (head, integers) = block.split_at(2 * heads);
        for (number, head) in head.as_chunks::<2>().0.iter().enumerate() {
            out[2 * (number * width + lane)..][..2].copy_from_slice(head);
        }
        let out = &mut out[2 * heads * width..];
        match self {
            Self::Q8_0 => {
                let places = out.iter_mut().skip(lane).step_by(width);
                places.zip(integers).for_each(|(out, &integer)| *out = integer);
            }
            Self::Q4_0 | Self::Q4_1 | Self::Q4_1Apart => {
                // The low nibbles are columns 0–15 of the block, the high ones 16–31.
                let nibble = |column: usize| (integers[column % 16] >> (column / 16 * 4)) & 15;
                let places = out.as_chunks_mut::<4>().0.iter_mut().skip(lane).step_by(width);
                for (group, out) in places.enumerate() {
                    for (pair, out) in out.iter_mut().enumerate() {
                        let column = 8 * group + 2 * pair;
                        *out = nibble(column) | nibble(column + 1) << 4;
                    }
                }
            }
        }
    }
}

macro_rules! on_instruction_set {
    ($name:ident, $vector:ty, $rows:literal, $(#[$attribute:meta])*) => {
        pub(super) mod $name {
            use super::*;

            macro_rules! of {
                ($quants:expr, $step:ident => $work:expr) => {
                    match $quants {
                        Quants::Q8_0 => {
                            type $step = Bytes;
                            $work
                        }
                        Quants::Q4_0 => {
                            type $step = Eight<Q4_0>;
                            $work
                        }
                        Quants::Q4_1 => {
                            type $step = Eight<Q4_1>;
                            $work
                        }
                        Quants::Q4_1Apart => {
                            type $step = Eight<Q4_1Apart>;
                            $work
                        }
                    }
                };
            }

            /// Products of some rows with a panel.
            ///
            /// # Safety
            /// The processor has the instruction set; as `panel` says.
            $(#[$attribute])*
            pub(in crate::kernels) unsafe fn multiply(quants: Quants, t: TileArgs) {
                // SAFETY: as the caller says.
                unsafe { of!(quants, Kind => panel::<$vector, Kind, $rows>(t)) }
            }

            /// The numbers of a panel.
            ///
            /// # Safety
            /// The processor has the instruction set; as `widen_panel` says.
            $(#[$attribute])*
            pub(in crate::kernels) unsafe fn widen(quants: Quants, k: usize, b: *const u8, c: *mut f32) {
                // SAFETY: as the caller says.
                unsafe { of!(quants, Kind => widen_panel::<$vector, Kind>(k, b, c)) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minima_that_a_difference_would_round_are_kept_apart() {
        let block = |scale: f32, minimum: f32| {
            let heads = [scale, minimum].map(f16::from_f32).into_iter().flat_map(f16::to_le_bytes);
            heads.chain([0x5a; BLOCK / 2]).collect::<Vec<u8>>()
        };
        let near = [(0.01, -0.07), (0.5, 0.0), (0.0, 0.3), (-0.02, 0.15), (6e-8, -4e-7), (1.0, -0.01)];
        let apart = [(1.0, 1e-5), (0.5, 6e-8), (f32::INFINITY, 1.0), (1.0, f32::NAN)];
        let all: Vec<u8> = near.iter().flat_map(|&(scale, minimum)| block(scale, minimum)).collect();
        assert_eq!(Quants::Q4_1.of_blocks(&all), Quants::Q4_1);
        for (scale, minimum) in apart {
            let blocks = [all.clone(), block(scale, minimum)].concat();
            assert_eq!(Quants::Q4_1.of_blocks(&blocks), Quants::Q4_1Apart, "{scale} {minimum}");
            assert_eq!(Quants::Q4_0.of_blocks(&blocks), Quants::Q4_0);
        }
    }
}
