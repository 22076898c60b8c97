//! Loops over single rows of activations.

use super::exp::exp;
use super::wide::on_widest;

/// Lanes of sums; they depend on the index alone.
const LANES: usize = 16;

on_widest! {
    /// `out = weight * x / sqrt(mean(x²) + eps)`; three rows of one length.
    pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        let mut sums = [0.0f32; LANES];
        let chunks = x.chunks_exact(LANES);
        let rest: f32 = chunks.remainder().iter().map(|x| x * x).sum();
        for chunk in chunks {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *sum += x * x;
            }
        }
        let mean_square = (sums.iter().sum::<f32>() + rest) / x.len() as f32;
        let scale = 1.0 / (mean_square + eps).sqrt();
        assert!(x.len() == weight.len() && x.len() == out.len(), "rows of one length");
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = weight * (x * scale);
        }
    }
}

on_widest! {
    /// Turns the pairs `(low[i], high[i])` by the angles with these cosines and sines.
    pub fn rotate(low: &mut [f32], high: &mut [f32], cosines: &[f32], sines: &[f32]) {
        assert!([high.len(), cosines.len(), sines.len()] == [low.len(); 3], "an angle for every pair");
        for (((a, b), cos), sin) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}

/// What is needed of some logits to score any of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitSummary {
    /// The highest number of the row.
    pub highest: f32,
    /// Where it first is.
    pub argmax: usize,
    /// Σ e^(logit − highest); not a number if one of them is none.
    pub sum: f32,
}

on_widest! {
    /// Sums up logits.
    pub fn summarize(logits: &[f32]) -> LogitSummary {
        let chunks = logits.chunks_exact(LANES);
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in chunks.clone() {
            for (lane, &logit) in lanes.iter_mut().zip(chunk) {
                *lane = if logit > *lane { logit } else { *lane };
            }
        }
        let higher = |a: f32, b: &f32| if *b > a { *b } else { a };
        let rest = chunks.remainder();
        let highest = rest.iter().fold(lanes.iter().fold(f32::NEG_INFINITY, higher), higher);
        let argmax = logits.iter().position(|&logit| logit == highest).unwrap_or(0);
        let mut sums = [0.0f32; LANES];
        for chunk in chunks {
            for (sum, &logit) in sums.iter_mut().zip(chunk) {
                *sum += exp::<FUSED>(logit - highest);
            }
        }
        let sum = sums.iter().sum::<f32>() + rest.iter().map(|&logit| exp::<FUSED>(logit - highest)).sum::<f32>();
        LogitSummary { highest, argmax, sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_scaled_to_unit_mean_square() {
        for length in [1, 2, 16, 33] {
            let x: Vec<f32> = (0..length).map(|i| i as f32 - 3.0).collect();
            let weight: Vec<f32> = (0..length).map(|i| 1.0 + i as f32 / 8.0).collect();
            let mut out = vec![f32::NAN; length];
            rms_norm(&x, &weight, 1e-5, &mut out);
            let mean = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / length as f64;
            for ((found, x), weight) in out.iter().zip(&x).zip(&weight) {
                let expected = f64::from(*weight) * f64::from(*x) / (mean + 1e-5).sqrt();
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-6 * expected.abs().max(1.0),
                    "{found} {expected}"
                );
            }
        }
    }

    #[test]
    fn logits_are_summed_up() {
        let logits: Vec<f32> = (0..40).map(|i| ((i * 17) % 40) as f32 * 0.1).collect();
        let summary = summarize(&logits);
        let exact: f64 = logits.iter().map(|&x| f64::from(x - summary.highest).exp()).sum();
        assert!((summary.highest - 3.9).abs() < 1e-6 && logits[summary.argmax] == summary.highest);
        assert!((f64::from(summary.sum) - exact).abs() < 1e-5);
        assert!(summarize(&[1.0, f32::NAN]).sum.is_nan());
    }
}
