//! GGUF v2 and v3 files (llama.cpp's container).

mod metadata;

pub use metadata::{Metadata, MetadataKindError, Value};
