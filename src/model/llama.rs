//! LLaMA's forward pass (Touvron et al. 2023): pre-norm blocks of rotary attention and SwiGLU.

use ndarray::{Array1, Array2, ArrayView2, s};

use super::attention::{Heads, attention};
use super::chunks::{CHUNK_TOKENS, chunks, for_rows};
use super::norm::rms_norm;
use super::rope::Rotation;
use super::{Kept, Layers, Linear, LlamaConfig, ModelError, Network, Wave, ends};
use crate::kernels::{Precision, StoredMatrix, VisitBlocks, exp};

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

/// A model that runs.
pub struct Llama {
    /// Shape and constants.
    pub config: LlamaConfig,
    /// Token embedding, `[vocab, hidden]`.
    pub embedding: StoredMatrix<'static>,
    /// The blocks.
    pub layers: Layers<Layer>,
    /// Final RMSNorm weight, `[hidden]`.
    pub norm: Array1<f32>,
    /// Output matrix `[vocab, hidden]`; made of the embedding where they are tied.
    pub head: Linear,
    /// What is multiplied in attention.
    pub precision: Precision,
}

/// Activations of one wave, allocated once and used by every layer.
struct Buffers {
    q: Array2<f32>, // [tokens, heads * head_dim]
    k: Array2<f32>, // [tokens, kv_heads * head_dim]
    v: Array2<f32>, // [tokens, kv_heads * head_dim]
    // A chunk of the tokens at a time:
    normed: Array2<f32>, // [chunk, hidden]
    gate: Array2<f32>,   // [chunk, intermediate]
    up: Array2<f32>,     // [chunk, intermediate]
}

impl Buffers {
    fn new(config: &LlamaConfig, tokens: usize) -> Self {
        let (queries, keys) =
            (config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim);
        let chunk = tokens.min(CHUNK_TOKENS);
        Self {
            q: Array2::zeros((tokens, queries)),
            k: Array2::zeros((tokens, keys)),
            v: Array2::zeros((tokens, keys)),
            normed: Array2::zeros((chunk, config.hidden_size)),
            gate: Array2::zeros((chunk, config.intermediate_size)),
            up: Array2::zeros((chunk, config.intermediate_size)),
        }
    }
}

impl Network for Llama {
    fn num_hidden_layers(&self) -> usize {
        self.layers.len()
    }

    fn forward(
        &self,
        wave: &Wave,
        kept: Kept<'_>,
        after_layer: &mut dyn FnMut(),
    ) -> Result<Array2<f32>, ModelError> {
        let mut x = ends::embed(&self.embedding, wave); // [tokens, hidden]
        let rotation = Rotation::new(&self.config, wave);
        let mut buffers = Buffers::new(&self.config, wave.tokens.len());
        let mut left = self.layers.len();
        self.layers.for_each(|layer| {
            self.attend(layer, wave, &rotation, &mut buffers, &x);
            left -= 1;
            if left == 0 {
                // Every token has given its keys and values: of the last block no more is needed than what is kept.
                x = kept.of(std::mem::take(&mut x));
                buffers.q = kept.of(std::mem::take(&mut buffers.q));
            }
            self.add_attended(layer, &buffers, &mut x);
            self.feed_forward(layer, &mut buffers, &mut x);
            after_layer();
        })?;
        Ok(x)
    }

    fn logits(&self, hidden: ArrayView2<f32>) -> Array2<f32> {
        ends::logits(self.normed(hidden).view(), &self.head)
    }

    fn visit_logits(&self, hidden: ArrayView2<f32>, visit: &VisitBlocks<'_>) {
        ends::visit_logits(self.normed(hidden).view(), &self.head, visit);
    }
}

impl Llama {
    /// `q = attention(rope(q(norm(x))), rope(k(norm(x))), v(norm(x)))`
    fn attend(&self, layer: &Layer, wave: &Wave, rotation: &Rotation, b: &mut Buffers, x: &Array2<f32>) {
        for rows in chunks(x.nrows()) {
            let mut normed = b.normed.slice_mut(s![..rows.len(), ..]);
            rms_norm(
                x.slice(s![rows.clone(), ..]),
                &layer.input_norm,
                self.config.rms_norm_eps,
                normed.view_mut(),
            );
            let [mut q, mut k, mut v] =
                [&mut b.q, &mut b.k, &mut b.v].map(|all| all.slice_mut(s![rows.clone(), ..]));
            let outputs = [q.view_mut(), k.view_mut(), v.view_mut()];
            Linear::apply_all([&layer.q, &layer.k, &layer.v], normed.view(), outputs);
            rotation.apply(rows.start, q);
            rotation.apply(rows.start, k);
        }
        attention(self.heads(), wave, b.q.view_mut(), b.k.view(), b.v.view());
    }

    /// `x += o(q)`
    fn add_attended(&self, layer: &Layer, b: &Buffers, x: &mut Array2<f32>) {
        for rows in chunks(x.nrows()) {
            layer.o.add(b.q.slice(s![rows.clone(), ..]), x.slice_mut(s![rows, ..]));
        }
    }

    /// `x += down(silu(gate(norm(x))) * up(norm(x)))`
    fn feed_forward(&self, layer: &Layer, b: &mut Buffers, x: &mut Array2<f32>) {
        for rows in chunks(x.nrows()) {
            let mut x = x.slice_mut(s![rows.clone(), ..]);
            let [mut normed, mut gate, mut up] =
                [&mut b.normed, &mut b.gate, &mut b.up].map(|chunk| chunk.slice_mut(s![..rows.len(), ..]));
            rms_norm(x.view(), &layer.post_attention_norm, self.config.rms_norm_eps, normed.view_mut());
            let outputs = [gate.view_mut(), up.view_mut()];
            Linear::apply_all([&layer.gate, &layer.up], normed.view(), outputs);
            for_rows(gate.view_mut(), up.view(), exp::swiglu);
            layer.down.add(gate.view(), x.view_mut());
        }
    }

    /// The final norm.
    fn normed(&self, hidden: ArrayView2<f32>) -> Array2<f32> {
        let mut normed = Array2::zeros(hidden.raw_dim());
        rms_norm(hidden, &self.norm, self.config.rms_norm_eps, normed.view_mut());
        normed
    }

    fn heads(&self) -> Heads<'static> {
        Heads {
            queries: self.config.num_attention_heads,
            keys: self.config.num_key_value_heads,
            head_dim: self.config.head_dim,
            slopes: None,
            rounded: self.precision != Precision::Exact,
        }
    }
}
