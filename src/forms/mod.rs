//! Any released form of a model seen as one: names and row orders of Hugging Face, a configuration, small files.
//!
//! [`open`] is the one way in. Every form is a [`TensorSource`](crate::weights::TensorSource) over its files: a GGUF file,
//! Meta's shards or a folder of BigScience's under other names and with the rows of queries and keys in another order
//! ([`Renamed`]). Nothing is computed before a tensor is asked for.

mod bare_names;
mod bloom_names;
mod cast;
mod error;
mod gguf;
mod meta;
mod model;
pub(crate) mod names;
mod open;
mod renamed;
pub(crate) mod rows;
#[cfg(test)]
pub(crate) mod sample;
mod tied;
mod unread;

pub use cast::{Cast, without_buffers};
pub use error::FormError;
pub use gguf::GgufAsHf;
pub(crate) use gguf::ROPE_FACTORS;
pub use meta::MetaAsHf;
pub(crate) use model::prevailing;
pub use model::{HfModel, Sidecar, SidecarContent, Stated};
pub use open::{Opened, TokenizerSource, open};
pub use renamed::Renamed;
pub(crate) use tied::{about_other_head, has_other_head};
pub use unread::refuse_unread;
pub(crate) use unread::{OF_INTEGERS, advice_about, of_integers, unread};
