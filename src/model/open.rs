//! A checkpoint on disk: weights and configuration, in whatever form they lie there.

use std::fs;
use std::path::{Path, PathBuf};

use super::config_gguf::{self, FromTensors};
use super::{ModelConfig, ModelError, Network, config_hf};
use crate::kernels::MatMul;
use crate::lineage::{GgufAsHf, HfModel};
use crate::weights::gguf::Metadata;
use crate::weights::{self, GgufFile, TensorSource};

/// Weights under HF names, with the configuration that belongs to them.
pub struct Checkpoint {
    /// Folder or file.
    pub path: PathBuf,
    /// The tensors; nothing is read before it is asked for.
    pub weights: Box<dyn TensorSource>,
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
        let config = config_hf::from_map(&config, &config_name)?;
        Ok(Self { path, weights: tensors, config, config_name, gguf: None })
    }

    fn open_folder(path: &Path, config_path: &Path) -> Result<Self, ModelError> {
        // The weights first: their error says what a model's folder or file has to be.
        let weights = weights::open(path)?;
        let config = config_hf::read(config_path)?;
        let config_name = config_path.display().to_string();
        Ok(Self { path: path.to_owned(), weights, config, config_name, gguf: None })
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
        let config = config_gguf::read(&metadata, tensors, &config_name)?.into();
        let weights = Box::new(source);
        Ok(Self { path: path.to_owned(), weights, config, config_name, gguf: Some(metadata) })
    }

    /// Reads all weights into memory, widened to f32.
    pub fn load(&self, matmul: Box<dyn MatMul>) -> Result<Box<dyn Network>, ModelError> {
        super::load(self.weights.as_ref(), &self.config, &self.config_name, matmul)
    }

    /// Fails if the weights in f32 and a wave's activations do not fit into the available memory.
    pub fn check_memory(&self, available: Option<u64>) -> Result<(), ModelError> {
        let parameters = self.config.parameters();
        let needed = parameters.saturating_mul(4).saturating_add(WORKING_BYTES);
        match available {
            Some(available) if needed > available => Err(ModelError::Memory {
                needed: gibibytes(needed),
                available: gibibytes(available),
                parameters,
            }),
            _ => Ok(()),
        }
    }
}

/// What a run needs beside the weights: activations, logits and prompts, roughly.
pub const WORKING_BYTES: u64 = 1 << 30;

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
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
    fn too_little_memory_is_refused_with_the_numbers() {
        let checkpoint = Checkpoint::open(&fixture("gqa-tied")).unwrap();
        assert!(checkpoint.check_memory(Some(8 << 30)).is_ok());
        let message = checkpoint.check_memory(Some(1 << 20)).unwrap_err().to_string();
        assert!(message.contains("1.0 GiB") && message.contains("0.0 GiB"), "{message}");
    }

    #[test]
    fn what_is_not_a_model_says_so() {
        let missing = Checkpoint::open(Path::new("/nonexistent/model")).err().unwrap().to_string();
        assert!(missing.contains("/nonexistent/model"), "{missing}");
    }
}
