//! The seam between the networks and what runs them: a forward pass.
//!
//! Whoever plans, scores or counts asks [`ModelConfig`] and [`Network`], and never which kind it is.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use super::{Bloom, Kept, Llama, ModelConfig, ModelError, Residence, Wave};
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
