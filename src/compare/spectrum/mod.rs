//! Effect of fine-tuning on one matrix, seen through singular values.
//!
//! The matrix is never the model's own but the difference `Δ = tuned − base`. If few singular values hold most of
//! `‖Δ‖²`, the change was of low rank: a LoRA, or something that a LoRA can replace. [`Difference`] computes blocks of the
//! difference when they are needed, so that not even one difference has to be in memory. LAPACK does the
//! factorisations and comes with the feature `openblas`; without it they are refused in a sentence.

mod difference;
#[cfg(feature = "openblas")]
mod exact;
#[cfg(feature = "openblas")]
mod factor;
#[cfg(not(feature = "openblas"))]
mod missing;
#[cfg(feature = "openblas")]
mod randomized;
#[cfg(test)]
pub(crate) mod testing;
mod values;

pub use difference::Difference;
#[cfg(feature = "openblas")]
pub use factor::{spectrum, truncated};
#[cfg(not(feature = "openblas"))]
pub use missing::{spectrum, truncated};
pub use values::Spectrum;

use ndarray::Array2;

use crate::base::fault::Refusal;

/// Whether this build has LAPACK, and with it spectra.
pub const AVAILABLE: bool = cfg!(feature = "openblas");

/// The largest smaller side that [`SpectrumMethod::Auto`] decomposes completely. At 768 × 768 that takes a fraction of a
/// second; the time grows with the cube.
pub const EXACT_SIDE: usize = 768;

#[cfg(feature = "openblas")]
/// An error of LAPACK as a refusal.
fn lapack(error: impl std::fmt::Display) -> crate::forms::FormError {
    let advice = "check both models for damaged values with `zoo verify`";
    Refusal::new("singular values", "an answer of LAPACK", error.to_string(), advice).into()
}

/// How singular values are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpectrumMethod {
    /// [`SpectrumMethod::Svd`] if the smaller side is at most [`EXACT_SIDE`], else [`SpectrumMethod::Randomized`].
    Auto,
    /// All of them, by LAPACK's divide and conquer (`dgesdd`) in f64. The whole difference is in memory.
    Svd,
    /// All of them, as square roots of the eigenvalues of the smaller Gram matrix (`dsyev`) in f64. Values below
    /// `1e-8` of the largest drown in rounding. The Gram matrix is in memory: 128 MiB for a side of 4096.
    Gram,
    /// The largest only, by a random projection with power iterations, and the exact sum of all squares.
    Randomized,
}

impl SpectrumMethod {
    /// Its name in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Svd => "svd",
            Self::Gram => "gram",
            Self::Randomized => "randomized",
        }
    }
}

/// What is asked of [`spectrum`].
#[derive(Debug, Clone, Copy)]
pub struct SpectrumOptions {
    /// How singular values are found: exactly, or at random with bounds.
    pub method: SpectrumMethod,
    /// How many singular values are needed; the complete methods give all.
    pub rank: usize,
}

impl Default for SpectrumOptions {
    fn default() -> Self {
        Self { method: SpectrumMethod::Auto, rank: 64 }
    }
}

/// The best approximation of a matrix by one of rank `r`: `u · diag(s) · vt`.
#[derive(Debug, Clone)]
pub struct Truncated {
    /// Left singular vectors, `[rows, r]`.
    pub u: Array2<f64>,
    /// Singular values, largest first.
    pub s: Vec<f64>,
    /// Right singular vectors, `[r, columns]`.
    pub vt: Array2<f64>,
    /// How they were found; never [`SpectrumMethod::Auto`].
    pub method: SpectrumMethod,
}

/// The error of a build without LAPACK.
pub fn without_lapack() -> Box<Refusal> {
    Refusal::new(
        "singular values",
        "a zoo with LAPACK",
        "one that was built without the feature openblas",
        "build it with the default features (Debian: apt-get install libopenblas-dev pkg-config)",
    )
}
