//! What a derivative adds to its base: differences, adapters, encrypted files.
//!
//! Everything here is a `TensorSource` over other ones: the sum of a base and a
//! difference, a base with merged adapters. Nothing is computed before a tensor is asked for, so whoever writes, checks
//! or runs the result decides how much of it is in memory at a time. [`derive()`] is the one entry.

mod arithmetic;
mod delta;
mod derive;
mod lora;
mod record;
mod xor;

pub use delta::{AppendedRow, Delta, DeltaRule, SumCheck, SumVerdict, Summed};
pub use derive::{Derived, Facts, Parts, PublishedSum, Released, check_digests, derive};
pub(crate) use lora::TOKENIZER_FILES;
pub use lora::{Adapter, AdapterConfig, merge};
pub use record::{BuildRecord, InputFile, InputRecord};
pub use xor::{Decrypted, DecryptedFile, decrypt_folder, key_fits};

use crate::weights::TensorSource;

/// The number behind `layers.` in the name of a tensor or module.
fn layer_of(name: &str) -> Option<u64> {
    name.split_once("layers.").and_then(|(_, rest)| rest.split('.').next()?.parse().ok())
}

/// Number of layers of a model, by the names of its tensors.
fn layers(model: &dyn TensorSource) -> u64 {
    model.tensors().iter().filter_map(|info| layer_of(&info.name)).max().map_or(0, |last| last + 1)
}
