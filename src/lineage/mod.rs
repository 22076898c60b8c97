//! How one form of a model becomes another: names, row orders, and what a derivative adds to its base.
//!
//! Everything here is a [`TensorSource`](crate::weights::TensorSource) over other ones: a file under other names, a
//! model in another row order, the sum of a base and a delta. Nothing is computed before a tensor is asked for, so
//! whoever writes, checks or runs the result decides how much of it is in memory at a time.

mod cast;
mod digest;
mod error;
pub mod gguf;
mod gguf_config;
mod lock;
mod model;
mod record;
mod rope_factors;
#[cfg(test)]
pub(crate) mod testing;

pub use cast::{Cast, WithoutBuffers, is_buffer};
pub use digest::{TensorDigest, digest_tensors, tensors_sha256};
pub use error::{LineageError, Refusal};
pub use gguf::GgufAsHf;
pub use gguf_config::config_from_gguf;
pub use lock::{LOCK_FILE, Lock, LockedFile, LockedInput};
pub use model::{HfModel, Sidecar, SidecarContent};
pub use record::{InputFile, InputRecord, LineageRecord};
pub use rope_factors::Llama3Rule;
