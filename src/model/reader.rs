//! Named tensors → matrices and vectors of f32, every shape checked before a value is read.

use std::collections::BTreeSet;

use ndarray::{Array1, Array2};

use super::norm::LayerNorm;
use super::{Linear, ModelError};
use crate::weights::{TensorSource, WeightsError};

/// Suffixes of tensors that checkpoints carry and the forward pass computes itself.
const IGNORED_SUFFIXES: [&str; 1] = ["rotary_emb.inv_freq"];

/// Reads the tensors of one model.
pub struct Reader<'a> {
    /// The tensors, under Hugging Face's names.
    pub source: &'a dyn TensorSource,
    /// Where the expected shapes come from, for errors.
    pub config_name: &'a str,
}

impl Reader<'_> {
    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let tensor = self.source.tensor(name).map_err(|error| match error {
            WeightsError::MissingTensor { file, name } => ModelError::MissingTensor {
                file: file.display().to_string(),
                tensor: name,
                config: self.config_name.to_owned(),
            },
            other => other.into(),
        })?;
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

    /// The tensor `name` of shape `[rows, columns]`.
    pub fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Array2<f32>, ModelError> {
        let values = self.values(name, &[rows, columns])?;
        Array2::from_shape_vec((rows, columns), values).map_err(|_| ModelError::Shape {
            file: self.place(),
            tensor: name.to_owned(),
            config: self.config_name.to_owned(),
            expected: vec![rows, columns],
            found: vec![],
        })
    }

    /// The tensor `name` of shape `[length]`.
    pub fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>, ModelError> {
        Ok(Array1::from_vec(self.values(name, &[length])?))
    }

    /// `name.weight` of shape `[out, input]`, and `name.bias` of shape `[out]` if there is to be one.
    pub fn linear(&self, name: &str, out: usize, input: usize, bias: bool) -> Result<Linear, ModelError> {
        Ok(Linear {
            weight: self.matrix(&format!("{name}.weight"), out, input)?,
            bias: if bias { Some(self.vector(&format!("{name}.bias"), out)?) } else { None },
        })
    }

    /// `name.weight` and `name.bias`, both of shape `[length]`.
    pub fn layer_norm(&self, name: &str, length: usize) -> Result<LayerNorm, ModelError> {
        Ok(LayerNorm {
            weight: self.vector(&format!("{name}.weight"), length)?,
            bias: self.vector(&format!("{name}.bias"), length)?,
        })
    }

    /// The output matrix, of the embedding's shape; `None` if it is the embedding.
    pub fn lm_head(&self, embedding: &Array2<f32>, tied: bool) -> Result<Option<Linear>, ModelError> {
        if tied {
            self.warn_about_other_head(embedding);
            return Ok(None);
        }
        let (vocab, hidden) = embedding.dim();
        self.linear("lm_head", vocab, hidden, false).map(Some)
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

    /// Notes tensors `PREFIX.N.…` of layers that the configuration does not have.
    pub fn warn_about_leftovers(&self, prefix: &str, layers: usize) {
        let beyond: BTreeSet<&str> = self
            .source
            .tensors()
            .iter()
            .map(|info| info.name.as_str())
            .filter(|name| {
                let layer = name.strip_prefix(prefix).and_then(|rest| rest.split('.').next());
                layer.and_then(|n| n.parse().ok()).is_some_and(|n: usize| n >= layers)
                    && !IGNORED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
            })
            .collect();
        if let Some(first) = beyond.first() {
            tracing::warn!(
                "{}: {} tensors belong to layers beyond the {} of {} (first: {first}); they are not used",
                self.place(),
                beyond.len(),
                layers,
                self.config_name
            );
        }
    }
}
