//! What a model takes in memory, from the headers of its files alone.

use std::collections::BTreeMap;

use super::ModelConfig;
use super::chunks::CHUNK_TOKENS;
use crate::kernels::MatMul;
use crate::weights::{Dtype, TensorInfo};

/// Bytes of a model's parts in the form that products take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// All blocks.
    pub layers: u64,
    /// The largest block.
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
    pub fn new(tensors: &[TensorInfo], config: &ModelConfig, matmul: &dyn MatMul) -> Self {
        let mut layers: BTreeMap<usize, u64> = BTreeMap::new();
        let (mut ends, mut largest_tensor) = (0u64, 0);
        for info in tensors {
            let elements = info.elements();
            let stored = info.dtype.bytes_for(elements).unwrap_or(usize::MAX) as u64;
            largest_tensor = stored.max(largest_tensor);
            let prepared = match (info.shape.as_slice(), layer_of(&info.name)) {
                (&[rows, columns], _) => matmul.prepared_bytes(info.dtype, rows, columns),
                _ => Dtype::F32.bytes_for(elements).unwrap_or(usize::MAX) as u64,
            };
            match layer_of(&info.name) {
                Some(layer) => {
                    let sum = layers.entry(layer).or_default();
                    *sum = sum.saturating_add(prepared);
                }
                // The embedding stays as it is stored; the output matrix may be made of it.
                None if info.name.contains("embed") => {
                    ends = ends.saturating_add(stored).saturating_add(if config.ties_ends() {
                        prepared
                    } else {
                        0
                    });
                }
                None => ends = ends.saturating_add(prepared),
            }
        }
        let floats = |numbers: usize| numbers.saturating_mul(size_of::<f32>()) as u64;
        let widths = config.widths();
        Self {
            layers: layers.values().fold(0, |sum, bytes| sum.saturating_add(*bytes)),
            largest_layer: layers.values().copied().max().unwrap_or(0),
            largest_tensor,
            ends,
            per_token: floats(widths.hidden + widths.queries + 2 * widths.keys + widths.angles),
            keys_and_values_per_token: floats(2 * widths.keys),
            // Beside the block's own buffers, a copy of what a product reads, in the order of its tiles.
            buffers: floats(CHUNK_TOKENS.saturating_mul(widths.hidden + widths.inner + widths.widest_input)),
        }
    }
}

/// The number of the layer that a tensor belongs to; `None` if it belongs to none.
pub fn layer_of(name: &str) -> Option<usize> {
    let rest = name.split_once("layers.").or_else(|| name.split_once("h."))?.1;
    rest.split('.').next()?.parse().ok()
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
            let footprint = Footprint::new(checkpoint.weights.tensors(), &checkpoint.config, &matmul);
            assert!(footprint.layers > footprint.largest_layer && footprint.largest_layer > 0, "{case}");
            let layers = checkpoint.config.num_hidden_layers() as u64;
            assert_eq!(footprint.layers, layers * footprint.largest_layer, "{case}: blocks are alike");
            // At least a byte and at most eight for every parameter: padding, and a tied matrix twice.
            let all = footprint.layers + footprint.ends;
            let parameters = checkpoint.config.parameters();
            assert!(all > parameters && all < 8 * parameters, "{case}: {all} for {parameters}");
            assert!(checkpoint.load(Box::new(matmul), Residence::Disk).is_ok());
        }
    }

    #[test]
    fn blocks_are_told_by_their_names() {
        assert_eq!(layer_of("model.layers.12.mlp.up_proj.weight"), Some(12));
        assert_eq!(layer_of("transformer.h.3.ln.weight"), Some(3));
        assert_eq!(
            (layer_of("h.0.x"), layer_of("lm_head.weight"), layer_of("model.norm.weight")),
            (Some(0), None, None)
        );
    }
}
