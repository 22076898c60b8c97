//! Shape and constants of a model, whichever file they come from.
//!
//! `config.json` of a Hugging Face checkpoint ([`hf`]), the metadata of a GGUF file ([`gguf`]) and Meta's `params.json`
//! ([`params`]) become the same [`ModelConfig`]: one reader each. Its numbers are checked against limits before anything is
//! computed from them, and it says which tensors a model has ([`Shape`]).

mod bloom;
mod error;
mod fields;
pub mod gguf;
pub mod hf;
pub(crate) mod limits;
mod llama;
mod model;
pub mod params;
mod rope;
mod shape;

pub use bloom::BloomConfig;
pub use error::ConfigError;
pub use llama::LlamaConfig;
pub use model::ModelConfig;
pub use rope::RopeScaling;
pub(crate) use rope::kept_share;
pub use shape::{HEAD, ModuleShape, Shape};

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::bloom::tests::bloom_7b;
}
