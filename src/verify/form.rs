//! What a path holds, and opening it with the reader for that.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::encrypted;
use super::files::{read_object, refuse_stand_in, weight_files};
use crate::config::gguf::FromTensors;
use crate::config::{self, ConfigError, ModelConfig};
use crate::forms::{GgufAsHf, HfModel, LineageError};
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::weights::{
    self, GgufFile, INDEX_FILE, SINGLE_FILE, ShardedWeights, TORCH_INDEX_FILE, TORCH_SINGLE_FILE,
    TensorSource,
};

/// A form of release.
pub(super) enum Form {
    /// Weights, with what is beside them.
    Weights(Box<Opened>),
    /// The folder of a low-rank adapter.
    Adapter(PathBuf),
    /// Files that are XORed with a key.
    Encrypted(Vec<PathBuf>),
}

/// Weights under Hugging Face's names, and what says how they are used.
pub(super) struct Opened {
    /// What was read, for people.
    pub reader: String,
    /// The tensors; no data was read yet.
    pub tensors: Box<dyn TensorSource>,
    /// The configuration, if there is one.
    pub config: Option<Result<ModelConfig, ConfigError>>,
    /// The file that it is from.
    pub config_name: String,
    /// `config.json` as it stands.
    pub json: Option<Map<String, Value>>,
    /// The tokenizer, if one was looked for.
    pub tokenizer: Option<Result<Tokenizer, TokenizerError>>,
    /// Where its files are; `None` for a GGUF file.
    pub folder: Option<PathBuf>,
    /// What the reader found odd.
    pub warnings: Vec<String>,
}

/// Opens what is at `path`. Headers only.
///
/// # Errors
/// What the reader reports, with its class.
pub(super) fn open(path: &Path) -> Result<Form, LineageError> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let named = |start: &str| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
    if folder.join("adapter_config.json").is_file() && (path.is_dir() || named("adapter_model.")) {
        return Ok(Form::Adapter(folder.to_owned()));
    }
    let weights = weight_files(path);
    let encrypted = encrypted::files(path);
    if weights.is_empty() && !encrypted.is_empty() {
        return Ok(Form::Encrypted(encrypted));
    }
    for file in &weights {
        refuse_stand_in(file)?;
    }
    let config = folder.join("config.json");
    let ggufs: Vec<&PathBuf> = weights.iter().filter(|file| ends(file, "gguf")).collect();
    let opened = match ggufs.as_slice() {
        [file] if !path.is_dir() || !config.is_file() => gguf(file)?,
        _ if path.is_dir() && !config.is_file() && is_meta(path) => meta(path)?,
        _ => hugging_face(path, folder, &config)?,
    };
    Ok(Form::Weights(Box::new(opened)))
}

fn ends(file: &Path, ending: &str) -> bool {
    file.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// Whether a folder is in Meta's layout.
fn is_meta(folder: &Path) -> bool {
    let shard = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("consolidated.") && name.ends_with(".pth")
    };
    folder.join("params.json").is_file() || fs::read_dir(folder).into_iter().flatten().flatten().any(shard)
}

fn hugging_face(path: &Path, folder: &Path, config_path: &Path) -> Result<Opened, LineageError> {
    let mut warnings = Vec::new();
    let tensors: Box<dyn TensorSource> = match index_of(path) {
        Some(index) => {
            let sharded = ShardedWeights::open(&index)?;
            warnings.extend_from_slice(sharded.warnings());
            Box::new(sharded)
        }
        None => weights::open(path)?,
    };
    // One file of many is no model, so its configuration says nothing about it.
    let is_part =
        !path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().contains("-of-"));
    let config = (!is_part && config_path.is_file()).then(|| config::hf::read(config_path));
    Ok(Opened {
        reader: reader(tensors.as_ref()),
        tokenizer: config.is_some().then(|| Tokenizer::from_folder(folder)),
        json: config.is_some().then(|| read_object(config_path)).flatten(),
        config,
        config_name: config_path.display().to_string(),
        folder: Some(folder.to_owned()),
        tensors,
        warnings,
    })
}

/// The index that [`weights::open`] would read, which has warnings of its own.
fn index_of(path: &Path) -> Option<PathBuf> {
    if !path.is_dir() {
        return path.to_str()?.ends_with(".index.json").then(|| path.to_owned());
    }
    let order =
        [(SINGLE_FILE, false), (INDEX_FILE, true), (TORCH_SINGLE_FILE, false), (TORCH_INDEX_FILE, true)];
    let (name, is_index) = order.into_iter().find(|(name, _)| path.join(name).is_file())?;
    is_index.then(|| path.join(name))
}

fn meta(folder: &Path) -> Result<Opened, LineageError> {
    let HfModel { tensors, config, config_name, .. } = HfModel::open(folder)?;
    Ok(Opened {
        reader: format!("Meta's layout, {}", reader(tensors.as_ref())),
        config: Some(config::hf::from_map(&config, &config_name)),
        config_name,
        json: None,
        tokenizer: Some(Tokenizer::from_folder(folder)),
        folder: Some(folder.to_owned()),
        tensors,
        warnings: Vec::new(),
    })
}

fn gguf(path: &Path) -> Result<Opened, LineageError> {
    let file = GgufFile::open(path)?;
    let metadata = file.metadata().clone();
    let config_name = path.display().to_string();
    let plain = |file: GgufFile, warning: String| Opened {
        reader: "GGUF under its own names".to_owned(),
        tensors: Box::new(file),
        config: None,
        config_name: config_name.clone(),
        json: None,
        tokenizer: None,
        folder: None,
        warnings: vec![warning],
    };
    if !metadata.0.keys().any(|key| key.starts_with("llama.")) {
        let architecture = metadata.0.get("general.architecture");
        let found = match architecture {
            Some(weights::gguf::Value::String(name)) => format!("architecture {name:?}"),
            _ => "no architecture".to_owned(),
        };
        let warning = format!(
            "{config_name}: expected metadata llama.*, found {found} and none of them; names and shapes are not checked"
        );
        return Ok(plain(file, warning));
    }
    let tensors = GgufAsHf::new(file)?;
    let rows = |name: &str| {
        let infos = tensors.tensors();
        infos.iter().find(|info| info.name == name).and_then(|info| info.shape.first().copied())
    };
    let of_tensors = FromTensors {
        vocab_size: rows("model.embed_tokens.weight").unwrap_or(0),
        has_output: rows("lm_head.weight").is_some(),
        has_rope_factors: tensors.rope_factors()?.is_some(),
    };
    Ok(Opened {
        reader: "GGUF, under the names of Hugging Face".to_owned(),
        config: Some(config::gguf::read(&metadata, of_tensors, &config_name).map(ModelConfig::from)),
        config_name,
        json: None,
        tokenizer: Some(Tokenizer::from_gguf(&metadata)),
        folder: None,
        tensors: Box::new(tensors),
        warnings: Vec::new(),
    })
}

/// The kinds and number of files: `2 files of safetensors`.
fn reader(tensors: &dyn TensorSource) -> String {
    let files = tensors.files();
    let ending =
        files.first().and_then(|file| file.extension()).map(|ending| ending.to_string_lossy().into_owned());
    let plural = if files.len() == 1 { "file" } else { "files" };
    format!("{} {plural} of {}", files.len(), ending.as_deref().unwrap_or("weights"))
}
