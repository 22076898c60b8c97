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
pub use lora::{Adapter, AdapterConfig, merge};
pub(crate) use lora::{TOKENIZER_FILES, add_update};
pub use record::{BuildRecord, InputFile, InputRecord};
pub use xor::{Decrypted, DecryptedFile, decrypt_folder, key_fits};

use std::collections::BTreeSet;

use crate::base::names::number_in_name;
use crate::weights::TensorSource;

/// What the lists of layers are called: LLaMA's and BLOOM's.
const LISTS: [&str; 2] = ["layers", "h"];

/// The number of the layer that a tensor or module belongs to, by its name.
fn layer_of(name: &str) -> Option<u64> {
    let mut parts = name.split('.').skip_while(|part| !LISTS.contains(part));
    parts.nth(1).and_then(number_in_name).map(|number| number as u64)
}

/// Number of layers of a model, by the names of its tensors.
fn layers(model: &dyn TensorSource) -> usize {
    model.tensors().iter().filter_map(|info| layer_of(&info.name)).collect::<BTreeSet<u64>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::sample::MemorySource;
    use crate::weights::Dtype;

    #[test]
    fn layers_are_counted_whatever_their_numbers_are() {
        let names = ["model.layers.0.a", "model.layers.0.b", "model.layers.1.a", "model.layers.+1.a", "norm"];
        let count = |names: &[&'static str]| {
            layers(&MemorySource::new(
                names.iter().map(|name| (*name, Dtype::F32, vec![1], vec![0.0])).collect(),
            ))
        };
        assert_eq!(count(&names), 2);
        assert_eq!(count(&["model.layers.18446744073709551615.a"]), 1);
        assert_eq!(
            (layer_of("layers.00.a"), layer_of("x.layers.12.a"), layer_of("layer.1")),
            (None, Some(12), None)
        );
        assert_eq!(layer_of("transformer.h.3.self_attention.dense"), Some(3));
    }
}
