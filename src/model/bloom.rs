//! BLOOM's forward pass (Scao et al. 2022): pre-norm blocks of attention with linear biases and GELU.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use super::attention::{Heads, attention};
use super::chunks::{CHUNK_TOKENS, chunks, for_rows};
use super::norm::LayerNorm;
use super::{BloomConfig, Kept, Layers, Linear, ModelError, Network, Wave, ends};
use crate::kernels::{Precision, StoredMatrix, VisitBlocks, exp};

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

/// A BLOOM model that runs.
pub struct Bloom {
    /// Shape and constants.
    pub config: BloomConfig,
    /// One ALiBi slope per head.
    pub slopes: Vec<f32>,
    /// Token embedding, `[vocab, hidden]`.
    pub embedding: StoredMatrix<'static>,
    /// LayerNorm of the embedded tokens.
    pub embedding_norm: LayerNorm,
    /// The blocks.
    pub layers: Layers<BloomLayer>,
    /// Final LayerNorm.
    pub norm: LayerNorm,
    /// Output matrix `[vocab, hidden]`; made of the embedding where they are tied.
    pub head: Linear,
    /// What is multiplied in attention.
    pub precision: Precision,
}

/// Activations of one wave, allocated once and used by every layer.
struct Buffers {
    q: Array2<f32>, // [tokens, hidden]
    k: Array2<f32>, // [tokens, hidden]
    v: Array2<f32>, // [tokens, hidden]
    // A chunk of the tokens at a time:
    normed: Array2<f32>, // [chunk, hidden]
    inner: Array2<f32>,  // [chunk, 4 * hidden]
}

impl Buffers {
    fn new(config: &BloomConfig, tokens: usize) -> Self {
        let hidden = config.hidden_size;
        let chunk = tokens.min(CHUNK_TOKENS);
        Self {
            q: Array2::zeros((tokens, hidden)),
            k: Array2::zeros((tokens, hidden)),
            v: Array2::zeros((tokens, hidden)),
            normed: Array2::zeros((chunk, hidden)),
            inner: Array2::zeros((chunk, config.intermediate_size())),
        }
    }
}

impl Network for Bloom {
    fn num_hidden_layers(&self) -> usize {
        self.layers.len()
    }

    fn forward(
        &self,
        wave: &Wave,
        kept: Kept<'_>,
        after_layer: &mut dyn FnMut(),
    ) -> Result<Array2<f32>, ModelError> {
        let embedded = ends::embed(&self.embedding, wave); // [tokens, hidden]
        let mut x = Array2::zeros(embedded.raw_dim());
        self.embedding_norm.apply(embedded.view(), self.config.layer_norm_epsilon, x.view_mut());
        drop(embedded);
        let mut buffers = Buffers::new(&self.config, wave.tokens.len());
        let mut left = self.layers.len();
        self.layers.for_each(|layer| {
            self.attend(layer, wave, &mut buffers, &mut x);
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

impl Bloom {
    /// `q = attention(q(norm(x)), k(norm(x)), v(norm(x)))`
    fn attend(&self, layer: &BloomLayer, wave: &Wave, b: &mut Buffers, x: &mut Array2<f32>) {
        for rows in chunks(x.nrows()) {
            let mut x = x.slice_mut(s![rows.clone(), ..]);
            let mut normed = b.normed.slice_mut(s![..rows.len(), ..]);
            layer.input_norm.apply(x.view(), self.config.layer_norm_epsilon, normed.view_mut());
            let [q, k, v] = [&mut b.q, &mut b.k, &mut b.v].map(|all| all.slice_mut(s![rows.clone(), ..]));
            Linear::apply_all([&layer.q, &layer.k, &layer.v], normed.view(), [q, k, v]);
            self.keep_for_residual(normed.view(), x.view_mut());
        }
        attention(self.heads(), wave, b.q.view_mut(), b.k.view(), b.v.view());
    }

    /// `x += dense(q)`
    fn add_attended(&self, layer: &BloomLayer, b: &Buffers, x: &mut Array2<f32>) {
        for rows in chunks(x.nrows()) {
            layer.dense.add(b.q.slice(s![rows.clone(), ..]), x.slice_mut(s![rows, ..]));
        }
    }

    /// `x += down(gelu(up(norm(x))))`
    fn feed_forward(&self, layer: &BloomLayer, b: &mut Buffers, x: &mut Array2<f32>) {
        for rows in chunks(x.nrows()) {
            let mut x = x.slice_mut(s![rows.clone(), ..]);
            let [mut normed, mut inner] =
                [&mut b.normed, &mut b.inner].map(|chunk| chunk.slice_mut(s![..rows.len(), ..]));
            layer.post_attention_norm.apply(x.view(), self.config.layer_norm_epsilon, normed.view_mut());
            layer.up.apply(normed.view(), inner.view_mut());
            for_rows(inner.view_mut(), normed.view(), |inner, _| exp::gelu_tanh(inner));
            self.keep_for_residual(normed.view(), x.view_mut());
            layer.down.add(inner.view(), x.view_mut());
        }
    }

    /// What a sublayer makes is added to what its norm read or, in some models, wrote.
    fn keep_for_residual(&self, normed: ArrayView2<f32>, mut x: ArrayViewMut2<f32>) {
        if self.config.residual_after_norm {
            x.assign(&normed);
        }
    }

    /// The final norm.
    fn normed(&self, hidden: ArrayView2<f32>) -> Array2<f32> {
        let mut normed = Array2::zeros(hidden.raw_dim());
        self.norm.apply(hidden, self.config.layer_norm_epsilon, normed.view_mut());
        normed
    }

    fn heads(&self) -> Heads<'_> {
        let heads = self.config.num_attention_heads;
        Heads {
            queries: heads,
            keys: heads,
            head_dim: self.config.head_dim(),
            slopes: Some(&self.slopes),
            rounded: self.precision != Precision::Exact,
        }
    }
}
