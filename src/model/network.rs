//! The forward pass of every network that runs here: pre-norm blocks of attention and MLP over one packed wave.
//!
//! What tells LLaMA from BLOOM is in the parts that a network is made of: [`Norm`], [`Positions`], [`Mlp`], and where the
//! residual is taken. `llama` and `bloom` make them of tensors; here they are put to use.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use super::attention::{Heads, Past, attention};
use super::positions::Rotation;
use super::reader::Reader;
use super::rows::for_rows;
use super::{CacheUse, Kept, KvCache, Layers, Linear, Mlp, ModelError, Norm, Positions, Residence, Wave};
use crate::config::{ModelConfig, Shape};
use crate::kernels::{MatMul, Precision, StoredMatrix, VisitBlocks, awake, for_blocks};
use crate::weights::TensorSource;

/// Tokens of one chunk: enough for all threads, few enough that what a layer makes of them is still near when it is read.
pub(super) const CHUNK_TOKENS: usize = 768;
/// Columns of logits in one block, whatever the number of threads: sums over a vocabulary are made of these.
pub const LOGIT_COLUMNS: usize = 512;

/// Is told when a block is done, with the time that was spent on waiting for it, and may break the pass off.
pub type AfterLayer<'a> = dyn FnMut(Duration) -> ControlFlow<()> + Send + 'a;

/// A network that can run.
pub struct Network {
    /// Widths and tensors, which loading, footprint and limits share.
    pub shape: Shape,
    /// Token embedding, `[vocab, hidden]`.
    pub embedding: StoredMatrix<'static>,
    /// The norm of embedded tokens, where there is one.
    pub embedding_norm: Option<Norm>,
    /// How queries and keys know where they stand.
    pub positions: Positions,
    /// The blocks, in the order in which tokens pass them.
    pub layers: Layers<Layer>,
    /// Whether what a block makes is added to what its norms wrote, not to what they read.
    pub residual_after_norm: bool,
    /// The norm after the last block.
    pub norm: Norm,
    /// Output matrix `[vocab, hidden]`, without a bias; made of the embedding where they are tied.
    pub head: Linear,
    /// What is multiplied in attention.
    pub precision: Precision,
}

/// One block's weights.
pub struct Layer {
    /// Norm before attention.
    pub input_norm: Norm,
    /// `[heads * head_dim, hidden]`.
    pub q: Linear,
    /// `[kv_heads * head_dim, hidden]`.
    pub k: Linear,
    /// `[kv_heads * head_dim, hidden]`.
    pub v: Linear,
    /// `[hidden, heads * head_dim]`.
    pub o: Linear,
    /// Norm before the MLP.
    pub post_attention_norm: Norm,
    /// `hidden` to `hidden`.
    pub mlp: Mlp,
}

/// Activations of one wave, allocated once and used by every layer.
struct Buffers {
    q: Array2<f32>, // [tokens, heads * head_dim]
    k: Array2<f32>, // [tokens, kv_heads * head_dim]
    v: Array2<f32>, // [tokens, kv_heads * head_dim]
    // A chunk of the tokens at a time:
    normed: Array2<f32>, // [chunk, hidden]
    inner: Array2<f32>,  // [chunk, intermediate]
    gated: Array2<f32>,  // [chunk, intermediate], or [chunk, 0] without a gate
}

impl Buffers {
    fn new(shape: &Shape, tokens: usize) -> Self {
        let chunk = tokens.min(CHUNK_TOKENS);
        let gated = if shape.is_gated { shape.intermediate_size } else { 0 };
        Self {
            q: Array2::zeros((tokens, shape.queries())),
            k: Array2::zeros((tokens, shape.keys())),
            v: Array2::zeros((tokens, shape.keys())),
            normed: Array2::zeros((chunk, shape.hidden_size)),
            inner: Array2::zeros((chunk, shape.intermediate_size)),
            gated: Array2::zeros((chunk, gated)),
        }
    }
}

impl Network {
    /// A network of `config`'s kind, of the tensors of `source` (Hugging Face's names), in the form that `matmul` takes.
    ///
    /// `config_name` says in errors where the expected shapes come from.
    pub fn load(
        source: Arc<dyn TensorSource>,
        config: &ModelConfig,
        config_name: &str,
        matmul: Box<dyn MatMul>,
        residence: Residence,
    ) -> Result<Self, ModelError> {
        Self::of(Reader::new(source, config, config_name, matmul, residence), config)
    }

    /// A network of `config`'s kind, of the tensors of a reader.
    pub(super) fn of(reader: Reader, config: &ModelConfig) -> Result<Self, ModelError> {
        match config {
            ModelConfig::Llama(config) => Self::llama(reader, config),
            ModelConfig::Bloom(config) => Self::bloom(reader, config),
        }
    }

    /// Hidden states `[kept, hidden]` of a wave after the last block, before the final norm.
    ///
    /// `after_layer` is called when a block is done, with the time that was spent on waiting for that block, and may break the
    /// pass off ([`unwatched`] does not). Token ids must be below the size of the vocabulary.
    ///
    /// # Errors
    /// Blocks that are read while it runs and cannot be read, and a pass that was broken off.
    pub fn forward(
        &self,
        wave: &Wave,
        kept: Kept<'_>,
        after_layer: &mut AfterLayer<'_>,
    ) -> Result<Array2<f32>, ModelError> {
        self.forward_with(&mut KvCache::default(), &CacheUse::default(), wave, kept, after_layer)
    }

    /// The same with a cache: keys and values of what came before are taken from there, and those of rows that are to be kept
    /// are left there.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); what was to be kept is of no use then.
    ///
    /// # Panics
    /// If `places` are not those of this wave: a slot for every given row, what is kept in the order of slots, and a table for
    /// every segment or for none; and if rows that are given are wanted: of them there are no hidden states.
    pub fn forward_with(
        &self,
        cache: &mut KvCache,
        places: &CacheUse<'_>,
        wave: &Wave,
        kept: Kept<'_>,
        after_layer: &mut AfterLayer<'_>,
    ) -> Result<Array2<f32>, ModelError> {
        assert_eq!(places.given.len(), wave.given, "a slot for every given row");
        assert!(places.keep.is_sorted_by_key(|&(_, slot)| slot), "what is kept is sorted by slot");
        let is_computed = |row: usize| row >= wave.given;
        assert!(kept.first().is_none_or(is_computed), "rows that are wanted are computed");
        awake(|| self.pass(cache, places, wave, kept, after_layer))
    }

    fn pass(
        &self,
        cache: &mut KvCache,
        places: &CacheUse<'_>,
        wave: &Wave,
        kept: Kept<'_>,
        after_layer: &mut AfterLayer<'_>,
    ) -> Result<Array2<f32>, ModelError> {
        let mut x = self.embed(wave); // [tokens, hidden]
        let rotation = self.positions.rotation(wave);
        let mut buffers = Buffers::new(&self.shape, wave.tokens.len());
        let mut left = self.layers.len();
        self.layers.for_each(|layer, waited| {
            let number = self.layers.len() - left;
            cache.give(number, &places.given, [buffers.k.view_mut(), buffers.v.view_mut()]);
            self.project(layer, wave.given, rotation.as_ref(), &mut buffers, &mut x);
            cache.keep(number, &places.keep, [buffers.k.view(), buffers.v.view()]);
            let past = (!places.tables.is_empty())
                .then(|| Past { tables: &places.tables, layer: cache.layer(number) });
            attention(self.heads(), wave, past, buffers.q.view_mut(), buffers.k.view(), buffers.v.view());
            left -= 1;
            let mut first = wave.given;
            if left == 0 {
                first = 0;
                // Every token has given its keys and values: of the last block no more is needed than what is kept.
                x = kept.of(std::mem::take(&mut x));
                buffers.q = kept.of(std::mem::take(&mut buffers.q));
            }
            self.add_attended(layer, first, &buffers, &mut x);
            self.feed_forward(layer, first, &mut buffers, &mut x);
            after_layer(waited)
        })?;
        Ok(x)
    }

    /// `x = norm(embedding[token])`
    fn embed(&self, wave: &Wave) -> Array2<f32> {
        let mut x = Array2::zeros((wave.tokens.len(), self.embedding.columns()));
        for_rows(x.view_mut(), |row, x| self.embedding.widen_row(wave.tokens[row] as usize, x));
        match &self.embedding_norm {
            Some(norm) => norm.of(x.view()),
            None => x,
        }
    }

    /// `rotate(q(norm(x)))`, `rotate(k(norm(x)))` and `v(norm(x))`, from row `first` on
    fn project(
        &self,
        layer: &Layer,
        first: usize,
        rotation: Option<&Rotation>,
        b: &mut Buffers,
        x: &mut Array2<f32>,
    ) {
        for rows in chunks(first..x.nrows()) {
            let mut x = x.slice_mut(s![rows.clone(), ..]);
            let mut normed = b.normed.slice_mut(s![..rows.len(), ..]);
            layer.input_norm.apply(x.view(), normed.view_mut());
            let [mut q, mut k, mut v] =
                [&mut b.q, &mut b.k, &mut b.v].map(|all| all.slice_mut(s![rows.clone(), ..]));
            let outputs = [q.view_mut(), k.view_mut(), v.view_mut()];
            Linear::apply_all([&layer.q, &layer.k, &layer.v], normed.view(), outputs);
            if let Some(rotation) = rotation {
                rotation.apply(rows.start, q);
                rotation.apply(rows.start, k);
            }
            self.keep_for_residual(normed.view(), x.view_mut());
        }
    }

    /// `x += o(q)`, from row `first` on
    fn add_attended(&self, layer: &Layer, first: usize, b: &Buffers, x: &mut Array2<f32>) {
        for rows in chunks(first..x.nrows()) {
            layer.o.add(b.q.slice(s![rows.clone(), ..]), x.slice_mut(s![rows, ..]));
        }
    }

    /// `x += mlp(norm(x))`, from row `first` on
    fn feed_forward(&self, layer: &Layer, first: usize, b: &mut Buffers, x: &mut Array2<f32>) {
        for rows in chunks(first..x.nrows()) {
            let mut x = x.slice_mut(s![rows.clone(), ..]);
            let [mut normed, mut inner, gated] = [&mut b.normed, &mut b.inner, &mut b.gated]
                .map(|chunk| chunk.slice_mut(s![..rows.len(), ..]));
            layer.post_attention_norm.apply(x.view(), normed.view_mut());
            layer.mlp.activate(normed.view(), inner.view_mut(), gated);
            self.keep_for_residual(normed.view(), x.view_mut());
            layer.mlp.down.add(inner.view(), x.view_mut());
        }
    }

    fn keep_for_residual(&self, normed: ArrayView2<f32>, mut x: ArrayViewMut2<f32>) {
        if self.residual_after_norm {
            x.assign(&normed);
        }
    }

    fn heads(&self) -> Heads<'_> {
        Heads {
            queries: self.shape.num_attention_heads,
            keys: self.shape.num_key_value_heads,
            head_dim: self.shape.head_dim,
            slopes: self.positions.slopes(),
            precision: self.precision,
        }
    }

    /// Logits `[rows, vocab]` for hidden states `[rows, hidden]` of [`forward`](Self::forward).
    ///
    /// Ask for few rows at a time: the result is `rows * vocab_size` numbers.
    pub fn logits(&self, hidden: ArrayView2<f32>) -> Array2<f32> {
        let mut logits = Array2::zeros((hidden.nrows(), self.head.weight.rows()));
        awake(|| self.head.apply(self.norm.of(hidden).view(), logits.view_mut()));
        logits
    }

    /// The same logits block by block (rows of `hidden`, tokens, logits), each once and none kept, on all threads. Blocks are
    /// cut at the same tokens whatever the rows and the number of threads.
    pub fn visit_logits(&self, hidden: ArrayView2<f32>, visit: &VisitBlocks<'_>) {
        assert!(self.head.bias.is_none(), "output matrices of this family have no bias");
        for_blocks(self.head.weight.as_ref(), self.norm.of(hidden).view(), LOGIT_COLUMNS, visit);
    }

    /// Calls `work` with every linear layer that a token passes, the output matrix last.
    ///
    /// # Errors
    /// Blocks that cannot be read.
    pub fn for_each_linear(&self, mut work: impl FnMut(&Linear)) -> Result<(), ModelError> {
        self.layers.for_each(|Layer { q, k, v, o, mlp, .. }, _| {
            [q, k, v, o].into_iter().chain(mlp.linears()).for_each(&mut work);
            ControlFlow::Continue(())
        })?;
        work(&self.head);
        Ok(())
    }
}

/// For passes that nobody watches.
pub fn unwatched(_: Duration) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Chunks of the rows of a wave: where a layer needs no other tokens, wide buffers stay small and near.
fn chunks(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(CHUNK_TOKENS).map(move |start| start..end.min(start + CHUNK_TOKENS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_token_once() {
        for tokens in [0, 1, CHUNK_TOKENS, CHUNK_TOKENS + 1, 5 * CHUNK_TOKENS - 1] {
            for first in [0, tokens / 3, tokens] {
                let rows: Vec<usize> = chunks(first..tokens).flatten().collect();
                assert_eq!(rows, (first..tokens).collect::<Vec<_>>());
                assert!(chunks(first..tokens).all(|chunk| (1..=CHUNK_TOKENS).contains(&chunk.len())));
            }
        }
    }
}
