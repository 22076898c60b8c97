//! A model as `transformers` knows it: tensors under Hugging Face's names, a configuration, and the small files
//! that go with them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::FormError;
use crate::base::whole;
use crate::config::{ConfigError, LlamaConfig, ModelConfig, hf};
use crate::weights::{Dtype, TensorSource};

/// Bytes of a small file that are read at most; the largest known `tokenizer.json` has 34 MB.
pub(super) const MAX_SIDECAR: u64 = 256 << 20;

/// A model in Hugging Face's layout, whatever form its files have.
pub struct HfModel {
    /// The folder or file it was opened from; for a derived model, that of the released difference.
    pub path: PathBuf,
    /// The tensors under their Hugging Face names.
    pub tensors: Box<dyn TensorSource>,
    /// The content of `config.json`, read or put together from what the other form says.
    pub config: Map<String, Value>,
    /// Where the configuration comes from, for messages.
    pub config_name: String,
    /// Tokenizer files, `generation_config.json` and the like.
    pub sidecars: Vec<Sidecar>,
}

impl HfModel {
    /// Shape and constants.
    ///
    /// # Errors
    /// A configuration that no model has.
    pub fn configuration(&self) -> Result<ModelConfig, ConfigError> {
        hf::from_map(&self.config, &self.config_name)
    }

    /// The small file called `name`, if the model has it.
    pub fn sidecar(&self, name: &str) -> Option<&Sidecar> {
        self.sidecars.iter().find(|sidecar| sidecar.name == name)
    }

    /// The type that most elements have; F32 for a model without any.
    pub fn dtype(&self) -> Dtype {
        prevailing(self.tensors.tensors().iter().map(|info| (info.dtype, info.shape.as_slice())))
    }
}

/// What a form without `config.json` says of its model.
#[derive(Debug, Clone)]
pub struct Stated {
    /// Shape and constants.
    pub config: LlamaConfig,
    /// What else a `config.json` of the model says.
    pub more: Map<String, Value>,
}

impl Stated {
    /// The content of the `config.json` that says all of it.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut json = self.config.to_json();
        json.extend(self.more.clone());
        json
    }
}

/// A small file that belongs to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// Its name in the model's folder.
    pub name: String,
    /// Where its bytes are.
    pub content: SidecarContent,
}

/// The bytes of a [`Sidecar`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SidecarContent {
    /// In a file, to be copied as it is.
    File(PathBuf),
    /// Made here.
    Bytes(Vec<u8>),
}

impl Sidecar {
    /// Its content.
    ///
    /// # Errors
    /// [`FormError::Io`] if the file cannot be read or is larger than any such file.
    pub fn read(&self) -> Result<Vec<u8>, FormError> {
        self.content.read().map_err(|error| FormError::io(&self.place(), "read", error))
    }

    /// The file that its content is in; its name if that is in no file.
    pub(crate) fn place(&self) -> PathBuf {
        match &self.content {
            SidecarContent::File(path) => path.clone(),
            SidecarContent::Bytes(_) => PathBuf::from(&self.name),
        }
    }
}

impl SidecarContent {
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let path = match self {
            SidecarContent::Bytes(bytes) => return Ok(bytes.clone()),
            SidecarContent::File(path) => path,
        };
        whole::read(path, MAX_SIDECAR)
    }
}

/// The type of most elements; F32 for a model without any.
pub(crate) fn prevailing<'a>(tensors: impl Iterator<Item = (Dtype, &'a [usize])>) -> Dtype {
    let mut elements: BTreeMap<&str, (usize, Dtype)> = BTreeMap::new();
    for (dtype, shape) in tensors {
        let (sum, _) = elements.entry(dtype.name()).or_insert((0, dtype));
        *sum += shape.iter().product::<usize>();
    }
    elements
        .into_values()
        .filter(|(sum, _)| *sum > 0)
        .max_by_key(|(sum, _)| *sum)
        .map_or(Dtype::F32, |(_, dtype)| dtype)
}
