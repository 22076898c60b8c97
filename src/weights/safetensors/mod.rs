//! One safetensors file: an 8-byte length, a JSON header, and the tensors' bytes back to back.
//!
//! Source: the format section of the safetensors README. The data section must be covered exactly once,
//! without holes, overlaps or trailing bytes; a name may occur once.

mod header;
mod layout;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use layout::{Layout, PlannedFile, PlannedTensor};

use super::mapped::MappedFile;
use super::table::TensorTable;
use super::{Access, TensorInfo, TensorSource, TensorView, WeightsError};

/// A memory-mapped safetensors file whose header has been checked completely.
#[derive(Debug)]
pub struct SafetensorsFile {
    file: MappedFile,
    table: TensorTable,
    metadata: BTreeMap<String, String>,
}

impl SafetensorsFile {
    /// Maps the file and checks its header; no tensor data is read.
    ///
    /// # Errors
    /// [`WeightsError::Io`] if it cannot be opened, [`WeightsError::Fault`] for whatever is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        Self::of(MappedFile::open(path.as_ref())?)
    }

    /// The same for a file that is in memory; `path` names it in messages.
    ///
    /// # Errors
    /// [`WeightsError::Fault`], as [`SafetensorsFile::open`].
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        Self::of(MappedFile::from_bytes(path, bytes))
    }

    fn of(file: MappedFile) -> Result<Self, WeightsError> {
        let header = header::parse(file.path(), file.bytes())?;
        Ok(SafetensorsFile { table: header.table, metadata: header.metadata, file })
    }

    /// The free-form strings under `__metadata__` (for example `format: pt`).
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

impl TensorSource for SafetensorsFile {
    fn tensors(&self) -> &[TensorInfo] {
        self.table.infos()
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        self.table.view(self.file.path(), self.file.bytes(), name)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.path().to_owned()]
    }

    fn hint(&self, name: &str, access: Access) {
        if let Some(span) = self.table.span(name) {
            self.file.hint(span, access);
        }
    }
}
