//! Any released form of a model seen as one: names and row orders of Hugging Face, a configuration, small files.
//!
//! Every form is a [`TensorSource`](crate::weights::TensorSource) over its files: a GGUF file, Meta's shards or a folder
//! of BigScience's under other names and with the rows of queries and keys in another order. Nothing is computed before
//! a tensor is asked for.

mod bloom_names;
mod cast;
mod error;
pub mod gguf;
mod gguf_config;
mod lookup;
mod meta;
mod model;
mod open;
pub(crate) mod rows;
#[cfg(test)]
pub(crate) mod sample;
mod sidecar;

pub use crate::base::fault::Refusal;
pub use cast::{Cast, WithoutBuffers, is_buffer};
pub use error::LineageError;
pub use gguf::GgufAsHf;
pub use gguf_config::config_from_gguf;
pub(crate) use lookup::find;
pub(crate) use meta::context_of;
pub use meta::{MetaAsHf, config_from_params};
pub(crate) use model::prevailing;
pub use model::{HfModel, Sidecar, SidecarContent};
pub use sidecar::sidecars_from_gguf;
