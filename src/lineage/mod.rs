//! How one form of a model becomes another: names, row orders, and what a derivative adds to its base.
//!
//! Everything here is a [`TensorSource`](crate::weights::TensorSource) over other ones: a file under other names, a
//! model in another row order, the sum of a base and a delta. Nothing is computed before a tensor is asked for, so
//! whoever writes, checks or runs the result decides how much of it is in memory at a time.

mod arithmetic;
mod bloom_names;
mod cast;
pub mod compare;
mod delta;
mod derive;
mod digest;
mod error;
pub mod extract;
pub mod gguf;
mod gguf_config;
mod gguf_out;
mod hash;
mod hf_config;
mod lock;
mod lookup;
mod lora;
mod meta;
mod meta_out;
mod model;
mod open;
mod record;
mod rope_factors;
mod rows;
#[cfg(test)]
pub(crate) mod sample;
mod sidecar;
pub mod spectrum;
mod store;
mod xor;

pub use cast::{Cast, WithoutBuffers, is_buffer};
pub use delta::{AppendedRow, Delta, DeltaRule, SumCheck, SumVerdict, Summed};
pub use derive::{Derived, Facts, Parts, PublishedSum, Released, check_digests, derive};
pub use digest::{TensorDigest, digest_tensors, tensors_sha256};
pub use error::{LineageError, Refusal};
pub use gguf::GgufAsHf;
pub use gguf_config::config_from_gguf;
pub use gguf_out::{GgufFileType, GgufPlan, GgufReport, write_gguf};
pub use lock::{LOCK_FILE, Lock, LockedFile, LockedInput};
pub use lora::{Adapter, AdapterConfig, MergeRule, merge};
pub use meta::{MetaAsHf, config_from_params};
pub use meta_out::{MetaPlan, MetaReport, write_meta};
pub use model::{HfModel, Sidecar, SidecarContent};
pub use record::{InputFile, InputRecord, LineageRecord};
pub use rope_factors::Llama3Rule;
pub use sidecar::sidecars_from_gguf;
pub use store::{
    Check, SHARD_BYTES, StoreOptions, Written, WrittenFile, check_target, no_check, write_gguf_file,
    write_meta_folder, write_model,
};
pub use xor::{Decrypted, DecryptedFile, decrypt_folder, key_fits};
