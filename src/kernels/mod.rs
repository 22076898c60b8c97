//! Matrix products behind one seam, [`MatMul`]; the only room with `unsafe` numerics.
//!
//! A linear layer of the model is `y[M, N] = x[M, K] · w[N, K]ᵀ` with row-major f32 and weights as files
//! keep them, `[out_features, in_features]`. Two implementations are checked against each other:
//!
//! * [`Blas`]: OpenBLAS through `ndarray`, with the feature `openblas`. OpenBLAS itself runs one thread; the
//!   work is split over rayon's, because its own threads collapse inside a rayon region.
//! * [`Portable`]: the pure-Rust `matrixmultiply` crate, split the same way. It sums every output element
//!   over K in one fixed order whatever M and N are, so it also serves attention.

#[cfg(feature = "openblas")]
mod blas;
pub mod exp;
mod portable;
mod split;

use ndarray::{ArrayView2, ArrayViewMut2};

#[cfg(feature = "openblas")]
pub use blas::Blas;
pub use portable::{Portable, gemm};

/// A way to multiply activations with the weights of linear layers.
pub trait MatMul: Send + Sync {
    /// The name as `--matmul` takes it and tables print it.
    fn name(&self) -> &'static str;

    /// `y = x · wᵀ` with `x: [tokens, in]`, `w: [out, in]`, `y: [tokens, out]`.
    ///
    /// Every shape must agree; `y` is overwritten.
    fn linear(&self, x: ArrayView2<f32>, w: ArrayView2<f32>, y: ArrayViewMut2<f32>);
}

/// The names that [`by_name`] knows in this build.
pub fn names() -> &'static [&'static str] {
    if cfg!(feature = "openblas") { &["blas", "portable"] } else { &["portable"] }
}

/// The implementation called `name`; `None` if this build has none of that name.
pub fn by_name(name: &str) -> Option<Box<dyn MatMul>> {
    match name {
        #[cfg(feature = "openblas")]
        "blas" => Some(Box::new(Blas::new())),
        "portable" => Some(Box::new(Portable)),
        _ => None,
    }
}

/// The fastest implementation of this build.
pub fn default() -> Box<dyn MatMul> {
    #[cfg(feature = "openblas")]
    return Box::new(Blas::new());
    #[cfg(not(feature = "openblas"))]
    return Box::new(Portable);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Largest error relative to Σ|x·w| that f32 products may show against f64 sums.
    const F32_PRODUCT_TOLERANCE: f64 = 2e-6;

    /// A cheap reproducible stream of numbers in -1..1.
    fn numbers(seed: u32) -> impl FnMut() -> f32 {
        let mut state = seed.wrapping_mul(2654435761).wrapping_add(1);
        move || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        }
    }

    fn check(matmul: &dyn MatMul, m: usize, n: usize, k: usize) {
        let mut next = numbers((m * 31 + n * 7 + k) as u32);
        let x = Array2::from_shape_simple_fn((m, k), &mut next);
        let w = Array2::from_shape_simple_fn((n, k), &mut next);
        let mut y = Array2::from_elem((m, n), f32::NAN);
        matmul.linear(x.view(), w.view(), y.view_mut());
        for i in 0..m {
            for j in 0..n {
                let (mut sum, mut scale) = (0.0f64, 0.0f64);
                for l in 0..k {
                    let product = f64::from(x[[i, l]]) * f64::from(w[[j, l]]);
                    sum += product;
                    scale += product.abs();
                }
                let error = (f64::from(y[[i, j]]) - sum).abs();
                assert!(
                    error <= F32_PRODUCT_TOLERANCE * scale.max(1e-30),
                    "{} {m}x{n}x{k} at [{i},{j}]: {} against {sum}",
                    matmul.name(),
                    y[[i, j]]
                );
            }
        }
    }

    #[test]
    fn every_implementation_agrees_with_f64_sums_at_odd_shapes() {
        for name in names() {
            let matmul = by_name(name).unwrap();
            for (m, n, k) in [(1, 1, 1), (1, 7, 3), (3, 64, 64), (17, 65, 33), (129, 48, 100), (2, 300, 257)]
            {
                check(matmul.as_ref(), m, n, k);
            }
        }
    }

    #[test]
    fn an_empty_batch_is_an_empty_result() {
        for name in names() {
            let (x, w, mut y) = (Array2::zeros((0, 4)), Array2::ones((3, 4)), Array2::zeros((0, 3)));
            by_name(name).unwrap().linear(x.view(), w.view(), y.view_mut());
        }
    }

    #[test]
    fn unknown_names_have_no_implementation() {
        assert!(by_name("cuda").is_none());
    }
}
