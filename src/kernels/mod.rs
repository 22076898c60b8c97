//! Matrix products and the loops around them; the only room with `unsafe` numerics.
//!
//! A linear layer of the model is `y[M, N] = x[M, K] · w[N, K]ᵀ`. How it is multiplied stands behind two seams: a
//! [`MatMul`] brings a [`StoredMatrix`], a weight as its file holds it, into the form that it multiplies with, and that form is
//! a [`Weight`], which computes one block of an output on one thread. [`multiply`] and [`for_blocks`] cut whole products into
//! blocks for all threads. Implementations, checked against each other:
//!
//! * [`Native`]: our own panels and tiles on the widest instruction set of the processor ([`Isa`]), in a [`Precision`]. Every
//!   output is summed over K in one fixed order whatever the shapes and the number of threads.
//! * the same on plain Rust, called `portable`, for any processor and as the slow path of tests.
//! * the same by products of tiles of bf16 numbers (`amx`), where the processor has them: `native` there, whose results are called those of `tiles`.
//! * [`Blas`]: OpenBLAS through `ndarray`, with the feature `openblas`. OpenBLAS itself runs one thread, because its own
//!   threads collapse inside a rayon region.

mod aligned;
mod amx;
mod awake;
#[cfg(feature = "openblas")]
mod blas;
mod block_panels;
pub mod exp;
mod gemm;
mod int8;
mod int8_tile;
mod isa;
mod lanes;
mod layout;
mod left;
mod multiply;
mod native;
mod order;
mod output;
mod pages;
mod pairs;
mod panels;
pub mod peaks;
mod quants;
mod rows;
mod self_test;
mod small;
mod softmax;
mod stored;
mod tile;
mod tiled;
mod wide;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use ndarray::{ArrayView2, ArrayViewMut2, CowArray, Ix2};
use serde::{Deserialize, Serialize};

pub use aligned::Aligned;
pub use amx::detect::has_tiles;
pub use amx::{SplitRows, products_of, products_of_tiles};
pub use awake::awake;
#[cfg(feature = "openblas")]
pub use blas::Blas;
pub use gemm::gemm;
pub use int8::Int8Rows;
pub use isa::Isa;
pub use layout::{MatrixLayout, Right};
pub use left::Left;
pub use multiply::{Product, ROW_UNIT, VisitBlocks, for_blocks, multiply, multiply_all};
pub use native::Native;
pub use pages::PagePool;
pub use pairs::{multiplies_pairs, pair_columns, pair_rows};
pub use rows::{LogitSummary, rms_norm, rotate, summarize};
pub use self_test::{Chosen, chosen};
pub use small::{column_step, multiply_small, prefetch};
pub use softmax::{RunningSoftmax, ScoreBlock, take_block};
pub use stored::StoredMatrix;
pub use tiled::Tiled;

use crate::base::names::name_of;
use crate::weights::Dtype;

/// A way to multiply activations with the weights of linear layers.
pub trait MatMul: Send + Sync {
    /// The name as `--matmul` takes it and tables print it.
    fn name(&self) -> &'static str;

    /// What it multiplies.
    fn precision(&self) -> Precision;

    /// Brings a weight into the form that it multiplies with, on all threads.
    fn prepare(&self, matrix: &StoredMatrix<'_>) -> Box<dyn Weight>;

    /// Bytes of a number of activations in the form that products take.
    fn bytes_of_activation(&self) -> usize {
        size_of::<f32>()
    }

    /// [`Weight::bytes`] of a weight of this type and shape, without making it; `None` for more than can be counted, and for
    /// rows that are no whole blocks.
    fn prepared_bytes(&self, dtype: Dtype, rows: usize, columns: usize) -> Option<u64>;
}

/// A weight `[out, in]` in the form that an implementation multiplies with.
pub trait Weight: Send + Sync {
    /// Numbers that a product gives for each row of activations.
    fn rows(&self) -> usize;

    /// Numbers of a row of activations.
    fn columns(&self) -> usize;

    /// What it takes in memory.
    fn bytes(&self) -> usize;

    /// Blocks of output columns begin at multiples of it.
    fn column_unit(&self) -> usize;

    /// Blocks of output rows begin at multiples of it: of the rows of every tile. The same for all weights of a [form](Self::form).
    fn row_unit(&self) -> usize {
        ROW_UNIT
    }

    /// Rows of a block, at most, that make good use of what a block brings near; whole [units](Self::row_unit).
    fn rows_of_block(&self) -> usize {
        multiply::ROWS
    }

    /// The form of [`activations`](Self::activations), which all weights of that form take.
    fn form(&self) -> ActivationForm;

    /// Activations `[tokens, in]` as products with this weight take them.
    fn activations<'a>(&self, x: ArrayView2<'a, f32>) -> Activations<'a>;

    /// One block of `x · wᵀ` on the calling thread, `y: [rows, columns]`.
    ///
    /// # Panics
    /// If the shapes do not agree, `rows` begins at no multiple of [`row_unit`](Self::row_unit), `columns` at none of
    /// [`column_unit`](Self::column_unit), or `x` was made by a weight of another kind.
    fn block(
        &self,
        x: &Activations<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        store: Store,
        y: ArrayViewMut2<f32>,
    );
}

/// Activations in the form that a kind of weights takes.
#[derive(Debug)]
pub enum Activations<'a> {
    /// As they are.
    Rows(CowArray<'a, f32, Ix2>),
    /// In the order of our own tiles.
    Tiled(Tiled<f32>),
    /// Bits of bf16 numbers in tiles, in pairs.
    Bf16Pairs(Tiled<u16>),
    /// Integers in blocks, with scales.
    Int8(Int8Rows),
    /// Numbers of bf16 whose sums are the activations, in tiles.
    Split(SplitRows),
}

/// The forms of [`Activations`] of one precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivationForm {
    /// [`Activations::Rows`].
    Rows,
    /// [`Activations::Tiled`].
    Tiled,
    /// [`Activations::Bf16Pairs`].
    Bf16Pairs,
    /// [`Activations::Int8`].
    Int8,
    /// [`Activations::Split`].
    Split,
}

/// What happens to the numbers that an output held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// They are replaced.
    Overwrite,
    /// The product, completely summed, is added to them.
    Add,
}

/// What is multiplied. Sums are f32 in all of them, but for the exact integers inside a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Weights as they are stored, activations f32.
    #[default]
    Exact,
    /// Both rounded to bf16.
    Bf16,
    /// Both as 8-bit integers in blocks of 32 with a scale, as in Q8_0.
    Int8,
}

impl Precision {
    /// All, the most exact first.
    pub const ALL: [Precision; 3] = [Precision::Exact, Precision::Bf16, Precision::Int8];

    /// The name as `--precision` takes it and tables print it.
    pub fn name(self) -> &'static str {
        name_of(&self)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Precision::ALL.into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| format!("expected exact, bf16 or int8, found {text}"))
    }
}

/// The names that [`by_name`] knows in this build.
pub fn names() -> &'static [&'static str] {
    if cfg!(feature = "openblas") { &["native", "blas", "portable"] } else { &["native", "portable"] }
}

/// The implementation called `name` in a precision; `None` if this build has none of that name, or not in that precision.
pub fn by_name(name: &str, precision: Precision) -> Option<Box<dyn MatMul>> {
    match name {
        "native" => Some(Box::new(Native::new(precision))),
        "portable" => Some(Box::new(Native::with_isa(Isa::Plain, precision)?)),
        // What `native` is called where it has tiles: attention makes its products of them then, too.
        "tiles" if Isa::best().has_tiles() => Some(Box::new(Native::new(precision))),
        #[cfg(feature = "openblas")]
        "blas" if precision == Precision::Exact => Some(Box::new(Blas::new())),
        _ => None,
    }
}

/// What the implementation that is asked for by a name is called in results: `native` is `tiles` where it makes products of
/// them, and `portable` where it has nothing but plain Rust.
pub fn name_here(name: &str) -> &str {
    if name == "native" { default().name() } else { name }
}

/// What results of an implementation are called in records, so that those with other last bits have other names: the
/// implementation, and behind a `+` what the rest is made of where it is not what the name stands for.
///
/// Attention and loops take the instruction set of [`Isa::best`] whatever the implementation of linear layers is, and in less than
/// exact precision pairs of bf16 numbers where it has products of them.
pub fn name_of_bits(name: &str, precision: Precision) -> String {
    bits_of(name_here(name), precision, Isa::best())
}

fn bits_of(name: &str, precision: Precision, best: Isa) -> String {
    let in_pairs = precision != Precision::Exact && best.has_bf16_products();
    let rest = match (name, best) {
        // Everything is of tiles, or everything of plain Rust.
        ("tiles", _) | ("portable", Isa::Plain) => None,
        (_, Isa::Plain) => Some("plain"),
        (_, best) if best.has_tiles() => Some("tiles"),
        _ if in_pairs => Some("pairs"),
        ("portable", _) => Some("fused"),
        _ => None,
    };
    rest.map_or_else(|| name.to_owned(), |rest| format!("{name}+{rest}"))
}

/// Whether results of that [name](name_of_bits) have the same bits whatever is computed together and on how many threads.
pub fn is_invariant(name_of_bits: &str) -> bool {
    let name = name_of_bits.split(['+', ',']).next();
    matches!(name, Some("native" | "portable" | "tiles"))
}

/// The fastest implementation of exact products.
pub fn default() -> Box<dyn MatMul> {
    Box::new(Native::new(Precision::Exact))
}

#[cfg(test)]
mod tests;
