//! The model that is measured: one from files, or random weights in some shape, loaded in a precision.

use std::path::PathBuf;
use std::sync::Arc;

use super::{BenchError, RandomTensors};
use crate::base::machine::Memory;
use crate::config::{LlamaConfig, ModelConfig};
use crate::engine::{Placement, TooLarge};
use crate::forms::Renamed;
use crate::kernels::{Native, Precision};
use crate::model::{Checkpoint, Footprint, Network, Residence};
use crate::weights::{Dtype, TensorInfo, TensorSource, type_of_most};

/// A model to be measured.
pub struct BenchModel {
    /// The name in tables.
    pub name: String,
    /// Shape and constants, with the layers that are measured.
    pub config: ModelConfig,
    /// Layers of the whole model.
    pub all_layers: usize,
    source: Arc<dyn TensorSource>,
    config_name: String,
}

impl BenchModel {
    /// Random weights of a shape.
    pub fn random(name: &str, config: LlamaConfig) -> Self {
        let config = ModelConfig::from(config);
        Self {
            name: name.to_owned(),
            all_layers: config.num_hidden_layers(),
            source: Arc::new(RandomTensors::new(&config.shape())),
            config,
            config_name: name.to_owned(),
        }
    }

    /// A model of files.
    pub fn of_files(name: &str, checkpoint: Checkpoint) -> Self {
        Self {
            name: name.to_owned(),
            all_layers: checkpoint.config.num_hidden_layers(),
            source: checkpoint.weights,
            config: checkpoint.config,
            config_name: checkpoint.config_name,
        }
    }

    /// Leaves out all but the first `layers`; a model that has fewer stays whole.
    pub fn cut(&mut self, layers: usize) {
        let layers = layers.min(self.all_layers);
        match &mut self.config {
            ModelConfig::Llama(config) => config.num_hidden_layers = layers,
            ModelConfig::Bloom(config) => config.num_hidden_layers = layers,
        }
        let shape = self.config.shape();
        let is_kept = |info: &TensorInfo| shape.block_of(&info.name).is_none_or(|index| index < layers);
        self.source = Arc::new(Renamed::only(Arc::clone(&self.source), is_kept));
    }

    /// The type of most of its weights, in bytes.
    pub fn weights(&self) -> Dtype {
        type_of_most(self.source.tensors()).unwrap_or(Dtype::F32)
    }

    /// The largest file of weights; random ones have none.
    pub fn largest_file(&self) -> Option<PathBuf> {
        let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.source.files().into_iter().max_by_key(size)
    }

    /// Loads it for products of `precision`, if it fits into memory beside a pass of `tokens` tokens.
    pub fn load(&self, precision: Precision, tokens: usize) -> Result<Network, BenchError> {
        let matmul = Native::new(precision);
        let footprint = Footprint::new(self.source.tensors(), &self.config, &matmul)?;
        let available = Memory::read().map_or(u64::MAX, |memory| memory.available);
        Placement::decide(&footprint, available, Some(tokens), Some(Residence::Memory)).map_err(
            |TooLarge { needed, available, .. }| {
                let name = self.name.clone();
                BenchError::TooLarge { name, precision, tokens, needed, available }
            },
        )?;
        let source = Arc::clone(&self.source);
        let name = self.config_name.as_str();
        Ok(Network::load(source, &self.config, name, Box::new(matmul), Residence::Memory)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_shapes_are_measured_alike_and_cut_where_asked() {
        for case in ["llama/gqa-tied", "bloom/heads-4"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(case);
            let mut subject = BenchModel::of_files(case, Checkpoint::open(&folder).unwrap());
            assert!(subject.largest_file().is_some(), "{case}");
            subject.cut(1);
            let loaded = subject.load(Precision::Exact, 8).unwrap();
            assert_eq!((loaded.layers.len(), subject.all_layers > 1), (1, true), "{case}");
            let (mut count, mut rows) = (0, 0);
            let see = |linear: &crate::model::Linear| (count, rows) = (count + 1, linear.weight.rows());
            loaded.for_each_linear(see).unwrap();
            let expected = if case.starts_with("llama") { 8 } else { 7 };
            assert_eq!((count, rows), (expected, subject.config.vocab_size()), "{case}");
            let footprint =
                Footprint::new(subject.source.tensors(), &subject.config, &Native::new(Precision::Exact))
                    .unwrap();
            assert_eq!(footprint.layers, footprint.largest_layer, "{case}: one layer is left");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers() {
        let shape = super::super::shape("smollm2-135m").unwrap();
        let subject = BenchModel::random("a-shape", shape);
        if Memory::read().is_none() {
            eprintln!("SKIPPED: this system does not say how much memory it has");
            return;
        }
        let error = subject.load(Precision::Int8, usize::MAX).err().unwrap().to_string();
        assert!(error.contains("a-shape needs") && error.contains("--layers"), "{error}");
    }
}
