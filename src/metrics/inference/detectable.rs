//! How small a difference could have been found.

use super::NORMAL_975;

/// The quantile of the normal distribution for a power of 80 %.
const POWER: f64 = 0.841_621_233_572_914_3;

/// The true difference that a two-sided test at 5 % finds in 80 % of such samples, (z₀.₉₇₅ + z₀.₈) · `stderr`, where `stderr` is
/// the standard error of the difference: s/√n of the documents' differences, or clustered. Miller 2024
/// (arXiv:2411.00640), section 5, solved for the difference. `None` where both models did the same on every document: a
/// sample without any difference does not tell how much differences vary.
pub fn detectable(stderr: f64) -> Option<f64> {
    (stderr > 0.0).then_some((NORMAL_975 + POWER) * stderr)
}
