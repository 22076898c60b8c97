//! One safetensors file: an 8-byte length, a JSON header, and the tensors' bytes back to back.
//!
//! Source: the format section of the safetensors README. The data section must be covered exactly once,
//! without holes, overlaps or trailing bytes; a name may occur once.

mod header;
mod layout;

use std::collections::BTreeMap;

pub use layout::{FileLayout, PlannedFile, PlannedTensor};

use super::file::TensorFile;

/// A memory-mapped safetensors file.
pub type SafetensorsFile = TensorFile<header::SafetensorsHeader>;

impl SafetensorsFile {
    /// The free-form strings under `__metadata__` (for example `format: pt`).
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }
}
