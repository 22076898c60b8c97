//! The seam between the networks and what runs them: a configuration of some kind, and a forward pass.
//!
//! Whoever plans, scores or counts asks [`ModelConfig`] and [`Network`], and never which kind it is.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use super::{Bloom, BloomConfig, Kept, Llama, LlamaConfig, ModelError, Residence, RopeScaling, Wave};
use crate::kernels::{MatMul, VisitBlocks};
use crate::weights::TensorSource;

/// A network that can run.
pub trait Network: Send + Sync {
    /// Number of blocks; [`forward`](Self::forward) reports each of them.
    fn num_hidden_layers(&self) -> usize;

    /// Hidden states `[kept, hidden]` of a wave after the last block, before the final norm.
    ///
    /// `after_layer` is called when a block is done. Token ids must be below `vocab_size`.
    ///
    /// # Errors
    /// Blocks that are read while it runs and cannot be read.
    fn forward(
        &self,
        wave: &Wave,
        kept: Kept<'_>,
        after_layer: &mut dyn FnMut(),
    ) -> Result<Array2<f32>, ModelError>;

    /// Logits `[rows, vocab]` for hidden states `[rows, hidden]` of [`forward`](Self::forward).
    ///
    /// Ask for few rows at a time: the result is `rows * vocab_size` numbers.
    fn logits(&self, hidden: ArrayView2<f32>) -> Array2<f32>;

    /// The same logits block by block (rows of `hidden`, tokens, logits), each once and none kept, on all threads. Blocks are
    /// cut at the same tokens whatever the rows and the number of threads.
    fn visit_logits(&self, hidden: ArrayView2<f32>, visit: &VisitBlocks<'_>);
}

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
        match self {
            ModelConfig::Llama(config) => config.parameters(),
            ModelConfig::Bloom(config) => config.parameters(),
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

/// Makes a network of `config`'s kind of the tensors of `source` (Hugging Face's names), in the form that `matmul` takes.
///
/// `config_name` says in errors where the expected shapes come from.
pub fn load(
    source: Arc<dyn TensorSource>,
    config: &ModelConfig,
    config_name: &str,
    matmul: Box<dyn MatMul>,
    residence: Residence,
) -> Result<Box<dyn Network>, ModelError> {
    Ok(match config {
        ModelConfig::Llama(config) => {
            Box::new(Llama::load(source, config.clone(), config_name, matmul, residence)?)
        }
        ModelConfig::Bloom(config) => {
            Box::new(Bloom::load(source, config.clone(), config_name, matmul, residence)?)
        }
    })
}
