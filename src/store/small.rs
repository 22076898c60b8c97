//! The small files beside the weights: configuration, index, tokenizer.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::place::cannot_write;
use crate::base::digest::sha256;
use crate::base::fault::Refusal;
use crate::forms::{FormError, HfModel, Sidecar};
use crate::store::lock::is_file_name;
use crate::store::{LOCK_FILE, LockedFile};
use crate::weights::safetensors::FileLayout;
use crate::weights::{Dtype, INDEX_FILE};

const CONFIG_FILE: &str = "config.json";

/// What will be written beside the weights.
pub(super) struct SmallFiles<'a> {
    made: Vec<(&'static str, Vec<u8>)>,
    sidecars: &'a [Sidecar],
}

impl<'a> SmallFiles<'a> {
    /// The files of a model; a name that is none, or that two files have, is refused before any work.
    pub(super) fn of(
        model: &'a HfModel,
        layout: &FileLayout,
        dtype: Option<Dtype>,
    ) -> Result<Self, FormError> {
        let mut config = model.config.clone();
        if let Some(name) = dtype.and_then(Dtype::torch_name) {
            // Newer files call it dtype.
            let newer = config.contains_key("dtype") && !config.contains_key("torch_dtype");
            config.insert(if newer { "dtype" } else { "torch_dtype" }.to_owned(), name.into());
        }
        let mut made = vec![(CONFIG_FILE, format!("{:#}\n", Value::Object(config)).into_bytes())];
        made.extend(layout.index().map(|index| (INDEX_FILE, index)));
        let mut names: BTreeSet<&str> = layout.files.iter().map(|file| file.name.as_str()).collect();
        names.extend([CONFIG_FILE, INDEX_FILE, LOCK_FILE]);
        for sidecar in &model.sidecars {
            if !is_file_name(&sidecar.name) || !names.insert(&sidecar.name) {
                return Err(Refusal::new(
                    model.path.display().to_string(),
                    "small files with names of their own",
                    format!("{:?}", sidecar.name),
                    "rename or remove that file",
                )
                .into());
            }
        }
        Ok(SmallFiles { made, sidecars: &model.sidecars })
    }

    /// Writes them all, synced, and says what they are.
    pub(super) fn write(&self, folder: &Path) -> Result<Vec<LockedFile>, FormError> {
        let mut written = Vec::new();
        for (name, bytes) in &self.made {
            written.push(write_one(folder, name, bytes)?);
        }
        for sidecar in self.sidecars {
            written.push(write_one(folder, &sidecar.name, &sidecar.read()?)?);
        }
        Ok(written)
    }
}

fn write_one(folder: &Path, name: &str, bytes: &[u8]) -> Result<LockedFile, FormError> {
    write_synced(&folder.join(name), bytes)?;
    let sha256 = sha256(bytes);
    Ok(LockedFile { name: name.to_owned(), size: bytes.len() as u64, sha256: Some(sha256) })
}

/// Writes a whole file and waits until it is on the disk.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), FormError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|e| cannot_write(path, e))
}
