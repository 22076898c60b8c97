//! Named tensors → [`Llama`], every shape checked against the configuration.

use std::collections::BTreeSet;

use ndarray::{Array1, Array2};
use rayon::prelude::*;

use super::llama::Layer;
use super::{Linear, Llama, LlamaConfig, ModelError};
use crate::kernels::MatMul;
use crate::weights::TensorSource;

/// Suffixes of tensors that checkpoints carry and the forward pass computes itself.
const IGNORED_SUFFIXES: [&str; 1] = ["rotary_emb.inv_freq"];

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
        let embedding = reader.matrix("model.embed_tokens.weight", vocab, hidden)?;
        let lm_head = match config.tie_word_embeddings {
            true => {
                reader.warn_about_other_head(&embedding);
                None
            }
            false => Some(reader.linear("lm_head", vocab, hidden, false)?),
        };
        let norm = reader.vector("model.norm.weight", hidden)?;
        reader.warn_about_leftovers(&config);
        Ok(Self { config, embedding, layers, norm, lm_head, matmul })
    }
}

struct Reader<'a> {
    source: &'a dyn TensorSource,
    config_name: &'a str,
}

impl Reader<'_> {
    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let tensor = self.source.tensor(name)?;
        if tensor.info.shape != shape {
            return Err(ModelError::Shape {
                file: self.place(),
                tensor: name.to_owned(),
                config: self.config_name.to_owned(),
                expected: shape.to_vec(),
                found: tensor.info.shape.clone(),
            });
        }
        Ok(tensor.to_f32()?)
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Array2<f32>, ModelError> {
        let values = self.values(name, &[rows, columns])?;
        Array2::from_shape_vec((rows, columns), values).map_err(|_| ModelError::Shape {
            file: self.place(),
            tensor: name.to_owned(),
            config: self.config_name.to_owned(),
            expected: vec![rows, columns],
            found: vec![],
        })
    }

    fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>, ModelError> {
        Ok(Array1::from_vec(self.values(name, &[length])?))
    }

    fn linear(&self, name: &str, out: usize, input: usize, bias: bool) -> Result<Linear, ModelError> {
        Ok(Linear {
            weight: self.matrix(&format!("{name}.weight"), out, input)?,
            bias: if bias { Some(self.vector(&format!("{name}.bias"), out)?) } else { None },
        })
    }

    fn place(&self) -> String {
        self.source.files().first().map_or_else(|| "weights".to_owned(), |file| file.display().to_string())
    }

    /// transformers ties the head whatever the file says; a different head would silently be lost.
    fn warn_about_other_head(&self, embedding: &Array2<f32>) {
        let Ok(head) = self.source.tensor("lm_head.weight") else { return };
        if head.to_f32().is_ok_and(|values| embedding.as_slice() != Some(values.as_slice())) {
            tracing::warn!(
                "{}: {} says that the output matrix is the embedding, but lm_head.weight differs from it; \
                 the embedding is used",
                self.place(),
                self.config_name
            );
        }
    }

    fn warn_about_leftovers(&self, config: &LlamaConfig) {
        let beyond: BTreeSet<&str> = self
            .source
            .tensors()
            .iter()
            .map(|info| info.name.as_str())
            .filter(|name| {
                let layer = name.strip_prefix("model.layers.").and_then(|rest| rest.split('.').next());
                layer.and_then(|n| n.parse().ok()).is_some_and(|n: usize| n >= config.num_hidden_layers)
                    && !IGNORED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
            })
            .collect();
        if let Some(first) = beyond.first() {
            tracing::warn!(
                "{}: {} tensors belong to layers beyond the {} of {} (first: {first}); they are not used",
                self.place(),
                beyond.len(),
                config.num_hidden_layers,
                self.config_name
            );
        }
    }
}
