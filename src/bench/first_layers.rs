//! The first layers of a model, as if it had no others.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::layer_of;
use crate::weights::{Access, TensorInfo, TensorSource, TensorView, WeightsError};

/// Tensors without those of later layers.
pub struct FirstLayers {
    all: Arc<dyn TensorSource>,
    /// Sorted by name, as all are.
    kept: Vec<TensorInfo>,
}

impl FirstLayers {
    /// Keeps the layers below `layers`, and what belongs to none.
    pub fn new(all: Arc<dyn TensorSource>, layers: usize) -> Self {
        let is_kept = |info: &&TensorInfo| layer_of(&info.name).is_none_or(|layer| layer < layers);
        let kept = all.tensors().iter().filter(is_kept).cloned().collect();
        Self { all, kept }
    }
}

impl TensorSource for FirstLayers {
    fn tensors(&self) -> &[TensorInfo] {
        &self.kept
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        self.all.tensor(name)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.all.files()
    }

    fn hint(&self, name: &str, access: Access) {
        self.all.hint(name, access);
    }
}
