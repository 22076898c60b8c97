//! Guard against running a difference: reads the norms alone, a few hundred kilobytes, before a model is run.

use super::pass::is_norm;
use super::values::{NORM_LIMIT, median};
use crate::weights::{TensorSource, WeightsError};

/// The median over all norms of their weights' mean magnitude, if it is that of a difference; `None` for a model.
///
/// # Errors
/// As reading and widening the tensors.
pub fn norms_of_a_difference(weights: &dyn TensorSource) -> Result<Option<f64>, WeightsError> {
    let mut magnitudes = Vec::new();
    for info in weights.tensors().iter().filter(|info| is_norm(&info.name, &info.shape)) {
        let values = weights.tensor(&info.name)?.to_f32()?;
        let sum: f64 = values.iter().map(|x| f64::from(x.abs())).sum();
        magnitudes.push(sum / values.len().max(1) as f64);
    }
    Ok(median(magnitudes.into_iter()).filter(|median| *median < NORM_LIMIT))
}
