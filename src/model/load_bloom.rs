//! BLOOM's named tensors → [`Bloom`].

use std::sync::Arc;

use super::bloom::BloomLayer;
use super::reader::Reader;
use super::{Bloom, BloomConfig, Layers, Linear, ModelError, Residence, alibi};
use crate::kernels::MatMul;
use crate::weights::TensorSource;

/// What most checkpoints put before every name; those of BigScience themselves do not.
const PREFIX: &str = "transformer.";

impl Bloom {
    /// A model of Hugging Face's names, with or without `transformer.`.
    ///
    /// `config_name` says in errors where the expected shapes come from.
    pub fn load(
        source: Arc<dyn TensorSource>,
        config: BloomConfig,
        config_name: &str,
        matmul: Box<dyn MatMul>,
        residence: Residence,
    ) -> Result<Self, ModelError> {
        let precision = matmul.precision();
        let reader = Reader { source, config_name: config_name.to_owned(), matmul, residence };
        let bare = reader.source.tensors().iter().any(|info| info.name == "word_embeddings.weight");
        let prefix = if bare { "" } else { PREFIX };
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let (embedding, head) = reader.ends(
            &format!("{prefix}word_embeddings.weight"),
            [vocab, hidden],
            config.tie_word_embeddings,
        )?;
        let embedding_norm = reader.layer_norm(&format!("{prefix}word_embeddings_layernorm"), hidden)?;
        let norm = reader.layer_norm(&format!("{prefix}ln_f"), hidden)?;
        reader.warn_about_leftovers(&format!("{prefix}h."), config.num_hidden_layers);
        let slopes = alibi::slopes(config.num_attention_heads);
        let (count, shape) = (config.num_hidden_layers, config.clone());
        let read = move |index| layer(&reader, &shape, &format!("{prefix}h.{index}."));
        let layers = Layers::new(count, residence, Box::new(read))?;
        Ok(Self { config, slopes, embedding, embedding_norm, layers, norm, head, precision })
    }
}

/// The block whose names begin with `prefix`.
fn layer(reader: &Reader, config: &BloomConfig, prefix: &str) -> Result<BloomLayer, ModelError> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size());
    reader.read_ahead(prefix);
    let norm = |name: &str| reader.layer_norm(&format!("{prefix}{name}"), hidden);
    let linear = |name: &str, out, input| reader.linear(&format!("{prefix}{name}"), [out, input], true);
    let [q, k, v] = fused(reader, config, &format!("{prefix}self_attention.query_key_value"))?;
    Ok(BloomLayer {
        input_norm: norm("input_layernorm")?,
        q,
        k,
        v,
        dense: linear("self_attention.dense", hidden, hidden)?,
        post_attention_norm: norm("post_attention_layernorm")?,
        up: linear("mlp.dense_h_to_4h", inner, hidden)?,
        down: linear("mlp.dense_4h_to_h", hidden, inner)?,
    })
}

/// Queries, keys and values of one fused layer.
fn fused(reader: &Reader, config: &BloomConfig, name: &str) -> Result<[Linear; 3], ModelError> {
    let hidden = config.hidden_size;
    let weight = format!("{name}.weight");
    let matrix = reader.matrix(&weight, 3 * hidden, hidden)?;
    let bias = reader.vector(&format!("{name}.bias"), 3 * hidden)?;
    let parts = [0, 1, 2].map(|part| {
        let rows = rows_of(part, 3 * hidden, config.head_dim());
        let bias = rows.iter().map(|&row| bias[row]).collect();
        Linear::new(reader.matmul.as_ref(), &matrix.select(&rows), Some(bias))
    });
    reader.done(&weight);
    Ok(parts)
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
