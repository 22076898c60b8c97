//! A model's folder as it lies on the disk.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::{HfModel, LineageError, Refusal, Sidecar, SidecarContent};
use crate::weights;

/// Small files that go with a model.
const SIDECARS: [&str; 7] = [
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
];

impl HfModel {
    /// Opens a folder in Hugging Face's layout.
    ///
    /// # Errors
    /// What the weights' reader reports; a missing or malformed `config.json`.
    pub fn open(folder: &Path) -> Result<HfModel, LineageError> {
        let tensors = weights::open(folder)?;
        let config_path = folder.join("config.json");
        let text = fs::read(&config_path).map_err(|e| LineageError::io(&config_path, "read", e))?;
        let config: Map<String, Value> = serde_json::from_slice(&text).map_err(|error| {
            let place = config_path.display().to_string();
            Refusal::new(place, "a JSON object", error.to_string(), "fetch the file again")
        })?;
        let file = |name: &&str| {
            let path = folder.join(name);
            path.is_file().then(|| Sidecar { name: (*name).to_owned(), content: SidecarContent::File(path) })
        };
        Ok(HfModel {
            path: folder.to_owned(),
            tensors,
            config,
            config_name: config_path.display().to_string(),
            sidecars: SIDECARS.iter().filter_map(file).collect(),
        })
    }
}
