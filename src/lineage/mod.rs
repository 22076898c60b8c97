//! How one form of a model becomes another: names, row orders, and what a derivative adds to its base.
//!
//! Everything here is a [`TensorSource`](crate::weights::TensorSource) over other ones: a file under other names, a
//! model in another row order, the sum of a base and a delta. Nothing is computed before a tensor is asked for, so
//! whoever writes, checks or runs the result decides how much of it is in memory at a time.

mod error;
pub mod gguf;
mod gguf_config;
mod model;
mod rope_factors;

pub use error::{LineageError, Refusal};
pub use gguf::GgufAsHf;
pub use gguf_config::config_from_gguf;
pub use model::{HfModel, Sidecar, SidecarContent};
pub use rope_factors::Llama3Rule;
