//! The configuration of a model of any kind that runs here.
//!
//! Whoever plans, loads or counts asks [`ModelConfig`] and never which kind it is.

use super::{BloomConfig, LlamaConfig, RopeScaling, Shape};

/// Shape and constants of a model of any kind that runs here.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelConfig {
    /// RMSNorm, rotary positions, SwiGLU.
    Llama(LlamaConfig),
    /// LayerNorm, ALiBi, GELU.
    Bloom(BloomConfig),
}

impl ModelConfig {
    /// The kind, as `model_type` spells it.
    pub fn model_type(&self) -> &'static str {
        match self {
            ModelConfig::Llama(_) => "llama",
            ModelConfig::Bloom(_) => "bloom",
        }
    }

    /// Rows of the embedding.
    pub fn vocab_size(&self) -> usize {
        match self {
            ModelConfig::Llama(config) => config.vocab_size,
            ModelConfig::Bloom(config) => config.vocab_size,
        }
    }

    /// Width of the residual stream.
    pub fn hidden_size(&self) -> usize {
        match self {
            ModelConfig::Llama(config) => config.hidden_size,
            ModelConfig::Bloom(config) => config.hidden_size,
        }
    }

    /// Number of blocks.
    pub fn num_hidden_layers(&self) -> usize {
        match self {
            ModelConfig::Llama(config) => config.num_hidden_layers,
            ModelConfig::Bloom(config) => config.num_hidden_layers,
        }
    }

    /// Positions the model was made for.
    pub fn max_position_embeddings(&self) -> usize {
        match self {
            ModelConfig::Llama(config) => config.max_position_embeddings,
            ModelConfig::Bloom(config) => config.max_position_embeddings,
        }
    }

    /// Number of parameters, tied embeddings counted once.
    pub fn parameters(&self) -> u64 {
        self.shape().parameters()
    }

    /// What a network of this configuration is made of.
    pub fn shape(&self) -> Shape {
        match self {
            ModelConfig::Llama(config) => config.shape(),
            ModelConfig::Bloom(config) => config.shape(),
        }
    }

    /// The length beyond which positions turn by the length of the whole sequence, so that sequences of
    /// different lengths share nothing; `None` for all models but those of dynamic rotary scaling.
    pub fn length_dependent_beyond(&self) -> Option<usize> {
        match self {
            ModelConfig::Llama(config) => matches!(config.rope_scaling, RopeScaling::Dynamic { .. })
                .then_some(config.max_position_embeddings),
            ModelConfig::Bloom(_) => None,
        }
    }
}

impl From<LlamaConfig> for ModelConfig {
    fn from(config: LlamaConfig) -> Self {
        ModelConfig::Llama(config)
    }
}

impl From<BloomConfig> for ModelConfig {
    fn from(config: BloomConfig) -> Self {
        ModelConfig::Bloom(config)
    }
}
