//! Averages of numbers, summed in their order as Python does, and how far numbers lie apart.

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean of the values that are numbers; NaN where none is. NumPy's `nanmean`, to the last digit.
pub(super) fn nan_mean(values: &[f64]) -> f64 {
    let numbers = values.iter().filter(|value| !value.is_nan()).count();
    let zeros: Vec<f64> = values.iter().map(|value| if value.is_nan() { 0.0 } else { *value }).collect();
    numpy_sum(&zeros) / numbers as f64
}

/// Values that NumPy sums with eight accumulators, before it halves what is to be summed.
const NUMPY_BLOCK: usize = 128;

/// The sum as NumPy has it: pairwise, which keeps the error of rounding small, so that digits differ from those of a sum in
/// order (`pairwise_sum` of `loops_utils.h.src`, NumPy 2).
fn numpy_sum(values: &[f64]) -> f64 {
    if values.len() > NUMPY_BLOCK {
        let half = values.len() / 2;
        let (left, right) = values.split_at(half - half % 8);
        return numpy_sum(left) + numpy_sum(right);
    }
    let (eights, rest) = values.as_chunks::<8>();
    let Some((first, more)) = eights.split_first() else { return rest.iter().sum() };
    let mut sums = *first;
    for own in more {
        sums.iter_mut().zip(own).for_each(|(sum, value)| *sum += value);
    }
    let [a, b, c, d, e, f, g, h] = sums;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
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
