//! BLOOM's named tensors → [`Bloom`].

use ndarray::Axis;
use rayon::prelude::*;

use super::bloom::BloomLayer;
use super::reader::Reader;
use super::{Bloom, BloomConfig, Linear, ModelError, alibi};
use crate::kernels::MatMul;
use crate::weights::TensorSource;

/// What most checkpoints put before every name; those of BigScience themselves do not.
const PREFIX: &str = "transformer.";

impl Bloom {
    /// Reads all weights of `source` (Hugging Face's names, with or without `transformer.`), widened to f32.
    ///
    /// `config_name` says in errors where the expected shapes come from.
    pub fn load(
        source: &dyn TensorSource,
        config: BloomConfig,
        config_name: &str,
        matmul: Box<dyn MatMul>,
    ) -> Result<Self, ModelError> {
        let reader = Reader { source, config_name };
        let bare = source.tensors().iter().any(|info| info.name == "word_embeddings.weight");
        let prefix = if bare { "" } else { PREFIX };
        let (hidden, inner, vocab) = (config.hidden_size, config.intermediate_size(), config.vocab_size);
        let layers = (0..config.num_hidden_layers)
            .into_par_iter()
            .map(|index| {
                let name = |name: &str| format!("{prefix}h.{index}.{name}");
                let linear = |part: &str, out, input| reader.linear(&name(part), out, input, true);
                let norm = |part: &str| reader.layer_norm(&name(part), hidden);
                let fused = linear("self_attention.query_key_value", 3 * hidden, hidden)?;
                let [q, k, v] = [0, 1, 2].map(|part| one_of_three(&fused, part, config.head_dim()));
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
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        let (embedding, lm_head) = reader.ends(
            &format!("{prefix}word_embeddings.weight"),
            [vocab, hidden],
            config.tie_word_embeddings,
        )?;
        let embedding_norm = reader.layer_norm(&format!("{prefix}word_embeddings_layernorm"), hidden)?;
        let norm = reader.layer_norm(&format!("{prefix}ln_f"), hidden)?;
        reader.warn_about_leftovers(&format!("{prefix}h."), config.num_hidden_layers);
        let slopes = alibi::slopes(config.num_attention_heads);
        Ok(Self { config, slopes, embedding, embedding_norm, layers, norm, lm_head, matmul })
    }
}

/// Queries (`part` 0), keys (1) or values (2) of a fused layer, whose rows are `[head][q, k, v][head_dim]`.
fn one_of_three(fused: &Linear, part: usize, head_dim: usize) -> Linear {
    let rows: Vec<usize> = (0..fused.weight.nrows()).filter(|row| row / head_dim % 3 == part).collect();
    Linear {
        weight: fused.weight.select(Axis(0), &rows),
        bias: fused.bias.as_ref().map(|bias| bias.select(Axis(0), &rows)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2};

    #[test]
    fn fused_rows_lie_by_head_then_by_kind() {
        let row = |(i, _)| i as f32;
        let fused = Linear {
            weight: Array2::from_shape_fn((12, 4), row),
            bias: Some(Array1::from_shape_fn(12, |i| i as f32)),
        };
        let keys = one_of_three(&fused, 1, 2);
        assert_eq!(keys.weight.column(0).to_vec(), [2.0, 3.0, 8.0, 9.0]);
        assert_eq!(keys.bias.unwrap().to_vec(), [2.0, 3.0, 8.0, 9.0]);
        assert_eq!(one_of_three(&fused, 2, 2).weight.column(0).to_vec(), [4.0, 5.0, 10.0, 11.0]);
    }
}
