//! How one form of a model becomes another: names, row orders, and what a derivative adds to its base.
//!
//! Everything here is a [`TensorSource`](crate::weights::TensorSource) over other ones: a file under other names, a
//! model in another row order, the sum of a base and a delta. Nothing is computed before a tensor is asked for, so
//! whoever writes, checks or runs the result decides how much of it is in memory at a time.

pub mod compare;
mod error;
pub mod gguf;
mod model;
pub mod spectrum;

pub use error::{LineageError, Refusal};
pub use gguf::GgufAsHf;
pub use model::{HfModel, Sidecar, SidecarContent};
