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

/// All readers of untrusted files.
pub const TARGETS: [FuzzTarget; 19] = [
    FuzzTarget { name: "torch_zip", run: tensors::torch_file },
    FuzzTarget { name: "torch_pickle", run: tensors::torch_pickle },
    FuzzTarget { name: "torch_old", run: tensors::torch_file },
    FuzzTarget { name: "safetensors_header", run: tensors::safetensors_header },
    FuzzTarget { name: "gguf_header", run: tensors::gguf_header },
    FuzzTarget { name: "gguf_vocabulary", run: texts::gguf_vocabulary },
    FuzzTarget { name: "tokenizer_model", run: texts::tokenizer_model },
    FuzzTarget { name: "tokenizer_json", run: texts::tokenizer_json },
    FuzzTarget { name: "params_json", run: texts::params_json },
    FuzzTarget { name: "config_json", run: texts::config_json },
    FuzzTarget { name: "adapter_config", run: texts::adapter_config },
    FuzzTarget { name: "chat_template", run: foreign::chat_template },
    FuzzTarget { name: "task_template", run: foreign::task_template },
    FuzzTarget { name: "task_yaml", run: foreign::task_yaml },
    FuzzTarget { name: "ledger", run: foreign::ledger },
    FuzzTarget { name: "samples", run: foreign::samples },
    FuzzTarget { name: "run_yaml", run: foreign::run_yaml },
    FuzzTarget { name: "hub_listing", run: foreign::hub_listing },
    FuzzTarget { name: "card", run: foreign::card },
];

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
