//! The shape of a network: `zoo/architectures/NAME.yaml`, or a map inside a card.
//!
//! LLaMA: pre-norm with RMSNorm, rotary positions on queries and keys, SwiGLU (Touvron et al. 2023).
//! BLOOM: LayerNorm with biases, one more after the embedding, ALiBi, GELU (Le Scao et al. 2022).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{ConfigError, ModelConfig, RopeScaling, hf};

/// Shape and constants of a network.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchitectureRecord {
    /// The file's name without its ending; empty inside a card.
    #[serde(skip)]
    pub name: String,
    /// The kind of network.
    #[serde(default)]
    pub model_type: ModelType,
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// Width of the feed-forward layer.
    pub intermediate_size: u64,
    /// Number of transformer blocks.
    pub num_hidden_layers: u64,
    /// Number of query heads.
    pub num_attention_heads: u64,
    /// Number of key and value heads, a divisor of the number of query heads; as many if not stated.
    pub num_key_value_heads: Option<u64>,
    /// Width of a head; `hidden_size / num_attention_heads` if not stated.
    pub head_dim: Option<u64>,
    /// Rows of the embedding matrix.
    pub vocab_size: u64,
    /// The longest text in tokens that the model can be used for.
    pub max_context: u64,
    /// What `config.json` says under this name, where it is not `max_context`.
    pub max_position_embeddings: Option<u64>,
    /// Added to the mean square in RMSNorm; LLaMA has it.
    pub rms_norm_eps: Option<f64>,
    /// Added to the variance in LayerNorm; BLOOM has it.
    pub layer_norm_epsilon: Option<f64>,
    /// Base of the rotary frequencies; LLaMA has it.
    pub rope_theta: Option<f64>,
    /// How positions are stretched beyond the training context.
    pub rope_scaling: Option<RopeScalingRecord>,
    /// Whether the output layer is the embedding matrix.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Whether the projections of attention have biases.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether the projections of the feed-forward layer have biases.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Number of parameters, a shared embedding counted once; checked against the shapes.
    pub parameters: Option<u64>,
    /// Whether the checkpoint's configuration asks for code of its own repository.
    #[serde(default)]
    pub remote_code: bool,
    /// What to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What is from memory, derived or contradictory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// Where it was read.
    pub src: Option<String>,
}

impl ArchitectureRecord {
    /// The record of a network with this configuration.
    pub fn of_config(config: &ModelConfig) -> Self {
        let shared = Self {
            name: String::new(),
            model_type: ModelType::Llama,
            hidden_size: config.hidden_size() as u64,
            intermediate_size: 0,
            num_hidden_layers: config.num_hidden_layers() as u64,
            num_attention_heads: 0,
            num_key_value_heads: None,
            head_dim: None,
            vocab_size: config.vocab_size() as u64,
            max_context: config.max_position_embeddings() as u64,
            max_position_embeddings: None,
            rms_norm_eps: None,
            layer_norm_epsilon: None,
            rope_theta: None,
            rope_scaling: None,
            tie_word_embeddings: false,
            attention_bias: false,
            mlp_bias: false,
            parameters: Some(config.parameters()),
            remote_code: false,
            notes: Vec::new(),
            doubts: Vec::new(),
            src: None,
        };
        match config {
            ModelConfig::Llama(config) => Self {
                intermediate_size: config.intermediate_size as u64,
                num_attention_heads: config.num_attention_heads as u64,
                num_key_value_heads: Some(config.num_key_value_heads as u64),
                head_dim: Some(config.head_dim as u64),
                rms_norm_eps: Some(config.rms_norm_eps),
                rope_theta: Some(config.rope_theta),
                rope_scaling: scaling(config.rope_scaling),
                tie_word_embeddings: config.tie_word_embeddings,
                attention_bias: config.attention_bias,
                mlp_bias: config.mlp_bias,
                ..shared
            },
            ModelConfig::Bloom(config) => Self {
                model_type: ModelType::Bloom,
                intermediate_size: config.intermediate_size() as u64,
                num_attention_heads: config.num_attention_heads as u64,
                layer_norm_epsilon: Some(config.layer_norm_epsilon),
                tie_word_embeddings: config.tie_word_embeddings,
                attention_bias: true,
                mlp_bias: true,
                ..shared
            },
        }
    }

    /// Number of key and value heads.
    pub fn kv_heads(&self) -> u64 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head; 0 if there are no heads, which no checked record has.
    pub fn head_size(&self) -> u64 {
        self.head_dim.unwrap_or_else(|| self.hidden_size.checked_div(self.num_attention_heads).unwrap_or(0))
    }

    /// The number of parameters that the shapes add up to, a shared embedding counted once.
    ///
    /// # Errors
    /// Numbers that no network has, which no checked record has either.
    pub fn count_parameters(&self) -> Result<u64, ConfigError> {
        Ok(self.unstretched()?.parameters())
    }

    /// The configuration as far as a record states it: where stretched positions cannot be told from it, without them, which
    /// changes no shape.
    ///
    /// # Errors
    /// As [`ArchitectureRecord::count_parameters`].
    pub fn config(&self) -> Result<ModelConfig, ConfigError> {
        hf::from_map(&self.fields(), "config.json").or_else(|_| self.unstretched())
    }

    fn unstretched(&self) -> Result<ModelConfig, ConfigError> {
        let mut fields = self.fields();
        fields.remove("rope_scaling");
        hf::from_map(&fields, "config.json")
    }

    /// What a `config.json` would say.
    fn fields(&self) -> Map<String, Value> {
        let record = serde_json::to_value(self).expect("a record can be written as JSON");
        // Its names are those of `config.json`.
        let Value::Object(mut fields) = record else { unreachable!("a record is a map") };
        fields.entry("max_position_embeddings").or_insert_with(|| self.max_context.into());
        fields
    }
}

/// The kinds of networks in the registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelType {
    /// RMSNorm, rotary positions, SwiGLU.
    #[default]
    Llama,
    /// LayerNorm, ALiBi, GELU.
    Bloom,
}

/// How positions are stretched beyond the training context.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RopeScalingRecord {
    /// The method.
    #[serde(rename = "type")]
    pub kind: RopeScalingKind,
    /// How much the context grows.
    pub factor: f64,
    /// Frequencies of fewer turns in the original context are divided in full; LLaMA 3.1's rule has it.
    pub low_freq_factor: Option<f64>,
    /// Frequencies of more turns in the original context are kept; LLaMA 3.1's rule has it.
    pub high_freq_factor: Option<f64>,
    /// The context before stretching, in tokens.
    pub original_max_position_embeddings: Option<u64>,
    /// Whether the model was trained with the stretched positions.
    pub finetuned: Option<bool>,
}

/// Methods of stretching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RopeScalingKind {
    /// Positions divided by the factor.
    Linear,
    /// A larger theta for longer texts.
    Dynamic,
    /// YaRN: each frequency by its wavelength, and a temperature.
    Yarn,
    /// LLaMA 3.1's ramp between kept and divided frequencies.
    Llama3,
}

fn scaling(scaling: RopeScaling) -> Option<RopeScalingRecord> {
    let record = |kind, factor| RopeScalingRecord {
        kind,
        factor,
        low_freq_factor: None,
        high_freq_factor: None,
        original_max_position_embeddings: None,
        finetuned: None,
    };
    match scaling {
        RopeScaling::None => None,
        RopeScaling::Linear { factor } => Some(record(RopeScalingKind::Linear, factor)),
        RopeScaling::Dynamic { factor } => Some(record(RopeScalingKind::Dynamic, factor)),
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => Some(RopeScalingRecord {
            low_freq_factor: Some(low_freq_factor),
            high_freq_factor: Some(high_freq_factor),
            original_max_position_embeddings: Some(original_max_position_embeddings as u64),
            ..record(RopeScalingKind::Llama3, factor)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> ArchitectureRecord {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn parameters_are_those_of_the_published_networks() {
        let llama = record(
            "{hidden_size: 8192, intermediate_size: 28672, num_hidden_layers: 80, num_attention_heads: 64, \
             num_key_value_heads: 8, vocab_size: 32000, max_context: 4096}",
        );
        assert_eq!(llama.count_parameters().unwrap(), 68_976_648_192);
        let bloom = record(
            "{model_type: bloom, hidden_size: 4096, intermediate_size: 16384, num_hidden_layers: 30, \
             num_attention_heads: 32, vocab_size: 250880, max_context: 2048, tie_word_embeddings: true, \
             attention_bias: true, mlp_bias: true}",
        );
        assert_eq!(bloom.count_parameters().unwrap(), 7_069_016_064);
    }

    #[test]
    fn absurd_shapes_have_no_count() {
        let text = "{hidden_size: 18446744073709551615, intermediate_size: 3, num_hidden_layers: 3, \
                    num_attention_heads: 1, vocab_size: 17, max_context: 64}";
        assert!(record(text).count_parameters().is_err());
    }
}
