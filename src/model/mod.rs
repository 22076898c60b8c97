//! Models over `ndarray`: configuration, weights, and one forward pass ([`Network`]) that reads on one screen.
//!
//! Many sequences are one packed [`Wave`]: `[tokens, hidden]` without padding, shared prefixes once.

pub mod attention;
mod bloom;
mod cache;
mod error;
mod footprint;
mod layers;
mod linear;
mod llama;
mod mlp;
mod network;
mod norm;
mod open;
mod positions;
mod reader;
mod rows;
mod wave;

pub use cache::{BLOCK, BlockTable, CacheUse, KvCache, Slot, blocks_of};
pub use error::ModelError;
pub use footprint::Footprint;
pub use layers::{Layers, ReadLayer, Residence};
pub use linear::Linear;
pub use mlp::{Activation, Mlp};
pub use network::{AfterLayer, LOGIT_COLUMNS, Layer, Network, unwatched};
pub use norm::Norm;
pub use open::Checkpoint;
pub use positions::Positions;
pub use wave::{Kept, Wave, WaveSegment};
