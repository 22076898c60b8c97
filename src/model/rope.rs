//! Rotary position embeddings in HF's layout: element `i` of a head turns with element `i + head_dim/2`.
//!
//! Su et al. 2021 (RoFormer); the scalings are those of transformers' `rope_type`s `linear`, `dynamic`
//! and `llama3`. Frequencies and angles are rounded to f32 where the reference rounds them.

use std::collections::HashMap;
use std::f64::consts::TAU;

use ndarray::{Array2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::{LlamaConfig, RopeScaling, Wave};
use crate::kernels::rotate;

/// The number of rows that one task of the thread pool turns, at least.
const ROWS: usize = 64;

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
        } => {
            plain
                .map(|frequency| {
                    let wavelength = TAU / f64::from(frequency);
                    let turns = original_max_position_embeddings / wavelength;
                    // 0 for low frequencies (divided), 1 for high ones (kept), a ramp between.
                    let kept =
                        ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                    let scaled = f64::from(frequency) / factor;
                    ((1.0 - kept) * scaled + kept * f64::from(frequency)) as f32
                })
                .collect()
        }
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
    pub fn apply(&self, first: usize, mut x: ArrayViewMut2<f32>) {
        let half = self.cosines.ncols();
        if half == 0 {
            return;
        }
        x.axis_iter_mut(Axis(0)).into_par_iter().with_min_len(ROWS).enumerate().for_each(
            |(offset, mut row)| {
                let (cosines, sines) = (self.cosines.row(first + offset), self.sines.row(first + offset));
                if let (Some(row), Some(cosines), Some(sines)) =
                    (row.as_slice_mut(), cosines.as_slice(), sines.as_slice())
                {
                    for head in row.chunks_exact_mut(2 * half) {
                        let (low, high) = head.split_at_mut(half);
                        rotate(low, high, cosines, sines);
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::smollm2_135m;

    #[test]
    fn a_turn_keeps_lengths_and_depends_on_distance_alone() {
        let config = LlamaConfig { head_dim: 8, ..smollm2_135m() };
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
        let dynamic = LlamaConfig { rope_scaling: RopeScaling::Dynamic { factor: 8.0 }, ..smollm2_135m() };
        let plain = inverse_frequencies(&smollm2_135m(), 10);
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
        let config = LlamaConfig { rope_theta: 5e5, rope_scaling: scaling, ..smollm2_135m() };
        let plain =
            inverse_frequencies(&LlamaConfig { rope_scaling: RopeScaling::None, ..config.clone() }, 1);
        let scaled = inverse_frequencies(&config, 1);
        assert_eq!(scaled[0], plain[0]);
        assert!((scaled[31] * 8.0 - plain[31]).abs() < 1e-9 * 8.0);
    }
}
