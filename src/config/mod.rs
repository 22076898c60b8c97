//! Shape and constants of a model, whatever file says so.
//!
//! `config.json` of a Hugging Face checkpoint ([`hf`]) and the metadata of a GGUF file ([`gguf`]) become the same
//! [`ModelConfig`], whose numbers are checked against limits before anything is computed from them.

mod bloom;
mod error;
mod fields;
pub mod gguf;
pub mod hf;
mod limits;
mod llama;
mod model;
mod rope_factors;
mod shape;

pub use bloom::BloomConfig;
pub use error::ConfigError;
pub use llama::{LlamaConfig, RopeScaling};
pub use model::ModelConfig;
pub use rope_factors::Llama3Rule;
pub use shape::{HEAD, Part, Shape};

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::bloom::tests::bloom_7b;
    pub(crate) use super::llama::tests::smollm2_135m;
}
