//! LLaMA-architecture models over `ndarray`: configuration, weights, and a forward pass that reads on
//! one screen ([`Llama::forward`]).
//!
//! Many sequences are one packed [`Wave`]: `[tokens, hidden]` without padding, shared prefixes once.

mod attention;
mod config;
pub mod config_gguf;
pub mod config_hf;
mod error;
mod linear;
mod llama;
mod load;
mod norm;
mod open;
mod rope;
mod wave;

#[cfg(test)]
pub(crate) use config::tests;
pub use config::{LlamaConfig, RopeScaling};
pub use error::ModelError;
pub use linear::Linear;
pub use llama::{Layer, Llama};
pub use open::{Checkpoint, WORKING_BYTES};
pub use wave::{Segment, Wave};
