//! One GGUF file, versions 2 and 3 (llama.cpp's container): header, metadata, tensor infos, aligned data.
//!
//! Source: the GGUF specification in ggml's `docs/gguf.md`. Names are the file's own; shapes are turned
//! into row-major order (GGUF lists the fastest axis first).

mod cursor;
mod header;
mod metadata;
mod tensors;
#[cfg(test)]
pub(crate) mod testing;
mod values;
mod writer;

use std::path::{Path, PathBuf};

use super::mapped::MappedFile;
use super::table::TensorTable;
use super::{Access, TensorInfo, TensorSource, TensorView, WeightsError};

pub use metadata::{Metadata, MetadataKindError, Value};
pub use writer::GgufWriter;

/// A memory-mapped GGUF file whose header has been checked completely.
#[derive(Debug)]
pub struct GgufFile {
    file: MappedFile,
    version: u32,
    metadata: Metadata,
    table: TensorTable,
}

impl GgufFile {
    /// Maps the file, reads its metadata and checks its tensor infos; no tensor data is read.
    ///
    /// # Errors
    /// [`WeightsError::Io`] if it cannot be opened, [`WeightsError::Fault`] for whatever is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        Self::of(MappedFile::open(path.as_ref())?)
    }

    /// The same for a file that is in memory; `path` names it in messages.
    ///
    /// # Errors
    /// [`WeightsError::Fault`], as [`GgufFile::open`].
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        Self::of(MappedFile::from_bytes(path, bytes))
    }

    fn of(file: MappedFile) -> Result<Self, WeightsError> {
        let header = header::parse(file.path(), file.bytes())?;
        Ok(GgufFile { version: header.version, metadata: header.metadata, table: header.table, file })
    }

    /// The key–value section.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The version of the container: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

impl TensorSource for GgufFile {
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
