//! BLOOM's forward pass (Scao et al. 2022): pre-norm blocks of attention with linear biases and GELU.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::attention::{Heads, attention};
use super::norm::LayerNorm;
use super::{BloomConfig, Linear, Network, Wave, ends};
use crate::kernels::{MatMul, exp};

/// One block's weights.
pub struct BloomLayer {
    /// LayerNorm before attention.
    pub input_norm: LayerNorm,
    /// `[hidden, hidden]`; files hold q, k and v as one matrix.
    pub q: Linear,
    /// `[hidden, hidden]`.
    pub k: Linear,
    /// `[hidden, hidden]`.
    pub v: Linear,
    /// `[hidden, hidden]`.
    pub dense: Linear,
    /// LayerNorm before the MLP.
    pub post_attention_norm: LayerNorm,
    /// `[4 * hidden, hidden]`.
    pub up: Linear,
    /// `[hidden, 4 * hidden]`.
    pub down: Linear,
}

/// A BLOOM model in memory, all weights f32.
pub struct Bloom {
    /// Shape and constants.
    pub config: BloomConfig,
    /// One ALiBi slope per head.
    pub slopes: Vec<f32>,
    /// Token embedding, `[vocab, hidden]`.
    pub embedding: Array2<f32>,
    /// LayerNorm of the embedded tokens.
    pub embedding_norm: LayerNorm,
    /// The blocks.
    pub layers: Vec<BloomLayer>,
    /// Final LayerNorm.
    pub norm: LayerNorm,
    /// Output matrix `[vocab, hidden]`; `None` when tied to the embedding.
    pub lm_head: Option<Linear>,
    /// How linear layers are multiplied.
    pub matmul: Box<dyn MatMul>,
}

/// Activations of one wave, allocated once and used by every layer. `t` rows each.
struct Buffers {
    normed: Array2<f32>,    // [t, hidden]
    q: Array2<f32>,         // [t, hidden]
    k: Array2<f32>,         // [t, hidden]
    v: Array2<f32>,         // [t, hidden]
    attended: Array2<f32>,  // [t, hidden]
    projected: Array2<f32>, // [t, hidden]
    inner: Array2<f32>,     // [t, 4 * hidden]
}

impl Buffers {
    fn new(config: &BloomConfig, tokens: usize) -> Self {
        let zeros = |width| Array2::zeros((tokens, width));
        let hidden = config.hidden_size;
        Self {
            normed: zeros(hidden),
            q: zeros(hidden),
            k: zeros(hidden),
            v: zeros(hidden),
            attended: zeros(hidden),
            projected: zeros(hidden),
            inner: zeros(config.intermediate_size()),
        }
    }
}

impl Network for Bloom {
    fn num_hidden_layers(&self) -> usize {
        self.layers.len()
    }

    fn forward(&self, wave: &Wave, after_layer: &mut dyn FnMut()) -> Array2<f32> {
        let embedded = ends::embed(&self.embedding, wave); // [tokens, hidden]
        let mut x = Array2::zeros(embedded.raw_dim());
        self.embedding_norm.apply(embedded.view(), self.config.layer_norm_epsilon, &mut x);
        let mut buffers = Buffers::new(&self.config, wave.tokens.len());
        for layer in &self.layers {
            self.attend(layer, wave, &mut buffers, &mut x);
            self.feed_forward(layer, &mut buffers, &mut x);
            after_layer();
        }
        x
    }

    fn logits(&self, hidden: ArrayView2<f32>) -> Array2<f32> {
        let mut normed = Array2::zeros(hidden.raw_dim());
        self.norm.apply(hidden, self.config.layer_norm_epsilon, &mut normed);
        ends::logits(self.matmul.as_ref(), normed.view(), self.lm_head.as_ref(), &self.embedding)
    }
}

impl Bloom {
    /// `x += dense(attention(q(norm(x)), k(norm(x)), v(norm(x))))`
    fn attend(&self, layer: &BloomLayer, wave: &Wave, b: &mut Buffers, x: &mut Array2<f32>) {
        let matmul = self.matmul.as_ref();
        layer.input_norm.apply(x.view(), self.config.layer_norm_epsilon, &mut b.normed);
        layer.q.apply(matmul, b.normed.view(), b.q.view_mut());
        layer.k.apply(matmul, b.normed.view(), b.k.view_mut());
        layer.v.apply(matmul, b.normed.view(), b.v.view_mut());
        attention(self.heads(), wave, b.q.view(), b.k.view(), b.v.view(), b.attended.view_mut());
        layer.dense.apply(matmul, b.attended.view(), b.projected.view_mut());
        self.add(b, x);
    }

    /// `x += down(gelu(up(norm(x))))`
    fn feed_forward(&self, layer: &BloomLayer, b: &mut Buffers, x: &mut Array2<f32>) {
        let matmul = self.matmul.as_ref();
        layer.post_attention_norm.apply(x.view(), self.config.layer_norm_epsilon, &mut b.normed);
        layer.up.apply(matmul, b.normed.view(), b.inner.view_mut());
        b.inner.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut row| {
            if let Some(row) = row.as_slice_mut() {
                exp::gelu_tanh(row);
            }
        });
        layer.down.apply(matmul, b.inner.view(), b.projected.view_mut());
        self.add(b, x);
    }

    /// Adds what a sublayer made to what its norm read or, in some models, wrote.
    fn add(&self, b: &Buffers, x: &mut Array2<f32>) {
        if self.config.residual_after_norm {
            x.assign(&b.normed);
        }
        *x += &b.projected;
    }

    fn heads(&self) -> Heads<'_> {
        let heads = self.config.num_attention_heads;
        Heads { queries: heads, keys: heads, head_dim: self.config.head_dim(), slopes: Some(&self.slopes) }
    }
}
