//! A source in memory, for the tests of this room.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::weights::{Dtype, TensorInfo, TensorSource, TensorView, WeightsError};

/// Tensors in memory, sorted by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    infos: Vec<TensorInfo>,
    data: Vec<Vec<u8>>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One more tensor; names must be given in their order.
    pub(crate) fn with(mut self, name: &str, dtype: Dtype, shape: &[usize], data: Vec<u8>) -> Self {
        assert!(self.infos.last().is_none_or(|last| last.name.as_str() < name), "{name} is out of order");
        let info = TensorInfo { name: name.to_owned(), dtype, shape: shape.to_vec() };
        assert_eq!(dtype.bytes_for(info.elements()), Some(data.len()), "{name}");
        self.infos.push(info);
        self.data.push(data);
        self
    }
}

impl TensorSource for Memory {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        match self.infos.iter().position(|info| info.name == name) {
            Some(i) => Ok(TensorView { info: &self.infos[i], data: Cow::Borrowed(&self.data[i]) }),
            None => Err(WeightsError::MissingTensor { file: PathBuf::from("memory"), name: name.to_owned() }),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![PathBuf::from("memory")]
    }
}
