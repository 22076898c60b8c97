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

pub use metadata::{Metadata, MetadataKindError, Value};
pub use writer::GgufWriter;

use super::file::TensorFile;

/// A memory-mapped GGUF file.
pub type GgufFile = TensorFile<header::GgufHeader>;

impl GgufFile {
    /// The key–value section.
    pub fn metadata(&self) -> &Metadata {
        &self.header.metadata
    }

    /// The version of the container: 2 or 3.
    pub fn version(&self) -> u32 {
        self.header.version
    }
}
