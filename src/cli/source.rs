//! The tensors of a model as the user names it, found on disk or fetched.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::exit::Usage;
use super::{Global, bar, models};
use crate::hub::{self, HubConfig};
use crate::lineage::GgufAsHf;
use crate::weights::{self, GgufFile, TensorSource};

/// A model's tensors under Hugging Face's names.
pub(super) struct Named {
    /// The name in tables.
    pub name: String,
    /// Nothing is read before it is asked for.
    pub tensors: Box<dyn TensorSource>,
}

impl Named {
    /// Opens `name`: an existing path, or a model of the registry, which is fetched if need be.
    pub fn open(name: &str, global: &Global) -> anyhow::Result<Self> {
        let path = PathBuf::from(name);
        if path.exists() {
            let tensors = open(&path)?;
            return Ok(Self { name: short(&path), tensors });
        }
        let is_file = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf") || e == "safetensors");
        if name.contains(std::path::MAIN_SEPARATOR) || is_file {
            let expected = "expected a model of the registry (zoo list), a folder or a file of weights";
            return Err(Usage(format!("{name}: no such file or folder; {expected}")).into());
        }
        let registry = models::registry(global)?;
        let card = models::find(&registry, name)?;
        let location = hub::fetch_model(card, &HubConfig::from_env()?, &bar(global))
            .with_context(|| format!("cannot get the weights of {}", card.id))?;
        Ok(Self { name: card.id.clone(), tensors: open(location.path())? })
    }
}

fn open(path: &Path) -> anyhow::Result<Box<dyn TensorSource>> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) {
        return Ok(Box::new(GgufAsHf::new(GgufFile::open(path)?)?));
    }
    Ok(weights::open(path)?)
}

/// A folder's or file's name without its ending.
fn short(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if full.is_dir() { full.file_name() } else { full.file_stem() };
    name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}
