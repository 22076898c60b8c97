//! A checkpoint on disk: weights and configuration, in whatever form they lie there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Footprint, ModelError, Network, Residence};
use crate::config::ModelConfig;
use crate::config::gguf::{self, FromTensors};
use crate::config::hf;
use crate::forms::{GgufAsHf, HfModel};
use crate::kernels::MatMul;
use crate::weights::gguf::Metadata;
use crate::weights::{self, GgufFile, TensorSource};

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
    /// A GGUF file's metadata, which also hold its vocabulary.
    pub gguf: Option<Metadata>,
}

impl Checkpoint {
    /// Opens a `.gguf` file, a safetensors or PyTorch file with a `config.json` beside it, a Hugging Face folder, a
    /// folder of Meta's, or a folder with one GGUF file and no `config.json`.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let gguf = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        if gguf(path) {
            return Self::open_gguf(path);
        }
        if let Some(folder) = HfModel::meta_folder(path) {
            return Self::from_hf(HfModel::open_meta(&folder)?);
        }
        if !path.is_dir() {
            let folder = path.parent().unwrap_or_else(|| Path::new("."));
            return Self::open_folder(path, &folder.join("config.json"));
        }
        let config = path.join("config.json");
        if !config.exists() {
            let files = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
            let ggufs: Vec<PathBuf> = files.filter(|file| gguf(file)).collect();
            if let [file] = ggufs.as_slice() {
                return Self::open_gguf(file);
            }
        }
        Self::open_folder(path, &config)
    }

    /// A model in Hugging Face's layout, read or put together; nothing of its tensors is computed yet.
    pub fn from_hf(model: HfModel) -> Result<Self, ModelError> {
        let HfModel { path, tensors, config, config_name, sidecars: _ } = model;
        let config = hf::from_map(&config, &config_name)?;
        Ok(Self { path, weights: tensors.into(), config, config_name, gguf: None })
    }

    fn open_folder(path: &Path, config_path: &Path) -> Result<Self, ModelError> {
        // The weights first: their error says what a model's folder or file has to be.
        let weights = weights::open(path)?;
        let config = hf::read(config_path)?;
        let config_name = config_path.display().to_string();
        Ok(Self { path: path.to_owned(), weights: weights.into(), config, config_name, gguf: None })
    }

    fn open_gguf(path: &Path) -> Result<Self, ModelError> {
        let file = GgufFile::open(path)?;
        let metadata = file.metadata().clone();
        let source = GgufAsHf::new(file)?;
        let rows = |name: &str| {
            let infos = source.tensors();
            infos.iter().find(|info| info.name == name).and_then(|info| info.shape.first().copied())
        };
        let tensors = FromTensors {
            vocab_size: rows("model.embed_tokens.weight").unwrap_or(0),
            has_output: rows("lm_head.weight").is_some(),
            has_rope_factors: source.rope_factors()?.is_some(),
        };
        let config_name = path.display().to_string();
        let config = gguf::read(&metadata, tensors, &config_name)?.into();
        let weights = Arc::new(source);
        Ok(Self { path: path.to_owned(), weights, config, config_name, gguf: Some(metadata) })
    }

    /// The network, with its blocks in memory or on the disk.
    pub fn load(&self, matmul: Box<dyn MatMul>, residence: Residence) -> Result<Network, ModelError> {
        Network::load(Arc::clone(&self.weights), &self.config, &self.config_name, matmul, residence)
    }

    /// What it takes in memory when `matmul` multiplies; nothing but headers is read.
    pub fn footprint(&self, matmul: &dyn MatMul) -> Result<Footprint, ModelError> {
        Footprint::new(self.weights.tensors(), &self.config, matmul)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_not_a_model_says_so() {
        let missing = Checkpoint::open(Path::new("/nonexistent/model")).err().unwrap().to_string();
        assert!(missing.contains("/nonexistent/model"), "{missing}");
    }
}
