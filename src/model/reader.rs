//! Named tensors → linear layers, norms and embeddings, every shape checked before a value is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use ndarray::Array1;

use super::norm::LayerNorm;
use super::{Linear, ModelError, Residence};
use crate::kernels::{MatMul, StoredMatrix};
use crate::weights::{Access, TensorSource, TensorView, WeightsError};

/// Suffixes of tensors that checkpoints carry and the forward pass computes itself.
const IGNORED_SUFFIXES: [&str; 1] = ["rotary_emb.inv_freq"];

/// Reads the tensors of one model.
pub struct Reader {
    /// The tensors, under Hugging Face's names.
    pub source: Arc<dyn TensorSource>,
    /// Where the expected shapes come from, for errors.
    pub config_name: String,
    /// How linear layers are multiplied.
    pub matmul: Box<dyn MatMul>,
    /// Where layers are between two passes.
    pub residence: Residence,
}

impl Reader {
    /// The tensor `name`, whose shape is checked before a value is read.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorView<'_>, ModelError> {
        let tensor = self.source.tensor(name).map_err(|error| match error {
            WeightsError::MissingTensor { file, name } => ModelError::MissingTensor {
                file: file.display().to_string(),
                tensor: name,
                config: self.config_name.clone(),
            },
            other => other.into(),
        })?;
        if tensor.info.shape != shape {
            return Err(ModelError::Shape {
                file: self.place(),
                tensor: name.to_owned(),
                config: self.config_name.clone(),
                expected: shape.to_vec(),
                found: tensor.info.shape.clone(),
            });
        }
        Ok(tensor)
    }

    /// Asks for the bytes of all tensors whose names begin so.
    pub fn read_ahead(&self, prefix: &str) {
        let infos = self.source.tensors();
        let first = infos.partition_point(|info| info.name.as_str() < prefix);
        for info in infos[first..].iter().take_while(|info| info.name.starts_with(prefix)) {
            self.source.hint(&info.name, Access::Soon);
        }
    }

    /// Gives the bytes of a tensor back.
    pub fn done(&self, name: &str) {
        let access = match self.residence {
            Residence::Memory => Access::Done,
            Residence::Disk => Access::Forget,
        };
        self.source.hint(name, access);
    }

    /// The tensor `name` of shape `[rows, columns]`, as it is stored; [`done`](Self::done) when it has been used.
    pub fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<StoredMatrix<'_>, ModelError> {
        let TensorView { info, data } = self.tensor(name, &[rows, columns])?;
        Ok(StoredMatrix::new(info.dtype, rows, columns, data)?)
    }

    /// The tensor `name` of shape `[length]`.
    pub fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>, ModelError> {
        let values = self.tensor(name, &[length])?.to_f32()?;
        self.done(name);
        Ok(Array1::from_vec(values))
    }

    /// `name.weight` of shape `[out, input]`, and `name.bias` of shape `[out]` if there is to be one.
    pub fn linear(&self, name: &str, [out, input]: [usize; 2], bias: bool) -> Result<Linear, ModelError> {
        let weight = format!("{name}.weight");
        let bias = if bias { Some(self.vector(&format!("{name}.bias"), out)?) } else { None };
        let linear = Linear::new(self.matmul.as_ref(), &self.matrix(&weight, out, input)?, bias);
        self.done(&weight);
        Ok(linear)
    }

    /// `name.weight` and `name.bias`, both of shape `[length]`.
    pub fn layer_norm(&self, name: &str, length: usize) -> Result<LayerNorm, ModelError> {
        Ok(LayerNorm {
            weight: self.vector(&format!("{name}.weight"), length)?,
            bias: self.vector(&format!("{name}.bias"), length)?,
        })
    }

    /// The token embedding `name` of shape `[vocab, hidden]`, and the output matrix of the same shape, made of the
    /// embedding if they are tied.
    pub fn ends(
        &self,
        name: &str,
        [vocab, hidden]: [usize; 2],
        tied: bool,
    ) -> Result<(StoredMatrix<'static>, Linear), ModelError> {
        let embedding = self.matrix(name, vocab, hidden)?.into_owned();
        let head = if tied {
            self.warn_about_other_head(name);
            Linear::new(self.matmul.as_ref(), &embedding, None)
        } else {
            self.linear("lm_head", [vocab, hidden], false)?
        };
        self.done(name);
        Ok((embedding, head))
    }

    fn place(&self) -> String {
        self.source.files().first().map_or_else(|| "weights".to_owned(), |file| file.display().to_string())
    }

    /// transformers ties the head whatever the file says; a different head would silently be lost.
    fn warn_about_other_head(&self, embedding: &str) {
        let (Ok(head), Ok(embedding)) = (self.source.tensor("lm_head.weight"), self.source.tensor(embedding))
        else {
            return;
        };
        // Bytes are compared in the file: the matrices can have gigabytes.
        let same = if head.info.dtype == embedding.info.dtype {
            head.data == embedding.data
        } else {
            matches!((head.to_f32(), embedding.to_f32()), (Ok(head), Ok(embedding)) if head == embedding)
        };
        if !same {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::model::{BloomConfig, Checkpoint, ModelConfig, ModelError, Residence};
    use crate::weights::FaultKind;

    fn checkpoint() -> Checkpoint {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bloom/heads-4");
        Checkpoint::open(&folder).unwrap()
    }

    /// The error of loading with a changed configuration.
    fn refused(change: impl Fn(&mut BloomConfig)) -> ModelError {
        let mut checkpoint = checkpoint();
        match &mut checkpoint.config {
            ModelConfig::Bloom(config) => change(config),
            other => panic!("{other:?}"),
        }
        checkpoint.load(crate::kernels::default(), Residence::Memory).err().unwrap()
    }

    #[test]
    fn what_the_files_lack_or_shape_otherwise_is_named_with_what_asks_for_it() {
        let error = refused(|config| config.num_hidden_layers = 3);
        assert_eq!(error.class(), Some(FaultKind::MissingData));
        let message = error.to_string();
        for word in ["transformer.h.2.", "config.json", "model.safetensors", "fetch both"] {
            assert!(message.contains(word), "{word}: {message}");
        }
        let error = refused(|config| config.vocab_size = 54);
        assert_eq!(error.class(), Some(FaultKind::ShapeMismatch));
        assert!(error.to_string().contains("word_embeddings.weight"), "{error}");
        assert_eq!(
            refused(|config| config.tie_word_embeddings = false).class(),
            Some(FaultKind::MissingData)
        );
    }
}
