//! How a network knows where a token stands: queries and keys are turned, or scores lowered by distance.
//!
//! Rotary embeddings (Su et al. 2021, RoFormer) in HF's layout: element `i` of a head turns with element `i + head_dim/2`.
//! The scalings are those of transformers' `rope_type`s `linear`, `dynamic` and `llama3`. Frequencies and angles are rounded
//! to f32 where the reference rounds them.
//!
//! Attention with linear biases (ALiBi, Press et al. 2022): a key counts less the farther it is behind its query, by a slope
//! of each head. Implementations often add slope × position of the key instead of −slope × distance; the two differ by one
//! number per query, which softmax does not see. Distances keep the sums small, and make it plain that a shared prefix gives
//! the same numbers in every sequence.

use std::collections::HashMap;
use std::f64::consts::TAU;

use ndarray::{Array2, ArrayViewMut2};

use super::Wave;
use super::rows::{for_rows, row};
use crate::config::{LlamaConfig, RopeScaling, kept_share};
use crate::kernels::rotate;

/// The kind of a network's positions, with its constants.
#[derive(Debug, Clone)]
pub enum Positions {
    /// Rotary, by this configuration.
    Rotary(LlamaConfig),
    /// Linear biases: one slope per query head.
    Alibi(Vec<f32>),
}

impl Positions {
    /// What turns the queries and keys of a wave, where they are turned.
    pub fn rotation(&self, wave: &Wave) -> Option<Rotation> {
        match self {
            Positions::Rotary(config) => Some(Rotation::new(config, wave)),
            Positions::Alibi(_) => None,
        }
    }

    /// The slopes by which scores are lowered, where they are.
    pub fn slopes(&self) -> Option<&[f32]> {
        match self {
            Positions::Rotary(_) => None,
            Positions::Alibi(slopes) => Some(slopes),
        }
    }
}

/// Inverse frequencies of a model for sequences of `length` tokens, `head_dim / 2` of them.
pub fn inverse_frequencies(config: &LlamaConfig, length: usize) -> Vec<f32> {
    let width = config.head_dim as f64;
    let trained = config.max_position_embeddings;
    let theta = match config.rope_scaling {
        RopeScaling::Dynamic { factor } if length > trained && config.head_dim > 2 => {
            let stretch = factor * length as f64 / trained as f64 - (factor - 1.0);
            config.rope_theta * stretch.powf(width / (width - 2.0))
        }
        _ => config.rope_theta,
    };
    let plain = (0..config.head_dim / 2).map(|i| (1.0 / theta.powf(2.0 * i as f64 / width)) as f32);
    match config.rope_scaling {
        RopeScaling::None | RopeScaling::Dynamic { .. } => plain.collect(),
        RopeScaling::Linear { factor } => plain.map(|f| f / factor as f32).collect(),
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => plain
            .map(|frequency| {
                let wavelength = TAU / f64::from(frequency);
                let turns = original_max_position_embeddings / wavelength;
                let kept = kept_share(turns, low_freq_factor, high_freq_factor);
                let scaled = f64::from(frequency) / factor;
                ((1.0 - kept) * scaled + kept * f64::from(frequency)) as f32
            })
            .collect(),
    }
}

/// Cosines and sines for every row of a wave, `[tokens, head_dim / 2]` each.
pub struct Rotation {
    cosines: Array2<f32>,
    sines: Array2<f32>,
}

impl Rotation {
    /// Angles for all tokens of `wave` at their positions.
    pub fn new(config: &LlamaConfig, wave: &Wave) -> Self {
        let half = config.head_dim / 2;
        let mut cosines = Array2::zeros((wave.tokens.len(), half));
        let mut sines = Array2::zeros((wave.tokens.len(), half));
        let mut frequencies: HashMap<usize, Vec<f32>> = HashMap::new();
        for segment in &wave.segments {
            let inverse = frequencies
                .entry(segment.rope_length.max(config.max_position_embeddings))
                .or_insert_with(|| inverse_frequencies(config, segment.rope_length));
            for (offset, row) in segment.rows.clone().enumerate() {
                let position = (segment.start + offset) as f32;
                let turns = cosines.row_mut(row).into_iter().zip(sines.row_mut(row));
                for ((cosine, sine), frequency) in turns.zip(&*inverse) {
                    let (sin, cos) = f64::from(position * frequency).sin_cos();
                    (*cosine, *sine) = (cos as f32, sin as f32);
                }
            }
        }
        Self { cosines, sines }
    }

    /// Turns all heads of `x: [tokens, heads * head_dim]` in place, the tokens of the wave's rows from `first` on.
    pub fn apply(&self, first: usize, x: ArrayViewMut2<f32>) {
        let (cosines, sines) = (self.cosines.view(), self.sines.view());
        let half = cosines.ncols();
        for_rows(x, |index, heads| {
            let (cosines, sines) = (row(&cosines, first + index), row(&sines, first + index));
            for head in heads.chunks_exact_mut(2 * half) {
                let (low, high) = head.split_at_mut(half);
                rotate(low, high, cosines, sines);
            }
        });
    }
}

/// One slope per head: powers of two for a power of two of heads, `2^(-8i/n)`.
///
/// Any other number takes the slopes of the power of two below it, and then every second one of the next
/// power of two.
pub fn slopes(heads: usize) -> Vec<f32> {
    // `heads` is limited by the configuration's check, so the next power of two exists.
    let below = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let slope = |i: usize, n: usize| (-8.0 * i as f64 / n as f64).exp2() as f32;
    let own = (1..=below).map(|i| slope(i, below));
    let between = (0..heads - below).map(|i| slope(2 * i + 1, 2 * below));
    own.chain(between).collect()
}

/// `scores[j] -= slope · distance`, for keys at positions from `first_key` on and a query at `query`, not before them.
pub fn bias(scores: &mut [f32], slope: f32, first_key: usize, query: usize) {
    // Keys behind the query are seen by none: they stay as they are.
    for (key, score) in (first_key..=query).zip(scores) {
        *score -= slope * (query - key) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_keeps_lengths_and_depends_on_distance_alone() {
        let config = LlamaConfig { head_dim: 8, ..LlamaConfig::SMOLLM2_135M };
        let wave = Wave::sequence(&[0; 40]);
        let rotation = Rotation::new(&config, &wave);
        let mut x = Array2::from_shape_fn((40, 16), |(_, j)| (j as f32 * 0.7).sin());
        rotation.apply(0, x.view_mut());
        let dot = |i: usize, j: usize| x.row(i).dot(&x.row(j));
        assert!((dot(3, 3) - dot(30, 30)).abs() < 1e-4);
        assert!((dot(3, 8) - dot(25, 30)).abs() < 1e-4);
        assert!((dot(3, 8) - dot(3, 9)).abs() > 1e-3);
    }

    #[test]
    fn dynamic_scaling_begins_beyond_the_trained_context() {
        let dynamic =
            LlamaConfig { rope_scaling: RopeScaling::Dynamic { factor: 8.0 }, ..LlamaConfig::SMOLLM2_135M };
        let plain = inverse_frequencies(&LlamaConfig::SMOLLM2_135M, 10);
        assert_eq!(inverse_frequencies(&dynamic, 8192), plain);
        let longer = inverse_frequencies(&dynamic, 9000);
        assert!(longer[0] == plain[0] && longer[31] < plain[31]);
    }

    #[test]
    fn llama3_scaling_keeps_high_and_divides_low_frequencies() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192.0,
        };
        let config = LlamaConfig { rope_theta: 5e5, rope_scaling: scaling, ..LlamaConfig::SMOLLM2_135M };
        let plain =
            inverse_frequencies(&LlamaConfig { rope_scaling: RopeScaling::None, ..config.clone() }, 1);
        let scaled = inverse_frequencies(&config, 1);
        assert_eq!(scaled[0], plain[0]);
        assert!((scaled[31] * 8.0 - plain[31]).abs() < 1e-9 * 8.0);
    }

    #[test]
    fn slopes_fall_by_a_constant_factor() {
        assert_eq!(slopes(8), [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
        assert_eq!(slopes(1), [0.00390625]);
    }

    #[test]
    fn other_numbers_of_heads_fill_up_between() {
        // Four heads, then the first and third of eight.
        assert_eq!(slopes(6), [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]);
        // BLOOM-176B has 112 heads.
        let many = slopes(112);
        assert_eq!(many.len(), 112);
        assert_eq!(many[..64], slopes(64)[..]);
        assert_eq!(many[64..], slopes(128).into_iter().step_by(2).take(48).collect::<Vec<_>>()[..]);
    }

    #[test]
    fn the_query_s_own_key_is_not_lowered() {
        let mut scores = [1.0, 2.0, 3.0];
        bias(&mut scores, 0.25, 5, 7);
        assert_eq!(scores, [0.5, 1.75, 3.0]);
        bias(&mut [], 1.0, 0, 1);
    }
}
