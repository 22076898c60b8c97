//! BLOOM (Scao et al. 2022) of its named tensors: LayerNorm, linear biases, GELU, and queries, keys and values in one matrix.

use super::mlp::Activation;
use super::positions::slopes;
use super::reader::{Block, Reader};
use super::{Layer, Linear, Mlp, ModelError, Network, Positions};
use crate::config::BloomConfig;

impl Network {
    /// A BLOOM of the tensors that `reader` reads.
    pub(super) fn bloom(reader: Reader, config: &BloomConfig) -> Result<Self, ModelError> {
        let eps = config.layer_norm_epsilon as f32;
        let (embedding, head) = reader.ends()?;
        let embedding_norm = Some(reader.outside().layer_norm("word_embeddings_layernorm", eps)?);
        let norm = reader.outside().layer_norm("ln_f", eps)?;
        Ok(Self {
            shape: reader.shape.clone(),
            embedding,
            embedding_norm,
            positions: Positions::Alibi(slopes(config.num_attention_heads)),
            residual_after_norm: config.residual_after_norm,
            norm,
            head,
            precision: reader.matmul.precision(),
            layers: reader.layers(move |reader, index| Layer::bloom(reader, index, eps))?,
        })
    }
}

impl Layer {
    /// Block number `index` of a BLOOM.
    fn bloom(reader: &Reader, index: usize, eps: f32) -> Result<Self, ModelError> {
        let block = reader.block(index);
        let [q, k, v] = fused(&block, "self_attention.query_key_value")?;
        Ok(Self {
            input_norm: block.layer_norm("input_layernorm", eps)?,
            q,
            k,
            v,
            o: block.linear("self_attention.dense")?,
            post_attention_norm: block.layer_norm("post_attention_layernorm", eps)?,
            mlp: Mlp {
                activation: Activation::Gelu,
                up: block.linear("mlp.dense_h_to_4h")?,
                down: block.linear("mlp.dense_4h_to_h")?,
            },
        })
    }
}

/// Queries, keys and values of one fused layer.
fn fused(block: &Block<'_>, name: &str) -> Result<[Linear; 3], ModelError> {
    let head_dim = block.reader.shape.head_dim;
    block.with_matrix(name, |matmul, matrix, bias| {
        let bias = bias.expect("fused layers have biases");
        [0, 1, 2].map(|part| {
            let rows = rows_of(part, matrix.rows(), head_dim);
            let bias = rows.iter().map(|&row| bias[row]).collect();
            Linear::new(matmul, &matrix.select(&rows), Some(bias))
        })
    })
}

/// Rows of the queries (`part` 0), keys (1) or values (2) of a fused layer, whose rows are `[head][q, k, v][head_dim]`.
fn rows_of(part: usize, rows: usize, head_dim: usize) -> Vec<usize> {
    (0..rows).filter(|row| row / head_dim % 3 == part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_rows_lie_by_head_then_by_kind() {
        assert_eq!(rows_of(1, 12, 2), [2, 3, 8, 9]);
        assert_eq!(rows_of(2, 12, 2), [4, 5, 10, 11]);
    }
}
