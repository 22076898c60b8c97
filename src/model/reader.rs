//! Named tensors → linear layers, norms and embeddings, every shape checked before a value is read.
//!
//! What a tensor is called and which shape it has says the [`Shape`]; `llama` and `bloom` ask for parts by name.

use std::sync::Arc;

use ndarray::Array1;

use super::{Layers, Linear, ModelError, Norm, Residence};
use crate::base::stop::Stop;
use crate::config::{HEAD, ModelConfig, ModuleShape, Shape};
use crate::forms::{about_other_head, has_other_head, refuse_unread};
use crate::kernels::{MatMul, StoredMatrix};
use crate::weights::{Access, TensorSource, TensorView, WeightsError};

/// Reads the tensors of one model.
pub struct Reader {
    /// Names and shapes.
    pub shape: Shape,
    /// How linear layers are multiplied.
    pub matmul: Box<dyn MatMul>,
    source: Arc<dyn TensorSource>,
    config_name: String,
    residence: Residence,
    stop: Stop,
}

/// The tensors whose names begin alike: those of one block, or all outside of them.
pub struct Block<'a> {
    /// Reads them.
    pub reader: &'a Reader,
    prefix: String,
}

impl Reader {
    /// Reads the tensors of `source`, under Hugging Face's names, in the shapes of a configuration. `config_name` says in
    /// errors where these come from.
    pub fn new(
        source: Arc<dyn TensorSource>,
        config: &ModelConfig,
        config_name: &str,
        matmul: Box<dyn MatMul>,
        residence: Residence,
    ) -> Self {
        let config_name = config_name.to_owned();
        Self { shape: config.shape(), matmul, source, config_name, residence, stop: Stop::default() }
    }

    /// The same, which begins no block any more once that is asked for.
    #[must_use]
    pub fn until(self, stop: &Stop) -> Self {
        Self { stop: stop.clone(), ..self }
    }

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

    /// The tensors outside of the blocks.
    pub fn outside(&self) -> Block<'_> {
        Block { reader: self, prefix: self.shape.prefix.to_owned() }
    }

    /// The tensors of block number `index`, whose bytes are asked for.
    pub fn block(&self, index: usize) -> Block<'_> {
        let prefix = self.shape.prefix_of(index);
        let infos = self.source.tensors();
        let first = infos.partition_point(|info| info.name < prefix);
        for info in infos[first..].iter().take_while(|info| info.name.starts_with(&prefix)) {
            self.source.hint(&info.name, Access::Soon);
        }
        Block { reader: self, prefix }
    }

    /// All blocks, each read by `read`.
    pub fn layers<L: Send + Sync>(
        self,
        read: impl Fn(&Reader, usize) -> Result<L, ModelError> + Send + Sync + 'static,
    ) -> Result<Layers<L>, ModelError> {
        refuse_unread(self.source.as_ref(), &self.shape, &self.config_name).map_err(WeightsError::from)?;
        let count = self.shape.num_hidden_layers;
        let residence = self.residence;
        let read =
            move |index| if self.stop.is_requested() { Err(ModelError::Stopped) } else { read(&self, index) };
        Layers::new(count, residence, Box::new(read))
    }

    /// Gives the bytes of a tensor back.
    fn done(&self, name: &str) {
        let access = match self.residence {
            Residence::Memory => Access::Done,
            Residence::Disk => Access::Forget,
        };
        self.source.hint(name, access);
    }

    /// The matrix `name`, as it is stored; [`done`](Self::done) when it has been used.
    fn matrix(&self, name: &str, part: ModuleShape) -> Result<StoredMatrix<'_>, ModelError> {
        let (rows, columns) = (part.out, part.input.expect("a linear layer"));
        let TensorView { info, data } = self.tensor(name, &[rows, columns])?;
        Ok(StoredMatrix::new(info.dtype, rows, columns, data)?)
    }

    /// The vector `name`.
    fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>, ModelError> {
        let values = self.tensor(name, &[length])?.to_f32()?;
        self.done(name);
        Ok(Array1::from_vec(values))
    }

    /// The token embedding `[vocab, hidden]`, and the output matrix of the same shape, made of the embedding if they are tied.
    pub fn ends(&self) -> Result<(StoredMatrix<'static>, Linear), ModelError> {
        let part = self.shape.embedding;
        let name = format!("{}{}.weight", self.shape.prefix, part.name);
        let embedding = self.matrix(&name, part)?.into_owned();
        let head = if self.shape.tie_word_embeddings {
            if has_other_head(self.source.as_ref(), &self.shape) {
                tracing::warn!("{}: {}", self.place(), about_other_head(&self.config_name));
            }
            Linear::new(self.matmul.as_ref(), &embedding, None)
        } else {
            let name = format!("{HEAD}.weight");
            let head = Linear::new(self.matmul.as_ref(), &self.matrix(&name, self.shape.head())?, None);
            self.done(&name);
            head
        };
        self.done(&name);
        Ok((embedding, head))
    }

    fn place(&self) -> String {
        self.source.files().first().map_or_else(|| "weights".to_owned(), |file| file.display().to_string())
    }
}

impl Block<'_> {
    /// Calls `work` with a matrix as it is stored, and its bias if there is one.
    pub fn with_matrix<T>(
        &self,
        name: &str,
        work: impl FnOnce(&dyn MatMul, &StoredMatrix<'_>, Option<Array1<f32>>) -> T,
    ) -> Result<T, ModelError> {
        let Self { reader, prefix } = self;
        let part = reader.shape.part(name);
        let weight = format!("{prefix}{name}.weight");
        let bias = match part.bias {
            true => Some(reader.vector(&format!("{prefix}{name}.bias"), part.out)?),
            false => None,
        };
        let made = work(reader.matmul.as_ref(), &reader.matrix(&weight, part)?, bias);
        reader.done(&weight);
        Ok(made)
    }

    /// The linear layer `NAME.weight`, with its bias where the shape says that there is one.
    pub fn linear(&self, name: &str) -> Result<Linear, ModelError> {
        self.with_matrix(name, Linear::new)
    }

    fn vector(&self, name: &str, end: &str) -> Result<Array1<f32>, ModelError> {
        self.reader.vector(&format!("{}{name}.{end}", self.prefix), self.reader.shape.part(name).out)
    }

    /// An RMSNorm.
    pub fn rms_norm(&self, name: &str, eps: f32) -> Result<Norm, ModelError> {
        Ok(Norm::Rms { weight: self.vector(name, "weight")?, eps })
    }

    /// A LayerNorm.
    pub fn layer_norm(&self, name: &str, eps: f32) -> Result<Norm, ModelError> {
        Ok(Norm::Layer { weight: self.vector(name, "weight")?, bias: self.vector(name, "bias")?, eps })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::base::fault::FaultKind;
    use crate::config::{BloomConfig, ModelConfig};
    use crate::model::{Checkpoint, ModelError, Residence};

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
