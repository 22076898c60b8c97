//! Stand-ins for the factorisations in a build without LAPACK.

use super::{Difference, Spectrum, SpectrumOptions, Truncated, without_lapack};
use crate::forms::FormError;

/// Always [`FormError::Refused`], with how to get a build that can.
pub fn spectrum(_: &Difference<'_>, _: f64, _: &SpectrumOptions) -> Result<Spectrum, FormError> {
    Err(without_lapack().into())
}

/// Always [`FormError::Refused`], with how to get a build that can.
pub fn truncated(_: &Difference<'_>, _: usize) -> Result<Truncated, FormError> {
    Err(without_lapack().into())
}
