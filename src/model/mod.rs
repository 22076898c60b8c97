//! Models over `ndarray`: configuration, weights, and forward passes that read on one screen
//! ([`Llama`], [`Bloom`]). What runs them sees a [`Network`].
//!
//! Many sequences are one packed [`Wave`]: `[tokens, hidden]` without padding, shared prefixes once.

mod alibi;
pub mod attention;
mod bloom;
mod chunks;
mod ends;
mod error;
mod footprint;
mod layers;
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

use crate::config::{BloomConfig, LlamaConfig, ModelConfig, RopeScaling};

pub use bloom::{Bloom, BloomLayer};
pub use error::ModelError;
pub use footprint::{Footprint, layer_of};
pub use layers::{Layers, ReadLayer, Residence};
pub use linear::Linear;
pub use llama::{Layer, Llama};
pub use network::{Network, load};
pub use norm::LayerNorm;
pub use open::Checkpoint;
pub use wave::{Kept, Segment, Wave};
