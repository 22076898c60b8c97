//! A model as the user names it, found on disk or fetched, ready to be loaded.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Args;
use crate::cli::exit::Usage;
use crate::cli::{Global, bar, models};
use crate::engine::{Limits, LocalModel};
use crate::hub::{self, HubConfig};
use crate::kernels::{self, MatMul};
use crate::machine::Memory;
use crate::model::Checkpoint;
use crate::progress::Progress;
use crate::registry::Card;
use crate::tokenizer::Tokenizer;
use crate::weights::files_sha256;

/// A model to be evaluated.
pub struct Subject {
    /// The name in tables.
    pub name: String,
    /// Its card, if it has one.
    pub card: Option<Card>,
    /// Weights and configuration, opened.
    pub checkpoint: Checkpoint,
    /// Digest of the weights' files.
    pub weights_sha256: String,
    /// Name of the matrix products' implementation.
    pub matmul: &'static str,
    limits: Limits,
}

impl Subject {
    /// Resolves `name`: an existing path, or a model of the registry, which is fetched if need be.
    pub fn find(name: &str, args: &Args, global: &Global) -> anyhow::Result<Self> {
        if args.weights.is_some() && args.models.len() > 1 {
            return Err(Usage("--weights goes with a single model".to_owned()).into());
        }
        let (card, path) = match existing_path(name)? {
            Some(path) => (None, path),
            None => {
                let registry = models::registry(global)?;
                let card = models::find(&registry, name)?.clone();
                let path = match &args.weights {
                    Some(path) => path.clone(),
                    None => fetch(&card, global)?,
                };
                (Some(card), path)
            }
        };
        let checkpoint = Checkpoint::open(&path)?;
        if !args.dry_run {
            checkpoint.check_memory(Memory::read().map(|memory| memory.available))?;
        }
        let name = card.as_ref().map_or_else(|| name_of(&path), |card| card.id.clone());
        let weights_sha256 = files_sha256(&checkpoint.weights.files())
            .with_context(|| format!("cannot read the weights of {name}"))?;
        let limits = Limits::new(&checkpoint.config, args.max_length, args.batch_tokens);
        let matmul = matmul(args)?.name();
        Ok(Self { name, card, checkpoint, weights_sha256, matmul, limits })
    }

    /// Its tokenizer: the GGUF file's vocabulary, or the files beside the weights.
    pub fn tokenizer(&self) -> anyhow::Result<Tokenizer> {
        let path = &self.checkpoint.path;
        let tokenizer = match &self.checkpoint.gguf {
            Some(metadata) => Tokenizer::from_gguf(metadata).with_context(|| path.display().to_string())?,
            None if path.is_dir() => Tokenizer::from_folder(path)?,
            None => Tokenizer::from_folder(path.parent().unwrap_or_else(|| Path::new(".")))?,
        };
        Ok(tokenizer)
    }

    /// Reads the weights.
    pub fn load(&self, progress: &dyn Progress) -> anyhow::Result<LocalModel> {
        let matmul = kernels::by_name(self.matmul).context("no matrix products")?;
        progress.begin(&format!("reading {}", self.name), None, crate::progress::Unit::Items);
        let model = self.checkpoint.load(matmul);
        progress.end();
        Ok(LocalModel::new(model?, self.limits))
    }

    /// How it is laid out in waves.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

/// The path, if the name is one; an error if it can only be one and does not exist.
fn existing_path(name: &str) -> anyhow::Result<Option<PathBuf>> {
    let path = PathBuf::from(name);
    if path.exists() {
        return Ok(Some(path));
    }
    let looks_like_a_path = name.contains(std::path::MAIN_SEPARATOR)
        || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf") || e == "safetensors");
    if looks_like_a_path {
        return Err(Usage(format!(
            "{name}: no such file or folder; expected a model of the registry (zoo list), a folder in \
             Hugging Face's layout or a .gguf file"
        ))
        .into());
    }
    Ok(None)
}

fn fetch(card: &Card, global: &Global) -> anyhow::Result<PathBuf> {
    // A delta or an adapter loads like a model and talks like noise: never run one by mistake.
    if let Some(bring) = card.to_bring() {
        return Err(Usage(format!("{}: {bring}", card.id)).into());
    }
    let location = hub::fetch_model(card, &HubConfig::from_env()?, &bar(global))
        .with_context(|| format!("cannot get the weights of {}", card.id))?;
    Ok(location.path().to_owned())
}

/// A folder's or file's name without its ending.
fn name_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if full.is_dir() { full.file_name() } else { full.file_stem() };
    name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The implementation that was asked for; one that this build lacks is an error that says how to get it.
fn matmul(args: &Args) -> anyhow::Result<Box<dyn MatMul>> {
    match &args.matmul {
        None => Ok(kernels::default()),
        Some(name) => kernels::by_name(name).ok_or_else(|| {
            Usage(format!(
                "--matmul {name}: this zoo was built without OpenBLAS; it has {}. Build it with the default features \
                 (Debian: apt-get install libopenblas-dev pkg-config) to have blas",
                kernels::names().join(", ")
            ))
            .into()
        }),
    }
}
