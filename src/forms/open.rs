//! The one way from a path to a model: whatever form lies there, its tensors under Hugging Face's names, its shape and
//! constants, and where its tokenizer is.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::bare_names::with_prefix;
use super::bloom_names::with_bloom_names;
use super::model::{MAX_SIDECAR, Stated};
use super::tied::with_embedding;
use super::{FormError, GgufAsHf, HfModel, MetaAsHf, Sidecar, SidecarContent};
use crate::base::fault::{Fault, FaultKind, Refusal};
use crate::base::recognise::{dangling, is_apple_double};
use crate::config::{ConfigError, ModelConfig, hf};
use crate::tokenizer::{Tokenizer, TokenizerError, tiktoken_files, tokenizer_files};
use crate::weights::gguf::Metadata;
use crate::weights::{self, GgufFile, MetaShards, TensorSource, WeightsError, is_gguf};

/// The file of a model's shape and constants.
const CONFIG_FILE: &str = "config.json";
/// The file that a tokenizer of the family cannot be without.
const TOKENIZER_FILE: &str = "tokenizer.model";
/// Small files that go with a model.
const SIDECARS: [&str; 8] = [
    TOKENIZER_FILE,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
];
/// What a tokenizer of Meta's does, for readers that ask `tokenizer_config.json`. Meta keeps it in code.
const META_TOKENIZER_CONFIG: &str = r#"{
  "add_bos_token": true,
  "add_eos_token": false,
  "bos_token": "<s>",
  "clean_up_tokenization_spaces": false,
  "eos_token": "</s>",
  "legacy": true,
  "model_max_length": 1000000000000000019884624838656,
  "pad_token": null,
  "sp_model_kwargs": {},
  "tokenizer_class": "LlamaTokenizer",
  "unk_token": "<unk>"
}
"#;

/// A model as it lies on the disk. Nothing but headers was read.
pub struct Opened {
    /// The folder or file that was opened.
    pub path: PathBuf,
    /// The tensors under their Hugging Face names.
    pub tensors: Box<dyn TensorSource>,
    /// The file that says its shape and constants.
    pub config_name: String,
    /// Whose vocabulary it has.
    pub tokenizer: TokenizerSource,
    config: Config,
}

/// Where shape and constants are.
enum Config {
    /// In `config.json`, which is read when it is asked for: tensors can be used without it.
    Json(PathBuf),
    /// Read from another form, with what else a `config.json` of the model says.
    Stated(Box<Result<Stated, ConfigError>>),
}

/// Where a model's tokenizer is.
pub enum TokenizerSource {
    /// In files of a folder.
    Folder(PathBuf),
    /// In files of a folder of Meta's.
    Meta(PathBuf),
    /// In a GGUF file: the files of its folder may be anyone's.
    Gguf(Box<Metadata>),
}

/// Opens a model in any form: a folder in Hugging Face's layout (safetensors or PyTorch files), a folder of Meta's or one of
/// its shards, one weights file, a GGUF file, or a folder that holds one and no `config.json`.
///
/// # Errors
/// What the weights' reader reports.
pub fn open(path: &Path) -> Result<Opened, FormError> {
    if is_gguf(path) {
        return open_gguf(path);
    }
    if let Some(folder) = meta_folder(path) {
        return open_meta(&folder);
    }
    if !path.is_dir() {
        return open_hf(path, parent(path));
    }
    let ggufs = if path.join(CONFIG_FILE).exists() { Vec::new() } else { ggufs(path) };
    match ggufs.as_slice() {
        [] => open_hf(path, path),
        [file] => open_gguf(file),
        [first, ..] if is_part(first) => open_gguf(first),
        [first, ..] if !weights::is_hf_layout(path) => {
            let names: Vec<String> = ggufs.iter().map(|file| shown_name(file)).collect();
            let found = format!("{}: {}", names.len(), names.join(", "));
            let advice = format!("name one of them: {}", first.display());
            Err(Refusal::new(path.display().to_string(), "one .gguf file", found, advice).into())
        }
        _ => open_hf(path, path),
    }
}

fn open_hf(path: &Path, folder: &Path) -> Result<Opened, FormError> {
    // The weights first: their error says what a model's folder or file has to be.
    let tensors = weights::open(path)?;
    weights::refuse_placeholders(tensors.as_ref(), path)?;
    refuse_wrapped(tensors.as_ref(), path)?;
    let config = folder.join(CONFIG_FILE);
    // As in `transformers`, unless the configuration says otherwise; one that cannot be read is told when it is asked for.
    let is_tied = || match hf::read(&config) {
        Ok(ModelConfig::Bloom(config)) => config.tie_word_embeddings,
        _ => true,
    };
    let tensors = with_prefix(with_bloom_names(tensors, is_tied)?);
    Ok(Opened {
        path: path.to_owned(),
        tensors: with_embedding(tensors, path, || Some(hf::read(&config).ok()?.shape())),
        config_name: config.display().to_string(),
        tokenizer: TokenizerSource::Folder(folder.to_owned()),
        config: Config::Json(config),
    })
}

/// Names that a tool put something into are those of no model, and the tool is the news.
fn refuse_wrapped(tensors: &dyn TensorSource, path: &Path) -> Result<(), WeightsError> {
    let Some(weights::Wrapped { found, advice }) = weights::wrapper(tensors, false) else { return Ok(()) };
    let expected = "tensors under the names of transformers, such as model.norm.weight";
    Err(Fault::new(path, FaultKind::Unsupported, expected, found).advice(advice).into())
}

fn open_meta(folder: &Path) -> Result<Opened, FormError> {
    let model = MetaAsHf::open(folder)?;
    let stated = Stated { config: model.config.clone(), more: model.beside_shape() };
    Ok(Opened {
        path: folder.to_owned(),
        config_name: model.config_path.display().to_string(),
        tensors: Box::new(model.tensors),
        tokenizer: TokenizerSource::Meta(folder.to_owned()),
        config: Config::Stated(Box::new(Ok(stated))),
    })
}

fn open_gguf(path: &Path) -> Result<Opened, FormError> {
    let file = GgufFile::open(path)?;
    if let Ok(Some(parts @ 2..)) = file.metadata().unsigned("split.count") {
        let found = format!("one of the {parts} parts of a split one");
        let advice = "join them first: llama-gguf-split --merge FIRST_PART JOINED.gguf";
        return Err(Refusal::new(path.display().to_string(), "a whole GGUF file", found, advice).into());
    }
    let model = GgufAsHf::new(file)?;
    Ok(Opened {
        path: path.to_owned(),
        config_name: path.display().to_string(),
        tokenizer: TokenizerSource::Gguf(Box::new(model.gguf().metadata().clone())),
        config: Config::Stated(Box::new(model.config()?)),
        tensors: Box::new(model),
    })
}

impl Opened {
    /// Shape and constants.
    ///
    /// # Errors
    /// No configuration, or one that no model has.
    pub fn config(&self) -> Result<ModelConfig, ConfigError> {
        match &self.config {
            Config::Json(path) => hf::read(path),
            Config::Stated(stated) => Ok(stated.as_ref().clone()?.config.into()),
        }
    }

    /// The content of its `config.json`, or of the one that says what another form does.
    ///
    /// # Errors
    /// As [`Opened::config`], but a `config.json` is taken as it stands.
    pub fn config_json(&self) -> Result<Map<String, Value>, ConfigError> {
        match &self.config {
            Config::Json(path) => hf::read_map(path),
            Config::Stated(stated) => Ok(stated.as_ref().clone()?.to_json()),
        }
    }

    /// The model with all that belongs to it, to be rebuilt or written.
    ///
    /// # Errors
    /// As [`Opened::config_json`].
    pub fn into_model(self) -> Result<HfModel, FormError> {
        let config = self.config_json()?;
        let sidecars = self.sidecars();
        let Opened { path, tensors, config_name, .. } = self;
        Ok(HfModel { path, tensors, config, config_name, sidecars })
    }

    /// The small files that belong to it.
    fn sidecars(&self) -> Vec<Sidecar> {
        let made = |name: &str, bytes: Vec<u8>| Sidecar {
            name: name.to_owned(),
            content: SidecarContent::Bytes(bytes),
        };
        match &self.tokenizer {
            TokenizerSource::Folder(folder) => sidecars(folder),
            TokenizerSource::Meta(folder) => {
                let mut sidecars = sidecars(folder);
                let has = |all: &[Sidecar], name: &str| all.iter().any(|sidecar| sidecar.name == name);
                if !has(&sidecars, TOKENIZER_FILE) {
                    // One tokenizer serves the folders of all sizes.
                    let above = folder.canonicalize().ok();
                    let above = above.as_deref().and_then(Path::parent);
                    sidecars.extend(above.and_then(|above| sidecar(above, TOKENIZER_FILE)));
                }
                let model = sidecars.iter().find(|sidecar| sidecar.name == TOKENIZER_FILE);
                let Some(model) = model.filter(|_| !has(&sidecars, "tokenizer_config.json")) else {
                    return sidecars;
                };
                let config = ("tokenizer_config.json".to_owned(), META_TOKENIZER_CONFIG.into());
                let place = model.place().display().to_string();
                // What cannot be read is told by whoever needs it.
                let found = model.read().ok().and_then(|bytes| tiktoken_files(&place, &bytes));
                let files = match found.unwrap_or_else(|| Ok(vec![config])) {
                    Ok(files) => files,
                    Err(error) => {
                        tracing::warn!("no tokenizer files are made of this vocabulary: {error}");
                        Vec::new()
                    }
                };
                sidecars.extend(files.into_iter().map(|(name, bytes)| made(&name, bytes)));
                sidecars
            }
            // Tensors can be used without them.
            TokenizerSource::Gguf(metadata) => match tokenizer_files(metadata) {
                Ok(files) => files.into_iter().map(|(name, bytes)| made(&name, bytes)).collect(),
                Err(error) => {
                    let file = self.path.display();
                    tracing::warn!("{file}: no tokenizer files are made of its vocabulary: {error}");
                    Vec::new()
                }
            },
        }
    }
}

impl TokenizerSource {
    /// The folder with its files; `None` for one that is in a GGUF file.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            TokenizerSource::Folder(folder) | TokenizerSource::Meta(folder) => Some(folder),
            TokenizerSource::Gguf(_) => None,
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// What the tokenizer's reader reports.
    pub fn read(&self) -> Result<Tokenizer, TokenizerError> {
        match self {
            TokenizerSource::Folder(folder) | TokenizerSource::Meta(folder) => Tokenizer::from_folder(folder),
            TokenizerSource::Gguf(metadata) => Tokenizer::from_gguf(metadata),
        }
    }
}

impl HfModel {
    /// Opens a model in any form, with all that belongs to it; see [`open`].
    ///
    /// # Errors
    /// Those of [`open`] and [`Opened::config_json`].
    pub fn open(path: &Path) -> Result<HfModel, FormError> {
        open(path)?.into_model()
    }
}

/// The folder of Meta's that `path` is, or is a shard of.
fn meta_folder(path: &Path) -> Option<PathBuf> {
    let folder = if path.is_dir() { path } else { parent(path) };
    // Some releases have params.json beside weights in the other layout.
    let meta = if path.is_dir() {
        MetaAsHf::is_in(path) && !weights::is_hf_layout(path)
    } else {
        path.is_file() && MetaShards::is_shard(path)
    };
    meta.then(|| folder.to_owned())
}

/// The folder of a file.
fn parent(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The GGUF files of a folder, in order of their names.
fn ggufs(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut ggufs: Vec<PathBuf> = files.filter(|file| is_gguf(file) && !is_apple_double(file)).collect();
    ggufs.sort();
    ggufs
}

/// Whether a file is called like a part of a split one: `…-00001-of-00003.gguf`.
fn is_part(file: &Path) -> bool {
    let name = shown_name(file);
    let mut parts = name.trim_end_matches(".gguf").rsplit('-');
    let is_number =
        |part: Option<&str>| part.is_some_and(|part| part.len() == 5 && part.parse::<u32>().is_ok());
    is_number(parts.next()) && parts.next() == Some("of") && is_number(parts.next())
}

fn shown_name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn sidecars(folder: &Path) -> Vec<Sidecar> {
    SIDECARS.iter().filter_map(|name| sidecar(folder, name)).collect()
}

fn sidecar(folder: &Path, name: &str) -> Option<Sidecar> {
    let path = folder.join(name);
    if let Some(target) = dangling(&path) {
        tracing::warn!(
            "{}: a link to {}, where there is nothing: the model is taken without it",
            path.display(),
            target.display()
        );
    }
    let about = fs::metadata(&path).ok()?;
    let small = about.is_file() && about.len() <= MAX_SIDECAR;
    small.then(|| Sidecar { name: name.to_owned(), content: SidecarContent::File(path) })
}
