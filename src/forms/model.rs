//! A model as `transformers` knows it: tensors under Hugging Face's names, a configuration, and the small files
//! that go with them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::weights::{Dtype, TensorSource};

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
    /// The type that most elements have; F32 for a model without any.
    pub fn dtype(&self) -> Dtype {
        prevailing(self.tensors.tensors().iter().map(|info| (info.dtype, info.shape.as_slice())))
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

/// The type of most elements; F32 for a model without any.
pub(crate) fn prevailing<'a>(tensors: impl Iterator<Item = (Dtype, &'a [usize])>) -> Dtype {
    let mut elements: BTreeMap<&str, (usize, Dtype)> = BTreeMap::new();
    for (dtype, shape) in tensors {
        let (sum, _) = elements.entry(dtype.name()).or_insert((0, dtype));
        *sum = sum.saturating_add(shape.iter().fold(1, |product, &dim| product.saturating_mul(dim)));
    }
    elements
        .into_values()
        .filter(|(sum, _)| *sum > 0)
        .max_by_key(|(sum, _)| *sum)
        .map_or(Dtype::F32, |(_, dtype)| dtype)
}
