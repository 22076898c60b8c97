//! Form of what a path holds, and opening it with the right reader.

use std::path::{Path, PathBuf};

use serde_json::Map;

use super::encrypted;
use super::files::weight_files;
use crate::config::{ConfigError, ModelConfig};
use crate::forms::{self, FormError, TokenizerSource};
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::weights::gguf::Value;
use crate::weights::{self, GgufFile, MetaShards, TensorSource, is_gguf};

pub(super) enum Form {
    /// Weights, with what is beside them.
    Weights(Box<OpenedPath>),
    /// The folder of a low-rank adapter.
    Adapter(PathBuf),
    /// Files that are XORed with a key.
    Encrypted(Vec<PathBuf>),
}

/// Weights under Hugging Face's names, and what says how they are used.
pub(super) struct OpenedPath {
    /// What was read, for people.
    pub reader: String,
    /// The tensors; no data was read yet.
    pub tensors: Box<dyn TensorSource>,
    /// The configuration, if there is one.
    pub config: Option<Result<ModelConfig, ConfigError>>,
    /// The file that it is from.
    pub config_name: String,
    /// `config.json` as it stands.
    pub json: Option<Map<String, serde_json::Value>>,
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
pub(super) fn open(path: &Path) -> Result<Form, FormError> {
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
    let ggufs: Vec<&PathBuf> = weights.iter().filter(|file| is_gguf(file)).collect();
    let opened = match ggufs.as_slice() {
        [file] if !path.is_dir() || !folder.join("config.json").is_file() => gguf(file)?,
        _ if path.is_file() && MetaShards::is_shard(path) => shard(path)?,
        _ => of_form(forms::open(path)?),
    };
    Ok(Form::Weights(Box::new(opened)))
}

/// What a form says of itself.
fn of_form(opened: forms::Opened) -> OpenedPath {
    let files = reader(opened.tensors.as_ref());
    let (reader, folder) = match &opened.tokenizer {
        TokenizerSource::Folder(folder) => (files, Some(folder.clone())),
        TokenizerSource::Meta(folder) => (format!("Meta's layout, {files}"), Some(folder.clone())),
        TokenizerSource::Gguf(_) => ("GGUF, under the names of Hugging Face".to_owned(), None),
    };
    // One file of many is no model, so what stands beside it, configuration and lock, says nothing about it.
    let name = opened.path.file_name().unwrap_or_default().to_string_lossy();
    let is_part = !opened.path.is_dir() && name.contains("-of-");
    let config = match opened.config() {
        Err(ConfigError::Missing { .. }) => None,
        config => Some(config).filter(|_| !is_part),
    };
    let is_json = matches!(opened.tokenizer, TokenizerSource::Folder(_)) && config.is_some();
    OpenedPath {
        reader,
        tokenizer: config.is_some().then(|| opened.tokenizer.read()),
        json: opened.config_json().ok().filter(|_| is_json),
        config,
        config_name: opened.config_name,
        folder: folder.filter(|_| !is_part),
        warnings: opened.tensors.warnings().to_vec(),
        tensors: opened.tensors,
    }
}

/// One of Meta's shards by itself, which is a model or a part of one: nothing beside it says which.
fn shard(path: &Path) -> Result<OpenedPath, FormError> {
    let tensors = weights::open(path)?;
    Ok(OpenedPath {
        reader: format!("one of Meta's shards, {}", reader(tensors.as_ref())),
        config: None,
        config_name: path.display().to_string(),
        json: None,
        tokenizer: None,
        folder: None,
        warnings: tensors.warnings().to_vec(),
        tensors,
    })
}

/// A GGUF file, which may be of a model that zoo does not know.
fn gguf(path: &Path) -> Result<OpenedPath, FormError> {
    let file = GgufFile::open(path)?;
    if file.metadata().0.keys().any(|key| key.starts_with("llama.")) {
        return Ok(of_form(forms::open(path)?));
    }
    let found = match file.metadata().0.get("general.architecture") {
        Some(Value::String(name)) => format!("architecture {name:?}"),
        _ => "no architecture".to_owned(),
    };
    let config_name = path.display().to_string();
    let warning = format!(
        "{config_name}: expected metadata llama.*, found {found} and none of them; names and shapes are not checked"
    );
    Ok(OpenedPath {
        reader: "GGUF under its own names".to_owned(),
        tensors: Box::new(file),
        config: None,
        config_name,
        json: None,
        tokenizer: None,
        folder: None,
        warnings: vec![warning],
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
