//! LLaMA's named tensors → [`Llama`].

use rayon::prelude::*;

use super::llama::Layer;
use super::reader::Reader;
use super::{Llama, LlamaConfig, ModelError};
use crate::kernels::MatMul;
use crate::weights::TensorSource;

impl Llama {
    /// Reads all weights of `source` (HF names), widened to f32.
    ///
    /// `config_name` says in errors where the expected shapes come from.
    pub fn load(
        source: &dyn TensorSource,
        config: LlamaConfig,
        config_name: &str,
        matmul: Box<dyn MatMul>,
    ) -> Result<Self, ModelError> {
        let reader = Reader { source, config_name };
        let (hidden, inner, vocab) = (config.hidden_size, config.intermediate_size, config.vocab_size);
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        let layers = (0..config.num_hidden_layers)
            .into_par_iter()
            .map(|index| {
                let linear = |name: &str, out, input, bias| {
                    reader.linear(&format!("model.layers.{index}.{name}"), out, input, bias)
                };
                let norm = |name: &str| reader.vector(&format!("model.layers.{index}.{name}.weight"), hidden);
                Ok(Layer {
                    input_norm: norm("input_layernorm")?,
                    q: linear("self_attn.q_proj", queries, hidden, config.attention_bias)?,
                    k: linear("self_attn.k_proj", keys, hidden, config.attention_bias)?,
                    v: linear("self_attn.v_proj", keys, hidden, config.attention_bias)?,
                    o: linear("self_attn.o_proj", hidden, queries, config.attention_bias)?,
                    post_attention_norm: norm("post_attention_layernorm")?,
                    gate: linear("mlp.gate_proj", inner, hidden, config.mlp_bias)?,
                    up: linear("mlp.up_proj", inner, hidden, config.mlp_bias)?,
                    down: linear("mlp.down_proj", hidden, inner, config.mlp_bias)?,
                })
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        let (embedding, lm_head) =
            reader.ends("model.embed_tokens.weight", [vocab, hidden], config.tie_word_embeddings)?;
        let norm = reader.vector("model.norm.weight", hidden)?;
        reader.warn_about_leftovers("model.layers.", config.num_hidden_layers);
        Ok(Self { config, embedding, layers, norm, lm_head, matmul })
    }
}
