//! The largest singular values of a large matrix from a few products with thin ones.
//!
//! Algorithm 4.4 (randomised subspace iteration) with 5.1 of Halko, Martinsson and Tropp, "Finding structure with
//! randomness", SIAM Review 53 (2011): project on random vectors, sharpen the subspace by multiplying with
//! `Δ Δᵀ` with an orthonormalisation after every product, and decompose what is left. The random vectors are signs
//! from a generator with a fixed seed, so the result is the same on every run.

use ndarray::Array2;
use ndarray_linalg::{JobSvd, QRInto, SVDDCInto};

use super::{Difference, SpectrumMethod, Truncated, lapack};
use crate::forms::FormError;

/// Vectors more than asked for; the last singular values are the least exact.
const OVERSAMPLING: usize = 16;
/// Products with `Δ Δᵀ`. Spectra of full fine-tunings are flat, and need more of them than the usual 1 or 2.
const POWER_ITERATIONS: usize = 4;
/// Any number.
const SEED: u64 = 0x6c6c_616d_615f_7a6f;

/// Whether a matrix of this smaller side has room for the projection.
pub(super) fn fits(side: usize, r: usize) -> bool {
    r.checked_add(OVERSAMPLING).is_some_and(|width| width < side)
}

/// The `r` largest singular values with their vectors; [`fits`] must hold.
pub(super) fn truncated(difference: &Difference<'_>, r: usize) -> Result<Truncated, FormError> {
    let width = r + OVERSAMPLING;
    let mut q = orthonormal(difference.times(signs(difference.columns(), width).view())?)?;
    for _ in 0..POWER_ITERATIONS {
        let z = orthonormal(difference.transposed_times(q.view())?)?;
        q = orthonormal(difference.times(z.view())?)?;
    }
    // Δ ≈ q (Δᵀ q)ᵀ = q (z t)ᵀ with z orthonormal and t small: the singular values of tᵀ are those of Δ.
    let (z, t) = difference.transposed_times(q.view())?.qr_into().map_err(lapack)?;
    let (u, s, vt) = t.reversed_axes().svddc_into(JobSvd::Some).map_err(lapack)?;
    let (Some(u), Some(vt)) = (u, vt) else {
        return Err(lapack("no singular vectors"));
    };
    let u = q.dot(&u.slice(ndarray::s![.., ..r]));
    let vt = vt.slice(ndarray::s![..r, ..]).dot(&z.t());
    Ok(Truncated { u, s: s.iter().take(r).copied().collect(), vt, method: SpectrumMethod::Randomized })
}

/// An orthonormal basis of the columns.
fn orthonormal(columns: Array2<f64>) -> Result<Array2<f64>, FormError> {
    Ok(columns.qr_into().map_err(lapack)?.0)
}

/// Random signs, `[rows, columns]`: the bits of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn signs(rows: usize, columns: usize) -> Array2<f64> {
    let mut state = SEED;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        if (z ^ (z >> 31)) & 1 == 0 { 1.0 } else { -1.0 }
    };
    Array2::from_shape_simple_fn((rows, columns), &mut next)
}
