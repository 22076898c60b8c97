//! Complete decompositions by LAPACK, in f64.

use ndarray_linalg::{EigValshInto, JobSvd, SVDDCInto, UPLO};

use super::{Difference, SpectrumMethod, Truncated, lapack};
use crate::forms::FormError;

/// All singular values, largest first (`dgesdd`).
pub(super) fn svd_values(difference: &Difference<'_>) -> Result<Vec<f64>, FormError> {
    let (_, s, _) = difference.dense()?.svddc_into(JobSvd::None).map_err(lapack)?;
    Ok(s.to_vec())
}

/// All singular values, largest first, from the eigenvalues of the smaller Gram matrix (`dsyev`).
pub(super) fn gram_values(difference: &Difference<'_>) -> Result<Vec<f64>, FormError> {
    let squares = difference.gram()?.eigvalsh_into(UPLO::Lower).map_err(lapack)?;
    // In ascending order, and a little below 0 where they are 0.
    Ok(squares.iter().rev().map(|square| square.max(0.0).sqrt()).collect())
}

/// The `r` largest singular values with their vectors (`dgesdd`).
pub(super) fn truncated(difference: &Difference<'_>, r: usize) -> Result<Truncated, FormError> {
    let (u, s, vt) = difference.dense()?.svddc_into(JobSvd::Some).map_err(lapack)?;
    let (Some(mut u), Some(mut vt)) = (u, vt) else {
        return Err(lapack("no singular vectors"));
    };
    let r = r.min(s.len());
    let s = s.iter().take(r).copied().collect();
    u = u.slice_move(ndarray::s![.., ..r]);
    vt = vt.slice_move(ndarray::s![..r, ..]);
    Ok(Truncated { u, s, vt, method: SpectrumMethod::Svd })
}
