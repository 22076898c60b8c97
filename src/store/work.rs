//! Identity of a build's work, in one line: two builds with the same line write the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use crate::base::digest::{Digest as _, Sha256, hex};
use crate::forms::FormError;
use crate::rebuild::{BuildRecord, InputFile, InputRecord};
use crate::weights::safetensors::FileLayout;

/// Version of the journal.
const VERSION: u32 = 1;

/// The work as one JSON object. Inputs are told apart by path, size and time of change; reading them whole would cost as
/// much as the build.
pub(super) fn describe(
    lineage: &BuildRecord,
    layout: &FileLayout,
    metadata: &BTreeMap<String, String>,
) -> Result<Value, FormError> {
    let mut hasher = Sha256::new();
    for file in &layout.files {
        hasher.update(file.name.as_bytes());
        hasher.update(file.header(metadata)?);
    }
    let inputs = lineage.inputs.iter().map(input).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({
        "journal": VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "model": lineage.model,
        "rule": lineage.rule,
        "arithmetic": lineage.arithmetic,
        "inputs": inputs,
        "layout": hex(hasher.finalize()),
    }))
}

fn input(input: &InputRecord) -> Result<Value, FormError> {
    let files = input.files.iter().map(file).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({"role": input.role, "name": input.name, "files": files}))
}

fn file(file: &InputFile) -> Result<Value, FormError> {
    let about = fs::metadata(&file.path).map_err(|e| FormError::io(&file.path, "read", e))?;
    let changed = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let path = fs::canonicalize(&file.path).map_err(|e| FormError::io(&file.path, "find", e))?;
    Ok(json!({
        "path": path.to_string_lossy(),
        "size": about.len(),
        "changed": changed.map(|time| format!("{}.{:09}", time.as_secs(), time.subsec_nanos())),
        "sha256": file.sha256,
    }))
}

/// What differs between two descriptions, in words.
pub(super) fn difference(old: &Value, new: &Value) -> &'static str {
    let fields = [
        ("journal", "it was written by another version of zoo"),
        ("version", "it was written by another version of zoo"),
        ("model", "it was another model"),
        ("rule", "it was another rule"),
        ("arithmetic", "its arithmetic was another"),
        ("inputs", "its input files were others, or have changed since"),
        ("layout", "its tensors had other types, shapes or files"),
    ];
    fields
        .into_iter()
        .find(|(key, _)| old.get(key) != new.get(key))
        .map_or("it was other work", |(_, text)| text)
}
