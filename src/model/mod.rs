//! Models over `ndarray`: configuration, weights, and forward passes that read on one screen
//! ([`Llama`], [`Bloom`]). What runs them sees a [`Network`].
//!
//! Many sequences are one packed [`Wave`]: `[tokens, hidden]` without padding, shared prefixes once.

mod alibi;
pub mod attention;
mod bloom;
mod chunks;
mod config;
mod config_bloom;
pub mod config_gguf;
pub mod config_hf;
mod ends;
mod error;
mod fields;
mod footprint;
mod layers;
mod limits;
mod linear;
mod llama;
mod load;
mod load_bloom;
mod network;
mod norm;
mod open;
mod reader;
mod rope;
mod wave;

pub use bloom::{Bloom, BloomLayer};
#[cfg(test)]
pub(crate) use config::tests;
pub use config::{LlamaConfig, RopeScaling};
pub use config_bloom::BloomConfig;
#[cfg(test)]
pub(crate) use config_bloom::tests::bloom_7b;
pub use error::ModelError;
pub use footprint::{Footprint, Widths, layer_of};
pub use layers::{Layers, ReadLayer, Residence};
pub use linear::Linear;
pub use llama::{Layer, Llama};
pub use network::{ModelConfig, Network, load};
pub use norm::LayerNorm;
pub use open::Checkpoint;
pub use wave::{Kept, Segment, Wave};
