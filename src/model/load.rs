//! LLaMA's named tensors → [`Llama`].

use std::sync::Arc;

use super::llama::Layer;
use super::reader::Reader;
use super::{Layers, Llama, LlamaConfig, ModelError, Residence};
use crate::kernels::MatMul;
use crate::weights::TensorSource;

/// What the names of a block begin with.
const LAYERS: &str = "model.layers.";

impl Llama {
    /// A model of Hugging Face's names.
    ///
    /// `config_name` says in errors where the expected shapes come from.
    pub fn load(
        source: Arc<dyn TensorSource>,
        config: LlamaConfig,
        config_name: &str,
        matmul: Box<dyn MatMul>,
        residence: Residence,
    ) -> Result<Self, ModelError> {
        let precision = matmul.precision();
        let reader = Reader { source, config_name: config_name.to_owned(), matmul, residence };
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let (embedding, head) =
            reader.ends("model.embed_tokens.weight", [vocab, hidden], config.tie_word_embeddings)?;
        let norm = reader.vector("model.norm.weight", hidden)?;
        reader.warn_about_leftovers(LAYERS, config.num_hidden_layers);
        let (count, shape) = (config.num_hidden_layers, config.clone());
        let layers = Layers::new(count, residence, Box::new(move |index| layer(&reader, &shape, index)))?;
        Ok(Self { config, embedding, layers, norm, head, precision })
    }
}

/// Block number `index`.
fn layer(reader: &Reader, config: &LlamaConfig, index: usize) -> Result<Layer, ModelError> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let queries = config.num_attention_heads * config.head_dim;
    let keys = config.num_key_value_heads * config.head_dim;
    let prefix = format!("{LAYERS}{index}.");
    reader.read_ahead(&prefix);
    let norm = |name: &str| reader.vector(&format!("{prefix}{name}.weight"), hidden);
    let attention = |name: &str, out, input| {
        reader.linear(&format!("{prefix}self_attn.{name}"), [out, input], config.attention_bias)
    };
    let mlp =
        |name: &str, out, input| reader.linear(&format!("{prefix}mlp.{name}"), [out, input], config.mlp_bias);
    Ok(Layer {
        input_norm: norm("input_layernorm")?,
        q: attention("q_proj", queries, hidden)?,
        k: attention("k_proj", keys, hidden)?,
        v: attention("v_proj", keys, hidden)?,
        o: attention("o_proj", hidden, queries)?,
        post_attention_norm: norm("post_attention_layernorm")?,
        gate: mlp("gate_proj", inner, hidden)?,
        up: mlp("up_proj", inner, hidden)?,
        down: mlp("down_proj", hidden, inner)?,
    })
}
