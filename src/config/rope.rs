//! Scaling of rotary frequencies, as `config.json` says it and as GGUF files do.
//!
//! `config.json` names LLaMA 3.1's rule with four numbers; a GGUF file has the tensor `rope_freqs.weight` instead, the
//! factor by which each frequency is divided. One way is a formula. The other is a comparison: every released
//! model has the same three of the four numbers, and the fourth is the largest factor.
//! Source: `ROPE_INIT_FUNCTIONS["llama3"]` of `transformers`, and llama.cpp's converter, which applies it to 1.

use std::f64::consts::TAU;
use std::fmt;

use serde_json::{Value, json};

/// How rotary frequencies are stretched beyond the training context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// As trained.
    None,
    /// All positions divided by `factor`.
    Linear {
        /// The divisor, ≥ 1 in practice.
        factor: f64,
    },
    /// A larger theta for sequences beyond the training context ("dynamic NTK"): depends on the
    /// length of the whole sequence.
    Dynamic {
        /// How much the context is stretched.
        factor: f64,
    },
    /// LLaMA 3.1's rule: low frequencies divided by `factor`, high ones kept, a ramp between.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// The training context in tokens.
        original_max_position_embeddings: f64,
    },
}

impl fmt::Display for RopeScaling {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => out.write_str("none"),
            Self::Linear { factor } => write!(out, "linear with factor {factor}"),
            Self::Dynamic { factor } => write!(out, "dynamic with factor {factor}"),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                write!(
                    out,
                    "llama3 with factor {factor}, low_freq_factor {low_freq_factor}, high_freq_factor {high_freq_factor}, \
                 original_max_position_embeddings {original_max_position_embeddings}"
                )
            }
        }
    }
}

/// Largest relative difference between a factor of a file and that of the rule. Converters compute in f32; other
/// rules differ in the second digit.
const TOLERANCE: f64 = 1e-4;

/// The same where the rule is found by the factors: what f32 leaves of them.
const ROUNDING: f64 = 2e-6;

/// The share of a frequency that LLaMA 3.1's rule keeps where it turns `turns` times in the training context: 0 below
/// `low` (divided in full), 1 above `high`, a ramp between.
pub(crate) fn kept_share(turns: f64, low: f64, high: f64) -> f64 {
    ((turns - low) / (high - low)).clamp(0.0, 1.0)
}

impl RopeScaling {
    /// LLaMA 3.1's rule with a factor and the three numbers that all released models share.
    pub fn llama3(factor: f64) -> Self {
        let (low_freq_factor, high_freq_factor) = (1.0, 4.0);
        let original_max_position_embeddings = 8192.0;
        Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings }
    }

    /// The rule that has these factors, with the numbers of the released models or with whole ones where such a rule has them;
    /// `None` if there is none.
    pub fn of_factors(factors: &[f32], theta: f64, head_dim: usize) -> Option<Self> {
        let largest = factors.iter().copied().fold(f32::NAN, f32::max);
        let has_them = |rule: &Self, tolerance: f64| {
            let close = |(&a, b): (&f32, f32)| f64::from((a - b).abs()) <= tolerance * f64::from(b);
            let found = rule.is_sound().then(|| rule.factors(theta, head_dim)).flatten();
            found.is_some_and(|found| factors.len() == found.len() && factors.iter().zip(found).all(close))
        };
        let released = Self::llama3(f64::from(largest));
        if has_them(&released, TOLERANCE) {
            return Some(released);
        }
        let rule = Self::through(factors, f64::from(largest), theta, head_dim)?;
        [rule.of_whole_numbers(), rule].into_iter().find(|rule| has_them(rule, ROUNDING))
    }

    /// LLaMA 3.1's rule through the factors of a ramp: the share that is kept of a frequency `ω` is a line in `ω`, and low, high
    /// and original context are known by it up to a common multiple, so low is 1. Where fewer than two frequencies are on the
    /// ramp, it is any line that leaves the others beside it.
    fn through(factors: &[f32], factor: f64, theta: f64, head_dim: usize) -> Option<Self> {
        /// How far from 0 and 1 a share is on the ramp.
        const ON_RAMP: f64 = 1e-4;
        let frequency = |i: usize| theta.powf(-((2 * i) as f64) / head_dim as f64);
        let kept = |i: usize| (1.0 / f64::from(factors[i]) - 1.0 / factor) / (1.0 - 1.0 / factor);
        let points: Vec<(f64, f64)> = (0..factors.len()).map(|i| (frequency(i), kept(i))).collect();
        let is_on_ramp = |&(_, kept): &(f64, f64)| kept > ON_RAMP && kept < 1.0 - ON_RAMP;
        let ramp: Vec<(f64, f64)> = points.iter().copied().filter(is_on_ramp).collect();
        // Frequencies fall: the last that is kept whole, and the first that is divided in full.
        let whole = points.iter().copied().rfind(|&(_, kept)| kept >= 1.0 - ON_RAMP);
        let divided = points.iter().copied().find(|&(_, kept)| kept <= ON_RAMP);
        let fastest = points.first()?.0;
        let (above, below) =
            (whole.map_or(2.0 * fastest, |point| point.0), divided.map_or(0.0, |point| point.0));
        let (slope, (at, share)) = match ramp.as_slice() {
            [] => (1.0 / (above - below), (below, 0.0)),
            &[point @ (at, share)] => ((share / (at - below)).max((1.0 - share) / (above - at)), point),
            &[first, .., last] => ((first.1 - last.1) / (first.0 - last.0), first),
        };
        // kept(ω) = (original ω / 2π − low) / (high − low)
        let intercept = share - slope * at;
        let width = -1.0 / intercept;
        Some(Self::Llama3 {
            factor,
            low_freq_factor: 1.0,
            high_freq_factor: 1.0 + width,
            original_max_position_embeddings: TAU * slope * width,
        })
    }

    /// The same with whole numbers of tokens and turns, as files state them.
    fn of_whole_numbers(self) -> Self {
        match self {
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                Self::Llama3 {
                    factor,
                    low_freq_factor,
                    high_freq_factor: high_freq_factor.round(),
                    original_max_position_embeddings: original_max_position_embeddings.round(),
                }
            }
            other => other,
        }
    }

    /// The divisors of the `head_dim / 2` rotary frequencies with base `theta` by LLaMA 3.1's rule; `None` for others.
    pub fn factors(self, theta: f64, head_dim: usize) -> Option<Vec<f32>> {
        let Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } =
            self
        else {
            return None;
        };
        let divisor = |i: usize| {
            let wavelength = TAU * theta.powf((2 * i) as f64 / head_dim as f64);
            let turns = original_max_position_embeddings / wavelength;
            let kept = kept_share(turns, low_freq_factor, high_freq_factor);
            (1.0 / ((1.0 - kept) / factor + kept)) as f32
        };
        Some((0..head_dim / 2).map(divisor).collect())
    }

    /// Whether its numbers are those of a rule: positive, low frequencies not made higher, and the two ends of a ramp in their order.
    pub(super) fn is_sound(self) -> bool {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        match self {
            Self::None => true,
            Self::Linear { factor } | Self::Dynamic { factor } => positive(factor),
            Self::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_max_position_embeddings: original,
            } => [factor, low, high, original].into_iter().all(positive) && factor >= 1.0 && high > low,
        }
    }

    /// The value of `rope_scaling` in a `config.json`.
    pub(super) fn to_json(self) -> Value {
        let simple =
            |name: &str, factor: f64| json!({"rope_type": name, "type": name, "factor": decimal(factor)});
        match self {
            Self::None => Value::Null,
            Self::Linear { factor } => simple("linear", factor),
            Self::Dynamic { factor } => simple("dynamic", factor),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                // A number of tokens.
                let original = match original_max_position_embeddings {
                    whole if whole.fract() == 0.0 => json!(whole as u64),
                    other => json!(other),
                };
                json!({
                    "rope_type": "llama3",
                    "factor": decimal(factor),
                    "low_freq_factor": low_freq_factor,
                    "high_freq_factor": high_freq_factor,
                    "original_max_position_embeddings": original,
                })
            }
        }
    }
}

/// A number as text states it: one that was stored as f32 becomes the shortest decimal that means the same f32, so that
/// an ε of a GGUF file is 1e-5 again and not 0.000009999999747378752.
pub(super) fn decimal(x: f64) -> f64 {
    let stored = x as f32;
    if f64::from(stored) == x {
        stored.to_string().parse().expect("the digits of a float are a float")
    } else {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_released_models_are_found_again() {
        // LLaMA 3.1 8B, 3.2 1B.
        for (factor, head_dim) in [(8.0, 128), (32.0, 64)] {
            let rule = RopeScaling::llama3(factor);
            let factors = rule.factors(5e5, head_dim).unwrap();
            assert_eq!((factors[0], factors[head_dim / 2 - 1]), (1.0, factor as f32));
            assert!(factors.is_sorted() && factors.iter().any(|&f| f > 1.0 && f < factor as f32));
            assert_eq!(RopeScaling::of_factors(&factors, 5e5, head_dim), Some(rule));
            assert_eq!(RopeScaling::of_factors(&factors, 1e4, head_dim), None);
            assert_eq!(RopeScaling::of_factors(&factors[1..], 5e5, head_dim), None);
        }
    }

    #[test]
    fn any_rule_is_found_again_by_its_factors() {
        let rule = |factor, low, high, original| RopeScaling::Llama3 {
            factor,
            low_freq_factor: low,
            high_freq_factor: high,
            original_max_position_embeddings: original,
        };
        for (given, theta, head_dim) in [
            (rule(4.0, 1.0, 4.0, 1024.0), 1e4, 128),
            (rule(16.0, 1.0, 8.0, 4096.0), 5e5, 64),
            (rule(4.0, 1.0, 4.0, 64.0), 1e4, 8),
            (rule(4.0, 1.0, 4.0, 1024.0), 1e4, 4),
            (rule(8.0, 2.0, 7.0, 2048.0), 1e4, 128),
            (rule(3.0, 1.0, 2.5, 777.0), 1e4, 96),
            (rule(2.0, 1.0, 4.0, 2.0), 1e4, 64),
        ] {
            let factors = given.factors(theta, head_dim).unwrap();
            let found =
                RopeScaling::of_factors(&factors, theta, head_dim).unwrap_or_else(|| panic!("{given:?}"));
            for (a, b) in found.factors(theta, head_dim).unwrap().iter().zip(&factors) {
                assert!((a - b).abs() <= 2e-6 * b, "{given:?}: {found:?}: {a} for {b}");
            }
        }
        // Where enough of the ramp is seen, and low is 1, the numbers are those of the file.
        let given = rule(4.0, 1.0, 4.0, 1024.0);
        let factors = given.factors(1e4, 128).unwrap();
        assert_eq!(RopeScaling::of_factors(&factors, 1e4, 128), Some(given));
    }

    #[test]
    fn other_factors_have_no_rule() {
        for factors in [
            &[][..],
            &[f32::NAN; 2],
            &[0.0; 2],
            &[-1.0; 2],
            &[f32::INFINITY; 2],
            &[3.0, 1.0],
            &[1.0, 5.0, 2.0, 4.0],
        ] {
            assert_eq!(RopeScaling::of_factors(factors, 1e4, 2 * factors.len()), None, "{factors:?}");
        }
    }
}
