//! Models over `ndarray`: configuration, weights, and one forward pass ([`Network`]) that reads on one screen.
//!
//! Many sequences are one packed [`Wave`]: `[tokens, hidden]` without padding, shared prefixes once.

pub mod attention;
mod bloom;
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
mod prefix;
mod reader;
mod rows;
mod wave;

pub use error::ModelError;
pub use footprint::Footprint;
pub use layers::{Layers, ReadLayer, Residence};
pub use linear::Linear;
pub use mlp::{Activation, Mlp};
pub use network::{Layer, Network, unwatched};
pub use norm::Norm;
pub use open::Checkpoint;
pub use positions::Positions;
pub use prefix::Prefix;
pub use wave::{Kept, Wave, WaveSegment};
