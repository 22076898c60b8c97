//! Averages of numbers, summed in their order as Python does, and how far numbers lie apart.

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The value in the middle of one or more, the upper of two.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Σ parts / Σ units.
pub(super) fn ratio(documents: &[(f64, f64)]) -> f64 {
    let (part, units) = documents.iter().fold((0.0, 0.0), |(p, u), (part, own)| (p + part, u + own));
    part / units
}

/// √(Σ(x−μ)²/(n−1)).
pub(super) fn sample_deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
}
