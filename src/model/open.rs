//! A checkpoint on disk: what [`forms::open`] finds there, with a configuration that runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reader::Reader;
use super::{Footprint, ModelError, Network, Residence};
use crate::base::stop::Stop;
use crate::config::ModelConfig;
use crate::forms::{self, FormError, TokenizerSource};
use crate::kernels::MatMul;
use crate::weights::{TensorSource, WeightsError};

/// Weights under HF names, with the configuration that belongs to them.
pub struct Checkpoint {
    /// Folder or file.
    pub path: PathBuf,
    /// The tensors; nothing is read before it is asked for.
    pub weights: Arc<dyn TensorSource>,
    /// Shape and constants.
    pub config: ModelConfig,
    /// The file that the configuration was read from.
    pub config_name: String,
    /// Where its tokenizer is.
    pub tokenizer: TokenizerSource,
}

impl Checkpoint {
    /// Opens a model in any form; see [`forms::open`].
    ///
    /// # Errors
    /// What the form's reader reports, a configuration that no model has or that does not run here, and tensors that its
    /// network would not read.
    pub fn open(path: &Path) -> Result<Self, FormError> {
        let opened = forms::open(path)?;
        let config = opened.config()?;
        let forms::Opened { path, tensors, config_name, tokenizer, .. } = opened;
        forms::refuse_unread(tensors.as_ref(), &config.shape(), &config_name).map_err(WeightsError::from)?;
        Ok(Self { path, weights: tensors.into(), config, config_name, tokenizer })
    }

    /// The network, with its blocks in memory or on the disk.
    pub fn load(&self, matmul: Box<dyn MatMul>, residence: Residence) -> Result<Network, ModelError> {
        Network::load(Arc::clone(&self.weights), &self.config, &self.config_name, matmul, residence)
    }

    /// The same; [`ModelError::Stopped`] between two blocks once that is asked for, now or while it runs from the disk.
    pub fn load_until(
        &self,
        stop: &Stop,
        matmul: Box<dyn MatMul>,
        residence: Residence,
    ) -> Result<Network, ModelError> {
        let source = Arc::clone(&self.weights);
        let reader = Reader::new(source, &self.config, &self.config_name, matmul, residence);
        Network::of(reader.until(stop), &self.config)
    }

    /// What it takes in memory when `matmul` multiplies; nothing but headers is read.
    pub fn footprint(&self, matmul: &dyn MatMul) -> Result<Footprint, ModelError> {
        Footprint::new(self.weights.tensors(), &self.config, matmul)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kept, Wave, unwatched};
    use super::*;
    use crate::kernels;

    fn fixture(case: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llama").join(case)
    }

    #[test]
    fn a_folder_and_its_safetensors_file_are_the_same_model() {
        let folder = Checkpoint::open(&fixture("gqa-tied")).unwrap();
        let file = Checkpoint::open(&fixture("gqa-tied/model.safetensors")).unwrap();
        assert_eq!(folder.config, file.config);
        assert_eq!(folder.weights.tensors(), file.weights.tensors());
    }

    #[test]
    fn reading_ends_early_where_somebody_asks_for_it() {
        let checkpoint = Checkpoint::open(&fixture("gqa-tied")).unwrap();
        let stop = Stop::default();
        let load = |residence| checkpoint.load_until(&stop, kernels::default(), residence);
        let streamed = load(Residence::Disk).unwrap();
        stop.request();
        for residence in [Residence::Memory, Residence::Disk] {
            assert!(matches!(load(residence), Err(ModelError::Stopped)));
        }
        let pass = streamed.forward(&Wave::sequence(&[1, 2]), Kept::All, &mut unwatched);
        assert!(matches!(pass, Err(ModelError::Stopped)));
    }

    #[test]
    fn what_is_not_a_model_says_so() {
        let missing = Checkpoint::open(Path::new("/nonexistent/model")).err().unwrap().to_string();
        assert!(missing.contains("/nonexistent/model"), "{missing}");
    }
}
