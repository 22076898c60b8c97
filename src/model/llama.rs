//! LLaMA's forward pass (Touvron et al. 2023): pre-norm blocks of rotary attention and SwiGLU.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::attention::{Heads, attention};
use super::norm::rms_norm;
use super::rope::Rotation;
use super::{Linear, LlamaConfig, Network, Wave, ends};
use crate::kernels::{MatMul, exp};

/// One block's weights.
pub struct Layer {
    /// RMSNorm weight before attention, `[hidden]`.
    pub input_norm: Array1<f32>,
    /// `[heads * head_dim, hidden]`.
    pub q: Linear,
    /// `[kv_heads * head_dim, hidden]`.
    pub k: Linear,
    /// `[kv_heads * head_dim, hidden]`.
    pub v: Linear,
    /// `[hidden, heads * head_dim]`.
    pub o: Linear,
    /// RMSNorm weight before the MLP, `[hidden]`.
    pub post_attention_norm: Array1<f32>,
    /// `[intermediate, hidden]`.
    pub gate: Linear,
    /// `[intermediate, hidden]`.
    pub up: Linear,
    /// `[hidden, intermediate]`.
    pub down: Linear,
}

/// A model in memory, all weights f32.
pub struct Llama {
    /// Shape and constants.
    pub config: LlamaConfig,
    /// Token embedding, `[vocab, hidden]`.
    pub embedding: Array2<f32>,
    /// The blocks.
    pub layers: Vec<Layer>,
    /// Final RMSNorm weight, `[hidden]`.
    pub norm: Array1<f32>,
    /// Output matrix `[vocab, hidden]`; `None` when tied to the embedding.
    pub lm_head: Option<Linear>,
    /// How linear layers are multiplied.
    pub matmul: Box<dyn MatMul>,
}

/// Activations of one wave, allocated once and used by every layer. `t` rows each.
struct Buffers {
    normed: Array2<f32>,    // [t, hidden]
    q: Array2<f32>,         // [t, heads * head_dim]
    k: Array2<f32>,         // [t, kv_heads * head_dim]
    v: Array2<f32>,         // [t, kv_heads * head_dim]
    attended: Array2<f32>,  // [t, heads * head_dim]
    projected: Array2<f32>, // [t, hidden]
    gate: Array2<f32>,      // [t, intermediate]
    up: Array2<f32>,        // [t, intermediate]
}

impl Buffers {
    fn new(config: &LlamaConfig, tokens: usize) -> Self {
        let zeros = |width| Array2::zeros((tokens, width));
        let (queries, keys) =
            (config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim);
        Self {
            normed: zeros(config.hidden_size),
            q: zeros(queries),
            k: zeros(keys),
            v: zeros(keys),
            attended: zeros(queries),
            projected: zeros(config.hidden_size),
            gate: zeros(config.intermediate_size),
            up: zeros(config.intermediate_size),
        }
    }
}

impl Network for Llama {
    fn num_hidden_layers(&self) -> usize {
        self.layers.len()
    }

    fn forward(&self, wave: &Wave, after_layer: &mut dyn FnMut()) -> Array2<f32> {
        let mut x = ends::embed(&self.embedding, wave); // [tokens, hidden]
        let rotation = Rotation::new(&self.config, wave);
        let mut buffers = Buffers::new(&self.config, wave.tokens.len());
        for layer in &self.layers {
            self.attend(layer, wave, &rotation, &mut buffers, &mut x);
            self.feed_forward(layer, &mut buffers, &mut x);
            after_layer();
        }
        x
    }

    fn logits(&self, hidden: ArrayView2<f32>) -> Array2<f32> {
        let mut normed = Array2::zeros(hidden.raw_dim());
        rms_norm(hidden, self.norm.view(), self.config.rms_norm_eps, &mut normed);
        ends::logits(self.matmul.as_ref(), normed.view(), self.lm_head.as_ref(), &self.embedding)
    }
}

impl Llama {
    /// `x += o(attention(rope(q(norm(x))), rope(k(norm(x))), v(norm(x))))`
    fn attend(&self, layer: &Layer, wave: &Wave, rotation: &Rotation, b: &mut Buffers, x: &mut Array2<f32>) {
        let matmul = self.matmul.as_ref();
        rms_norm(x.view(), layer.input_norm.view(), self.config.rms_norm_eps, &mut b.normed);
        layer.q.apply(matmul, b.normed.view(), b.q.view_mut());
        layer.k.apply(matmul, b.normed.view(), b.k.view_mut());
        layer.v.apply(matmul, b.normed.view(), b.v.view_mut());
        rotation.apply(b.q.view_mut());
        rotation.apply(b.k.view_mut());
        attention(self.heads(), wave, b.q.view(), b.k.view(), b.v.view(), b.attended.view_mut());
        layer.o.apply(matmul, b.attended.view(), b.projected.view_mut());
        *x += &b.projected;
    }

    /// `x += down(silu(gate(norm(x))) * up(norm(x)))`
    fn feed_forward(&self, layer: &Layer, b: &mut Buffers, x: &mut Array2<f32>) {
        let matmul = self.matmul.as_ref();
        rms_norm(x.view(), layer.post_attention_norm.view(), self.config.rms_norm_eps, &mut b.normed);
        layer.gate.apply(matmul, b.normed.view(), b.gate.view_mut());
        layer.up.apply(matmul, b.normed.view(), b.up.view_mut());
        b.gate.axis_iter_mut(Axis(0)).into_par_iter().zip(b.up.axis_iter(Axis(0))).for_each(
            |(mut gate, up)| {
                if let (Some(gate), Some(up)) = (gate.as_slice_mut(), up.as_slice()) {
                    exp::swiglu(gate, up);
                }
            },
        );
        layer.down.apply(matmul, b.gate.view(), b.projected.view_mut());
        *x += &b.projected;
    }

    fn heads(&self) -> Heads<'static> {
        Heads {
            queries: self.config.num_attention_heads,
            keys: self.config.num_key_value_heads,
            head_dim: self.config.head_dim,
            slopes: None,
        }
    }
}
