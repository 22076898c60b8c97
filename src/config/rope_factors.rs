//! LLaMA 3.1's rotary rule as a GGUF file carries it: one divisor per frequency.
//!
//! `config.json` names the rule with four numbers; a GGUF file has the tensor `rope_freqs.weight` instead, the
//! factor by which each frequency is divided. One way is a formula. The other is a comparison: every released
//! model has the same three of the four numbers, and the fourth is the largest factor.
//! Source: `ROPE_INIT_FUNCTIONS["llama3"]` of `transformers`, and llama.cpp's converter, which applies it to 1.

use std::f64::consts::TAU;

/// The four numbers of the rule, with the names of `config.json`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Llama3Rule {
    /// The divisor of low frequencies.
    pub factor: f64,
    /// Wavelengths above `original / low_freq_factor` are divided in full.
    pub low_freq_factor: f64,
    /// Wavelengths below `original / high_freq_factor` are kept.
    pub high_freq_factor: f64,
    /// The training context in tokens.
    pub original_max_position_embeddings: f64,
}

/// Largest relative difference between a factor of a file and that of the rule. Converters compute in f32; other
/// rules differ in the second digit.
const TOLERANCE: f64 = 1e-4;

impl Llama3Rule {
    /// The divisors of the `head_dim / 2` rotary frequencies with base `theta`.
    pub fn factors(self, theta: f64, head_dim: usize) -> Vec<f32> {
        let factor = |i: usize| {
            let wavelength = TAU * theta.powf((2 * i) as f64 / head_dim as f64);
            let turns = self.original_max_position_embeddings / wavelength;
            // 0 where the frequency is divided in full, 1 where it is kept.
            let kept = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor);
            let kept = kept.clamp(0.0, 1.0);
            (1.0 / ((1.0 - kept) / self.factor + kept)) as f32
        };
        (0..head_dim / 2).map(factor).collect()
    }

    /// The rule of a released model that has these factors; `None` if there is no such rule.
    pub fn of_factors(factors: &[f32], theta: f64, head_dim: usize) -> Option<Llama3Rule> {
        let largest = factors.iter().copied().fold(f32::NAN, f32::max);
        let rule = Llama3Rule {
            factor: f64::from(largest),
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192.0,
        };
        if !(largest.is_finite() && largest > 0.0) || factors.len() != head_dim / 2 {
            return None;
        }
        let close = |(&a, b): (&f32, f32)| f64::from((a - b).abs()) <= TOLERANCE * f64::from(b);
        factors.iter().zip(rule.factors(theta, head_dim)).all(close).then_some(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_released_models_are_found_again() {
        // LLaMA 3.1 8B, 3.2 1B.
        for (factor, head_dim) in [(8.0, 128), (32.0, 64)] {
            let rule = Llama3Rule {
                factor,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_max_position_embeddings: 8192.0,
            };
            let factors = rule.factors(5e5, head_dim);
            assert_eq!((factors[0], factors[head_dim / 2 - 1]), (1.0, factor as f32));
            assert!(factors.is_sorted() && factors.iter().any(|&f| f > 1.0 && f < factor as f32));
            assert_eq!(Llama3Rule::of_factors(&factors, 5e5, head_dim), Some(rule));
            assert_eq!(Llama3Rule::of_factors(&factors, 1e4, head_dim), None);
            assert_eq!(Llama3Rule::of_factors(&factors[1..], 5e5, head_dim), None);
        }
    }

    #[test]
    fn other_factors_have_no_rule() {
        for factors in [&[][..], &[f32::NAN; 2], &[0.0; 2], &[-1.0; 2], &[f32::INFINITY; 2], &[1.0, 3.0]] {
            assert_eq!(Llama3Rule::of_factors(factors, 1e4, 2 * factors.len()), None, "{factors:?}");
        }
    }
}
