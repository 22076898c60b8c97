//! LLaMA (Touvron et al. 2023) of its named tensors: RMSNorm, rotary positions, SwiGLU.

use super::mlp::Activation;
use super::reader::Reader;
use super::{Layer, Mlp, ModelError, Network, Positions};
use crate::config::LlamaConfig;

impl Network {
    /// A LLaMA of the tensors that `reader` reads.
    pub(super) fn llama(reader: Reader, config: &LlamaConfig) -> Result<Self, ModelError> {
        let eps = config.rms_norm_eps as f32;
        let (embedding, head) = reader.ends()?;
        let norm = reader.outside().rms_norm("norm", eps)?;
        Ok(Self {
            shape: reader.shape.clone(),
            embedding,
            embedding_norm: None,
            positions: Positions::Rotary(config.clone()),
            residual_after_norm: false,
            norm,
            head,
            precision: reader.matmul.precision(),
            layers: reader.layers(move |reader, index| Layer::llama(reader, index, eps))?,
        })
    }
}

impl Layer {
    /// Block number `index` of a LLaMA.
    fn llama(reader: &Reader, index: usize, eps: f32) -> Result<Self, ModelError> {
        let block = reader.block(index);
        Ok(Self {
            input_norm: block.rms_norm("input_layernorm", eps)?,
            q: block.linear("self_attn.q_proj")?,
            k: block.linear("self_attn.k_proj")?,
            v: block.linear("self_attn.v_proj")?,
            o: block.linear("self_attn.o_proj")?,
            post_attention_norm: block.rms_norm("post_attention_layernorm", eps)?,
            mlp: Mlp {
                activation: Activation::SwiGlu { gate: block.linear("mlp.gate_proj")? },
                up: block.linear("mlp.up_proj")?,
                down: block.linear("mlp.down_proj")?,
            },
        })
    }
}
