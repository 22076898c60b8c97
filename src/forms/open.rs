//! A model as it lies on the disk, in whatever form, seen in Hugging Face's layout.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::forms::bloom_names::{is_bloom, with_bloom_names};
use crate::forms::{
    GgufAsHf, HfModel, LineageError, MetaAsHf, Sidecar, SidecarContent, config_from_gguf, sidecars_from_gguf,
};
use crate::weights::{self, Fault, FaultKind, GgufFile, WeightsError};

/// The file of a model's shape and constants.
const CONFIG_FILE: &str = "config.json";
/// No config file comes near; a larger one is not a config.
const MAX_CONFIG: u64 = 16 << 20;
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
/// Largest file that counts as small; the largest `tokenizer.json` known has 34 MB.
const MAX_SIDECAR: u64 = 256 << 20;
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

impl HfModel {
    /// Opens a model in any form: a folder in Hugging Face's layout (safetensors or PyTorch files), a folder of Meta's
    /// or one of its shards, one weights file with `config.json` beside it, a GGUF file, or a folder that holds one
    /// and no `config.json`.
    ///
    /// # Errors
    /// What the weights' reader reports; [`WeightsError::Fault`] of kind `MissingData` if there is no `config.json`,
    /// and of kind `InvalidConfig` if it is no JSON object.
    pub fn open(path: &Path) -> Result<HfModel, LineageError> {
        if is_gguf(path) {
            return Self::open_gguf(path);
        }
        if let Some(folder) = Self::meta_folder(path) {
            return Ok(Self::open_meta(&folder)?);
        }
        if !path.is_dir() {
            return Self::open_hf(path, parent(path));
        }
        match only_gguf(path) {
            Some(file) if !path.join(CONFIG_FILE).exists() => Self::open_gguf(&file),
            _ => Self::open_hf(path, path),
        }
    }

    /// The folder of Meta's that `path` is, or is a shard of.
    pub(crate) fn meta_folder(path: &Path) -> Option<PathBuf> {
        let folder = if path.is_dir() { path } else { parent(path) };
        // Some releases have params.json beside weights in the other layout.
        let meta = if path.is_dir() {
            MetaAsHf::is_in(path) && !weights::is_hf_layout(path)
        } else {
            let name = path.file_name().and_then(|name| name.to_str());
            path.is_file() && name.is_some_and(|n| n.starts_with("consolidated.") && n.ends_with(".pth"))
        };
        meta.then(|| folder.to_owned())
    }

    fn open_hf(path: &Path, folder: &Path) -> Result<HfModel, LineageError> {
        // The weights first: their error says what a model's folder or file has to be.
        let tensors = weights::open(path)?;
        let config_path = folder.join(CONFIG_FILE);
        let config = read_config(&config_path)?;
        let tensors = if is_bloom(&config) { with_bloom_names(tensors, &config)? } else { tensors };
        let config_name = config_path.display().to_string();
        Ok(HfModel { path: path.to_owned(), tensors, config, config_name, sidecars: sidecars(folder) })
    }

    /// Opens a folder of Meta's; see [`HfModel::open`].
    pub(crate) fn open_meta(folder: &Path) -> Result<HfModel, WeightsError> {
        let model = MetaAsHf::open(folder)?;
        let config = model.config().clone();
        let config_name = model.config_path().display().to_string();
        let mut sidecars = sidecars(folder);
        let has = |sidecars: &[Sidecar], name: &str| sidecars.iter().any(|sidecar| sidecar.name == name);
        if !has(&sidecars, TOKENIZER_FILE) {
            // One tokenizer serves the folders of all sizes.
            let above = folder.canonicalize().ok().and_then(|folder| folder.parent().map(Path::to_owned));
            sidecars.extend(above.and_then(|above| sidecar(&above, TOKENIZER_FILE)));
        }
        if has(&sidecars, TOKENIZER_FILE) && !has(&sidecars, "tokenizer_config.json") {
            let content = SidecarContent::Bytes(META_TOKENIZER_CONFIG.into());
            sidecars.push(Sidecar { name: "tokenizer_config.json".to_owned(), content });
        }
        let tensors = Box::new(model);
        Ok(HfModel { path: folder.to_owned(), tensors, config, config_name, sidecars })
    }

    fn open_gguf(path: &Path) -> Result<HfModel, LineageError> {
        let model = GgufAsHf::new(GgufFile::open(path)?)?;
        let config = config_from_gguf(&model)?;
        // The vocabulary is in the file itself; another folder's tokenizer files may be anyone's. Tensors can be
        // used without it.
        let sidecars = sidecars_from_gguf(&model).unwrap_or_else(|error| {
            tracing::warn!("{}: no tokenizer files are made of its vocabulary: {error}", path.display());
            Vec::new()
        });
        Ok(HfModel {
            path: path.to_owned(),
            tensors: Box::new(model),
            config,
            config_name: path.display().to_string(),
            sidecars,
        })
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

/// The folder of a file.
fn parent(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The GGUF file of a folder that has exactly one.
fn only_gguf(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut ggufs = files.filter(|file| is_gguf(file));
    ggufs.next().filter(|_| ggufs.next().is_none())
}

/// The content of a `config.json`.
fn read_config(path: &Path) -> Result<Map<String, Value>, LineageError> {
    let fault =
        |kind, expected: &str, found: String| WeightsError::from(Fault::new(path, kind, expected, found));
    let about = match fs::metadata(path) {
        Ok(about) if about.is_file() => about,
        Ok(_) => return Err(fault(FaultKind::InvalidConfig, "a regular file", "another thing".into()).into()),
        Err(error) => {
            let expected = "config.json beside the weights";
            return Err(fault(FaultKind::MissingData, expected, error.to_string()).into());
        }
    };
    if about.len() > MAX_CONFIG {
        let expected = format!("at most {MAX_CONFIG} bytes");
        return Err(fault(FaultKind::LimitExceeded, &expected, about.len().to_string()).into());
    }
    let bytes = fs::read(path).map_err(|e| LineageError::io(path, "read", e))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| fault(FaultKind::InvalidConfig, "a JSON object", error.to_string()).into())
}

fn sidecars(folder: &Path) -> Vec<Sidecar> {
    SIDECARS.iter().filter_map(|name| sidecar(folder, name)).collect()
}

fn sidecar(folder: &Path, name: &str) -> Option<Sidecar> {
    let path = folder.join(name);
    let about = fs::metadata(&path).ok()?;
    let small = about.is_file() && about.len() <= MAX_SIDECAR;
    small.then(|| Sidecar { name: name.to_owned(), content: SidecarContent::File(path) })
}
