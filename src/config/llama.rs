//! Shape and constants of a LLaMA-architecture model, whichever file they come from.

use serde_json::{Map, Value, json};

use super::limits::{self, MAX_LAYERS, MAX_POSITIONS, MAX_VOCABULARY, MAX_WIDTH};
use super::rope::decimal;
use super::{ConfigError, RopeScaling};
use crate::base::fault::Refusal;

/// Shape and constants of a LLaMA-architecture model, with the names of HF's `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the SwiGLU's inner layer.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; fewer than query heads in grouped-query attention.
    pub num_key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Positions the model was made for.
    pub max_position_embeddings: usize,
    /// ε of every RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Stretching of the rotary frequencies.
    pub rope_scaling: RopeScaling,
    /// Whether the output matrix is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether q, k, v and o projections have biases.
    pub attention_bias: bool,
    /// Whether the MLP's projections have biases.
    pub mlp_bias: bool,
}

impl LlamaConfig {
    /// LLaMA-7B, as released.
    pub const LLAMA_7B: Self = Self {
        vocab_size: 32_000,
        hidden_size: 4096,
        intermediate_size: 11_008,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: 32,
        head_dim: 128,
        max_position_embeddings: 2048,
        rms_norm_eps: 1e-6,
        rope_theta: 1e4,
        rope_scaling: RopeScaling::None,
        tie_word_embeddings: false,
        attention_bias: false,
        mlp_bias: false,
    };
    /// TinyLlama-1.1B, as released.
    pub const TINYLLAMA_1B: Self = Self {
        hidden_size: 2048,
        intermediate_size: 5632,
        num_hidden_layers: 22,
        num_key_value_heads: 4,
        head_dim: 64,
        rms_norm_eps: 1e-5,
        ..Self::LLAMA_7B
    };
    /// SmolLM2-135M, as released.
    pub const SMOLLM2_135M: Self = Self {
        vocab_size: 49_152,
        hidden_size: 576,
        intermediate_size: 1536,
        num_hidden_layers: 30,
        num_attention_heads: 9,
        num_key_value_heads: 3,
        head_dim: 64,
        max_position_embeddings: 8192,
        rms_norm_eps: 1e-5,
        rope_theta: 1e5,
        tie_word_embeddings: true,
        ..Self::LLAMA_7B
    };

    /// Query heads that share one key-value head.
    pub fn queries_per_kv_head(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }

    /// The content of a `config.json` that says the same, for a model that has none of its own.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut config = Map::new();
        let mut set = |key: &str, value: Value| {
            config.insert(key.to_owned(), value);
        };
        set("architectures", json!(["LlamaForCausalLM"]));
        set("model_type", json!("llama"));
        set("hidden_act", json!("silu"));
        set("vocab_size", json!(self.vocab_size));
        set("hidden_size", json!(self.hidden_size));
        set("intermediate_size", json!(self.intermediate_size));
        set("num_hidden_layers", json!(self.num_hidden_layers));
        set("num_attention_heads", json!(self.num_attention_heads));
        set("num_key_value_heads", json!(self.num_key_value_heads));
        if self.num_attention_heads * self.head_dim != self.hidden_size {
            set("head_dim", json!(self.head_dim));
        }
        set("max_position_embeddings", json!(self.max_position_embeddings));
        set("rms_norm_eps", json!(decimal(self.rms_norm_eps)));
        set("rope_theta", json!(decimal(self.rope_theta)));
        set("rope_scaling", self.rope_scaling.to_json());
        set("tie_word_embeddings", json!(self.tie_word_embeddings));
        set("attention_bias", json!(self.attention_bias));
        set("mlp_bias", json!(self.mlp_bias));
        config
    }

    /// Checks that the numbers fit together; `source` names the file in errors.
    pub fn check(&self, source: &str) -> Result<(), ConfigError> {
        let fail = |field: &str, expected: String, found: String| {
            Err(Refusal::of_field(source, field, expected, found).into())
        };
        limits::check(
            source,
            &[
                ("vocab_size", self.vocab_size, MAX_VOCABULARY),
                ("hidden_size", self.hidden_size, MAX_WIDTH),
                ("intermediate_size", self.intermediate_size, MAX_WIDTH),
                ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
                ("num_attention_heads", self.num_attention_heads, MAX_WIDTH),
                ("num_key_value_heads", self.num_key_value_heads, MAX_WIDTH),
                ("head_dim", self.head_dim, MAX_WIDTH),
                ("max_position_embeddings", self.max_position_embeddings, MAX_POSITIONS),
            ],
        )?;
        limits::check(
            source,
            &[("num_attention_heads * head_dim", self.num_attention_heads * self.head_dim, MAX_WIDTH)],
        )?;
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return fail(
                "num_key_value_heads",
                format!("a divisor of num_attention_heads ({})", self.num_attention_heads),
                self.num_key_value_heads.to_string(),
            );
        }
        if !self.head_dim.is_multiple_of(2) {
            return fail("head_dim", "an even number (rotary pairs)".to_owned(), self.head_dim.to_string());
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return fail("rms_norm_eps", "between 0 and 1".to_owned(), self.rms_norm_eps.to_string());
        }
        if !(self.rope_theta >= 1.0 && self.rope_theta.is_finite()) {
            return fail("rope_theta", "a number of at least 1".to_owned(), self.rope_theta.to_string());
        }
        if !self.rope_scaling.is_sound() {
            return fail(
                "rope_scaling",
                "positive numbers, a llama3 factor of at least 1, high_freq_factor above low_freq_factor"
                    .to_owned(),
                self.rope_scaling.to_string(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_match_the_published_counts() {
        assert_eq!(LlamaConfig::SMOLLM2_135M.shape().parameters(), 134_515_008);
        assert_eq!(LlamaConfig::LLAMA_7B.shape().parameters(), 6_738_415_616);
    }

    #[test]
    fn numbers_that_do_not_fit_are_named() {
        let good = LlamaConfig::SMOLLM2_135M;
        assert!(good.check("config.json").is_ok());
        let cases: [(&str, LlamaConfig); 6] = [
            ("num_key_value_heads", LlamaConfig { num_key_value_heads: 2, ..good.clone() }),
            ("hidden_size", LlamaConfig { hidden_size: 0, ..good.clone() }),
            ("num_hidden_layers", LlamaConfig { num_hidden_layers: 1 << 40, ..good.clone() }),
            ("rms_norm_eps", LlamaConfig { rms_norm_eps: f64::NAN, ..good.clone() }),
            ("rope_theta", LlamaConfig { rope_theta: 0.0, ..good.clone() }),
            (
                "rope_scaling",
                LlamaConfig { rope_scaling: RopeScaling::Linear { factor: 0.0 }, ..good.clone() },
            ),
        ];
        for (field, config) in cases {
            let message = config.check("config.json").unwrap_err().to_string();
            assert!(message.contains(field) && message.contains("config.json"), "{message}");
        }
    }

    #[test]
    fn what_is_written_as_json_is_read_as_the_same() {
        let plain = LlamaConfig::SMOLLM2_135M;
        let linear = RopeScaling::Linear { factor: 2.5 };
        let dynamic = RopeScaling::Dynamic { factor: 4.0 };
        for config in [
            plain.clone(),
            LlamaConfig { head_dim: 32, attention_bias: true, rope_scaling: linear, ..plain.clone() },
            LlamaConfig { mlp_bias: true, rope_scaling: dynamic, rms_norm_eps: 3.7e-6, ..plain.clone() },
            LlamaConfig { rope_scaling: RopeScaling::llama3(8.0), ..plain.clone() },
        ] {
            let read = crate::config::hf::from_map(&config.to_json(), "config.json").unwrap();
            assert_eq!(read, config.into());
        }
        let stored = LlamaConfig { rms_norm_eps: f64::from(1e-5f32), ..plain };
        assert_eq!(stored.to_json()["rms_norm_eps"], json!(1e-5));
    }
}
