//! What a model takes in memory, from the headers of its files alone.

use std::collections::BTreeMap;

use super::ModelError;
use super::network::CHUNK_TOKENS;
use crate::config::{ModelConfig, Shape};
use crate::kernels::MatMul;
use crate::weights::{Dtype, TensorInfo};

/// Bytes of a model's parts in the form that products take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// All blocks.
    pub layers: u64,
    /// The same as they lie in their files: what a pass reads when layers come from the disk.
    pub stored_layers: u64,
    /// Bytes of the largest block, two of which are in memory when layers come from the disk.
    pub largest_layer: u64,
    /// The largest tensor as it lies in its file.
    pub largest_tensor: u64,
    /// Embedding, output matrix and norms, which stay in memory always.
    pub ends: u64,
    /// For each token of a wave: hidden state, queries, keys, values, angles.
    pub per_token: u64,
    /// Of it keys and values, for one block alone.
    pub keys_and_values_per_token: u64,
    /// What a block's layers need for a chunk of tokens, however large the wave is.
    pub buffers: u64,
}

impl Footprint {
    /// Of the tensors that these headers name, multiplied by `matmul`.
    ///
    /// # Errors
    /// Sizes that add up to more bytes than can be counted.
    pub fn new(
        tensors: &[TensorInfo],
        config: &ModelConfig,
        matmul: &dyn MatMul,
    ) -> Result<Self, ModelError> {
        let shape = config.shape();
        let floats = |numbers: usize| numbers as u64 * size_of::<f32>() as u64;
        let angles = if shape.is_rotary { shape.head_dim } else { 0 };
        let inner = shape.intermediate_size * if shape.is_gated { 2 } else { 1 };
        let mut all = Self {
            per_token: floats(shape.hidden_size + shape.queries() + 2 * shape.keys() + angles),
            keys_and_values_per_token: floats(2 * shape.keys()),
            // Beside the block's own buffers, a copy of what a product reads, in the order of its tiles.
            buffers: floats(CHUNK_TOKENS * (shape.hidden_size + inner))
                + (CHUNK_TOKENS * shape.widest_input() * matmul.bytes_of_activation()) as u64,
            ..Self::default()
        };
        let mut blocks = BTreeMap::new();
        for info in tensors {
            all.add(info, &shape, matmul, &mut blocks)
                .ok_or_else(|| ModelError::Uncountable { tensor: info.name.clone() })?;
        }
        all.largest_layer = blocks.into_values().max().unwrap_or(0);
        Ok(all)
    }

    /// Counts one more tensor; `blocks` are the sums over each block. `None` for more than can be counted.
    fn add(
        &mut self,
        info: &TensorInfo,
        shape: &Shape,
        matmul: &dyn MatMul,
        blocks: &mut BTreeMap<usize, u64>,
    ) -> Option<()> {
        let elements = info.elements();
        let stored = info.dtype.bytes_for(elements)? as u64;
        let prepared = match *info.shape {
            [rows, columns] => matmul.prepared_bytes(info.dtype, rows, columns)?,
            _ => Dtype::F32.bytes_for(elements)? as u64,
        };
        self.largest_tensor = stored.max(self.largest_tensor);
        match shape.block_of(&info.name) {
            Some(index) => {
                let block = blocks.entry(index).or_default();
                *block = block.checked_add(prepared)?;
                self.layers = self.layers.checked_add(prepared)?;
                self.stored_layers = self.stored_layers.checked_add(stored)?;
            }
            // The embedding stays as it is stored; the output matrix may be made of it.
            None if info.name.contains("embed") => {
                let head = if shape.tie_word_embeddings { prepared } else { 0 };
                self.ends = self.ends.checked_add(stored)?.checked_add(head)?;
            }
            None => self.ends = self.ends.checked_add(prepared)?,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Native, Precision};
    use crate::model::{Checkpoint, Residence};

    #[test]
    fn headers_say_what_the_model_takes() {
        for case in ["llama/gqa-tied", "llama/mha-untied", "bloom/heads-4"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(case);
            let checkpoint = Checkpoint::open(&folder).unwrap();
            let matmul = Native::new(Precision::Exact);
            let footprint =
                Footprint::new(checkpoint.weights.tensors(), &checkpoint.config, &matmul).unwrap();
            assert!(footprint.layers > footprint.largest_layer && footprint.largest_layer > 0, "{case}");
            let layers = checkpoint.config.num_hidden_layers() as u64;
            assert_eq!(footprint.layers, layers * footprint.largest_layer, "{case}: blocks are alike");
            let shape = checkpoint.config.shape();
            let blocks =
                checkpoint.weights.tensors().iter().filter(|info| shape.block_of(&info.name).is_some());
            let stored: usize = blocks.map(|info| info.dtype.bytes_for(info.elements()).unwrap()).sum();
            assert_eq!(footprint.stored_layers, stored as u64, "{case}");
            // At least a byte and at most eight for every parameter: padding, and a tied matrix twice.
            let all = footprint.layers + footprint.ends;
            let parameters = checkpoint.config.parameters();
            assert!(all > parameters && all < 8 * parameters, "{case}: {all} for {parameters}");
            assert!(checkpoint.load(Box::new(matmul), Residence::Disk).is_ok());
        }
    }

    #[test]
    fn sizes_beyond_counting_are_refused() {
        let info =
            |name: &str, rows| TensorInfo { name: name.to_owned(), dtype: Dtype::BF16, shape: vec![rows, 1] };
        let config = crate::config::LlamaConfig::SMOLLM2_135M.into();
        let matmul = Native::new(Precision::Exact);
        let count = |tensors: &[TensorInfo]| Footprint::new(tensors, &config, &matmul);
        assert!(count(&[info("lm_head.weight", 1 << 56)]).is_ok());
        let half = || info("model.norm.weight", 1 << 62);
        let message = count(&[half(), half()]).unwrap_err().to_string();
        assert!(message.contains("model.norm.weight") && message.contains("damaged"), "{message}");
    }
}
