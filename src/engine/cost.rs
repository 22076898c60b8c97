//! Cost of waves, from headers alone: memory in bytes, and arithmetic in floating-point operations.
//!
//! A product `[m, k] · [k, n]` is `2·m·k·n` operations. Norms, rotations and softmax are left out: they are a few
//! per cent. The time is a forecast from a measured speed and nothing more.

use super::placement::REST;
use super::score::LOGIT_ROWS;
use super::{Placement, PlannedWave, ScoreRequest};
use crate::config::ModelConfig;
use crate::model::{Footprint, Wave};

/// Memory that a run takes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Weights in the form that products take; of a model on the disk, two blocks, a tensor on its way and the ends.
    pub weights: u64,
    /// The activations of the largest wave, its keys and values among them.
    pub wave: u64,
    /// Keys and values of one layer for the largest wave; a part of `wave`. No others are kept.
    pub keys_and_values: u64,
    /// Keys and values of all layers that one wave keeps for the next.
    pub kept: u64,
    /// Buffers of a layer.
    pub buffers: u64,
    /// The program, prompts, answers and buffers of threads: what a placement sets aside, or what `logits` and `tokens` take if
    /// that is more.
    pub rest: u64,
    /// Hidden states whose logits are made at a time, and what is kept of these; a part of `rest`.
    pub logits: u64,
    /// Tokens of all requests and of all waves; a part of `rest`.
    pub tokens: u64,
}

impl MemoryPlan {
    /// Everything together.
    pub fn total(self) -> u64 {
        let parts = [self.weights, self.wave, self.kept, self.buffers, self.rest];
        let total = parts.into_iter().try_fold(0u64, u64::checked_add);
        total.expect("a model that was placed, and tokens that are in memory")
    }
}

/// Arithmetic of waves, in floating-point operations.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Linear layers, the output matrix included.
    pub linear: f64,
    /// Products of queries, keys and values.
    pub attention: f64,
}

impl Work {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { linear: self.linear + other.linear, attention: self.attention + other.attention }
    }

    /// Seconds at these speeds in operations a second.
    pub fn seconds(self, speed: Speed) -> f64 {
        self.linear / speed.linear.max(1.0) + self.attention / speed.attention.max(1.0)
    }
}

/// Floating-point operations a second, measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// In linear layers.
    pub linear: f64,
    /// In the products of attention.
    pub attention: f64,
}

/// The memory that scoring `requests` in `waves` takes, with the model placed as it is.
pub fn memory(
    waves: &[PlannedWave],
    requests: &[ScoreRequest],
    config: &ModelConfig,
    footprint: &Footprint,
    placement: &Placement,
) -> MemoryPlan {
    let largest = waves.iter().map(|planned| planned.wave.tokens.len()).max().unwrap_or(0) as u64;
    let kept = waves.iter().map(|planned| planned.wave.keep.len()).max().unwrap_or(0) as u64;
    let rows = waves.iter().map(rows_scored).max().unwrap_or(0).min(LOGIT_ROWS as u64);
    let floats = |numbers: u64| product(numbers, size_of::<f32>() as u64);
    // A context is one list for all continuations of a document.
    let mut contexts = std::collections::HashSet::new();
    let listed = requests.iter().map(|request| {
        let own = contexts.insert(std::sync::Arc::as_ptr(&request.context).cast::<u32>());
        request.continuation.len() as u64 + if own { request.context.len() as u64 } else { 0 }
    });
    let listed: u64 = listed.sum();
    // Before and after the norm.
    let logits = floats(product(rows, 2 * config.hidden_size() as u64));
    let tokens = floats(listed + computed(waves));
    MemoryPlan {
        weights: placement.weights,
        wave: product(largest, footprint.per_token),
        keys_and_values: product(largest, footprint.keys_and_values_per_token),
        kept: product(
            kept,
            product(footprint.keys_and_values_per_token, config.shape().num_hidden_layers as u64),
        ),
        buffers: footprint.buffers,
        rest: REST.max(logits.checked_add(tokens).expect("tokens that are in memory")),
        logits,
        tokens,
    }
}

/// Of tokens that are in memory, and what one of them takes.
fn product(tokens: u64, each: u64) -> u64 {
    tokens.checked_mul(each).expect("configurations have limits")
}

/// Tokens that pass through the model.
fn computed(waves: &[PlannedWave]) -> u64 {
    waves.iter().map(|planned| planned.computed as u64).sum()
}

/// The arithmetic of waves.
pub fn work(waves: &[PlannedWave], config: &ModelConfig) -> Work {
    let shape = config.shape();
    let layers = shape.num_hidden_layers as f64;
    let rows: u64 = waves.iter().map(rows_scored).sum();
    let output = shape.vocab_size as f64 * shape.hidden_size as f64;
    let seen: f64 = waves.iter().map(|planned| positions_seen(&planned.wave)).sum();
    Work {
        linear: 2.0 * (computed(waves) as f64 * layers * shape.block_weights() as f64 + rows as f64 * output),
        // Each query meets each key it sees, and each value.
        attention: 4.0 * seen * layers * shape.queries() as f64,
    }
}

/// The arithmetic of writing so many tokens, each after `before` others.
pub fn work_of_writing(tokens: u64, before: u64, config: &ModelConfig) -> Work {
    let shape = config.shape();
    let layers = shape.num_hidden_layers as f64;
    let output = shape.vocab_size as f64 * shape.hidden_size as f64;
    let tokens = tokens as f64;
    Work {
        linear: 2.0 * tokens * (layers * shape.block_weights() as f64 + output),
        attention: 4.0 * tokens * before as f64 * layers * shape.queries() as f64,
    }
}

/// Rows whose logits are needed.
fn rows_scored(planned: &PlannedWave) -> u64 {
    planned.targets.chunk_by(|a, b| a.row == b.row).count() as u64
}

/// Over all tokens of a wave, how many tokens each sees, itself included.
fn positions_seen(wave: &Wave) -> f64 {
    let of = |segment: &crate::model::WaveSegment| {
        let (start, count) = (segment.start as f64, segment.rows.len() as f64);
        count * start + count * (count + 1.0) / 2.0
    };
    wave.segments.iter().filter(|segment| segment.rows.start >= wave.given).map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Plan};
    use super::*;
    use crate::config::LlamaConfig;

    /// 2 layers of width 8, 2 query heads and 1 key-value head of 4, inner width 16, 10 tokens.
    fn config() -> ModelConfig {
        LlamaConfig {
            vocab_size: 10,
            hidden_size: 8,
            intermediate_size: 16,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            head_dim: 4,
            ..crate::config::LlamaConfig::SMOLLM2_135M
        }
        .into()
    }

    fn request(context: &[u32], continuation: &[u32]) -> ScoreRequest {
        ScoreRequest { context: context.into(), continuation: continuation.to_vec() }
    }

    #[test]
    fn a_plan_by_hand() {
        let config = config();
        // One sequence of 3 inputs, read twice at its end; one of 2 inputs that shares the first token.
        let requests = [request(&[1, 2, 3], &[4]), request(&[1, 2, 3], &[5]), request(&[1], &[6, 7])];
        let plan = Plan::new(&requests, Limits::new(&config, None, 1000)).unwrap();
        assert_eq!((plan.tokens.asked, plan.left()), (8, 4));
        let waves = plan.waves();
        let block = 8 * (2 * 8 + 2 * 4 + 3 * 16);
        // Positions seen: 1, then 2 and 3 on one branch and 2 on the other. Rows scored: the third, the first and the last.
        let work = work(&waves, &config);
        assert_eq!(work.linear, f64::from(2 * (4 * 2 * block + 3 * 10 * 8)));
        assert_eq!(work.attention, f64::from(4 * (1 + 2 + 3 + 2) * 2 * 8));
        let footprint = Footprint {
            layers: 100,
            stored_layers: 90,
            largest_layer: 50,
            largest_tensor: 30,
            ends: 7,
            per_token: 11,
            keys_and_values_per_token: 3,
            buffers: 1000,
        };
        let placement = Placement::decide(&footprint, 1 << 30, None, None).unwrap();
        let memory = memory(&waves, &requests, &config, &footprint, &placement);
        assert_eq!((memory.weights, memory.wave, memory.keys_and_values), (107, 4 * 11, 4 * 3));
        assert_eq!((memory.buffers, memory.logits), (1000, 4 * 3 * 2 * 8));
        // Two separate lists of three, one of one, four continuation tokens, four computed.
        assert_eq!(memory.tokens, 4 * (3 + 3 + 1 + 4 + 4));
        // What is set aside for the program is more than logits and tokens take.
        assert_eq!((memory.rest, memory.total()), (REST, 107 + 44 + 1000 + REST));
        assert_eq!(
            placement.total - memory.total(),
            11 * (placement.wave_tokens as u64 - 4),
            "the terms are the same"
        );
        let seconds = work.seconds(Speed { linear: work.linear / 3.0, attention: work.attention * 2.0 });
        assert!((seconds - 3.5).abs() < 1e-12);
    }
}
