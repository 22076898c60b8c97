//! Products of tiles: Intel's AMX, whose one instruction multiplies 16 × 32 with 32 × 16 numbers of bf16 and adds them to
//! 16 × 16 sums of f32.
//!
//! A number of f32 is the sum of three numbers of bf16 ([`split`]), products of bf16 are exact in f32, and the tile sums in
//! f32. So activations in three parts times weights in as many parts as their type needs are products of f32 class: three for
//! weights of bf16, five for f16, six for f32. What is left out (parts p and q with p + q > 2)
//! is below the last bit of f32. `--precision bf16` takes one part of each.
//!
//! * [`split`]: numbers into parts, in the order in which tiles read them. [`rows`]: activations in that form.
//! * [`product`]: one panel of columns, all rows; the loop over K is one piece of assembly, since stable Rust has no tile
//!   registers, or the same walk over a tile in plain Rust ([`software`]), with which processors without tiles test
//!   everything around it.
//! * [`few`]: the same products of a few rows by vectors, with the same bits.
//! * [`weight`]: a weight of a linear layer. [`strided`]: the small products of attention.
//! * [`detect`]: whether this processor and this system have tiles.
//!
//! Each sum goes over K in ascending steps of 32, in a step over the parts in one order, so its bits depend on no number of
//! rows, threads or cuts. They are not those of fused multiply-adds.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual, TDPBF16PS; splitting: Henry, Tang, Heinecke, "Leveraging
//! the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations" (2019).

pub(super) mod detect;
mod few;
pub(super) mod product;
mod rows;
mod software;
mod split;
mod strided;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod trap;
pub(super) mod unit;
mod weight;

use product::Parts;
#[cfg(target_arch = "x86_64")]
pub(super) use product::busy;
pub use rows::SplitRows;
pub(super) use strided::{LeftTiles, multiply};
use unit::Unit;
pub(super) use weight::TileWeight;

use super::{Isa, Precision};
use crate::weights::Dtype;

/// Columns of a panel of two tiles, which small products and most weights have.
pub(super) const WIDTH: usize = 32;
/// Rows of a tile.
const ROWS: usize = 16;
/// Numbers of K that one product of tiles takes.
pub(super) const STEP: usize = 32;
/// Numbers of K whose activations lie together: products take such a cut at a time, or a part of one.
const CUT: usize = 256;

/// Four products of tiles for each round, of which nobody reads the sums; returns the number of operations.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn busy(_: u64) -> u64 {
    unreachable!("no processor of this kind has tiles")
}

/// How many products of bf16 numbers an exact product with weights of a type is made of, where it is one of tiles.
pub fn products_of_tiles(weights: Dtype) -> Option<usize> {
    let is_one = super::native::isa_for(Isa::AmxBf16, Precision::Exact, weights).has_tiles();
    is_one.then(|| Parts::exact(weights).products())
}

/// How many products of numbers one of a precision with weights of a type is made of on an instruction set: what the speeds of
/// two types are as on tiles, while vectors are about as fast with all.
pub fn products_of(isa: Isa, precision: Precision, weights: Dtype) -> usize {
    let tiles = products_of_tiles(weights).filter(|_| precision == Precision::Exact && isa.has_tiles());
    tiles.unwrap_or(1)
}
