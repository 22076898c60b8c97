//! Every reader of untrusted files as a function of bytes, with what has to hold for any input.
//!
//! Fuzzers call these functions, and so does an everyday test with seeds and mutations. A reader may accept or refuse
//! an input. It may not panic, and what it accepts has to keep its promises: tensors lie inside the file, sizes are
//! those of the shapes, ids are in the vocabulary. What it says of a refused input is short and free of control
//! characters, since it is printed on a terminal.

mod foreign;
#[cfg(test)]
mod seeds;
mod tensors;
mod texts;

use std::fmt::Display;

use crate::base::printable::in_one_line;
use crate::config::ModelConfig;

/// A reader and its name, which is that of the fuzz target and of the folders with its inputs.
#[derive(Debug, Clone, Copy)]
pub struct FuzzTarget {
    /// Lower case with underscores.
    pub name: &'static str,
    /// Reads an input and checks the result; says whether it was accepted.
    ///
    /// # Panics
    /// If the reader broke a promise. That is the finding.
    pub run: fn(&[u8]) -> bool,
}

/// The readers, each by itself and all together. A fuzzer that names one is linked with it alone: what others count would be looked
/// at after each of its executions.
macro_rules! targets {
    ($count:literal: $($constant:ident $name:literal $run:path,)+) => {
        $(
            #[doc = concat!("The reader called `", $name, "`.")]
            pub const $constant: FuzzTarget = FuzzTarget { name: $name, run: $run };
        )+

        /// All readers of untrusted files.
        pub const TARGETS: [FuzzTarget; $count] = [$($constant),+];
    };
}

targets! { 21:
    TORCH_ZIP "torch_zip" tensors::torch_file,
    TORCH_PICKLE "torch_pickle" tensors::torch_pickle,
    TORCH_OLD "torch_old" tensors::torch_file,
    SAFETENSORS_HEADER "safetensors_header" tensors::safetensors_header,
    GGUF_HEADER "gguf_header" tensors::gguf_header,
    GGUF_VOCABULARY "gguf_vocabulary" texts::gguf_vocabulary,
    TOKENIZER_MODEL "tokenizer_model" texts::tokenizer_model,
    TOKENIZER_JSON "tokenizer_json" texts::tokenizer_json,
    PARAMS_JSON "params_json" texts::params_json,
    CONFIG_JSON "config_json" texts::config_json,
    ADAPTER_CONFIG "adapter_config" texts::adapter_config,
    CHAT_TEMPLATE "chat_template" foreign::chat_template,
    TASK_TEMPLATE "task_template" foreign::task_template,
    TASK_YAML "task_yaml" foreign::task_yaml,
    LEDGER "ledger" foreign::ledger,
    SAMPLES "samples" foreign::samples,
    RUN_YAML "run_yaml" foreign::run_yaml,
    HUB_LISTING "hub_listing" foreign::hub_listing,
    CARD "card" foreign::card,
    SHARD_YAML "shard_yaml" foreign::shard_yaml,
    SERVER_ANSWER "server_answer" foreign::server_answer,
}

/// The target of this name.
pub fn target(name: &str) -> Option<FuzzTarget> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// Longest message about a file.
const MAX_MESSAGE: usize = 8192;

/// The value of a good input; of a refused one, nothing, after its message was checked.
fn accepted<T, E: Display>(result: Result<T, E>) -> Option<T> {
    let error = match result {
        Ok(value) => return Some(value),
        Err(error) => error.to_string(),
    };
    assert!(error.len() <= MAX_MESSAGE, "a message of {} bytes", error.len());
    assert!(!error.contains(|c: char| c.is_control() && c != '\n'), "control characters in {error:?}");
    None
}

/// The same where messages repeat what others wrote as it is: whoever shows them spells what a terminal would obey.
fn understood<T, E: Display>(result: Result<T, E>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            accepted(Err::<(), _>(in_one_line(&error.to_string(), MAX_MESSAGE / 16)));
            None
        }
    }
}

/// All that is computed from a configuration before weights are looked at.
fn check_config(config: &ModelConfig) {
    assert!(config.parameters() > 0);
    if let ModelConfig::Llama(llama) = config {
        let query = llama.num_attention_heads.checked_mul(llama.head_dim);
        let inner = llama.intermediate_size.checked_mul(llama.hidden_size);
        let rows = llama.vocab_size.checked_mul(llama.hidden_size);
        assert!(query.is_some() && inner.is_some() && rows.is_some(), "{llama:?}");
        assert!(llama.num_attention_heads.is_multiple_of(llama.num_key_value_heads), "{llama:?}");
        assert!(llama.rope_theta.is_finite() && llama.rms_norm_eps.is_finite(), "{llama:?}");
    }
}
