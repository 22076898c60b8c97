//! Vocabularies and the small JSON files: what they make can be used at once.

use std::path::Path;

use super::{accepted, check_config};
use crate::config;
use crate::rebuild::AdapterConfig;
use crate::tokenizer::{AddSpecials, Tokenizer, gguf_vocabulary as vocabulary_to_gguf, tokenizer_files};
use crate::weights::GgufFile;

/// What every vocabulary has to encode: marks, spaces, characters of 1 to 4 bytes, runs.
const TEXTS: [&str; 4] = ["", "a b  ab\n", "<s>é中🙂</s><unk>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"];
/// Modules of a model, as adapters name them.
const MODULES: [&str; 3] = ["lm_head", "model.layers.0.self_attn.q_proj", "model.layers.31.mlp.down_proj"];

/// SentencePiece's `tokenizer.model`, alone in its folder.
pub(super) fn tokenizer_model(bytes: &[u8]) -> bool {
    folder_of("tokenizer.model", bytes)
}

/// `tokenizer.json`, alone in its folder.
pub(super) fn tokenizer_json(bytes: &[u8]) -> bool {
    folder_of("tokenizer.json", bytes)
}

fn folder_of(name: &str, bytes: &[u8]) -> bool {
    let read = |wanted: &str| Ok((wanted == name).then(|| bytes.to_vec()));
    let Some(tokenizer) = accepted(Tokenizer::from_files(Path::new("x"), &read)) else { return false };
    check_tokenizer(&tokenizer);
    // The GGUF form of a vocabulary, where it has one, is a vocabulary again.
    let rows = tokenizer.vocab_size().max(1);
    if let Some(Some(meta)) = accepted(vocabulary_to_gguf(Path::new("x"), &read, rows))
        && let Some(again) = accepted(Tokenizer::from_gguf(&meta))
    {
        assert!(again.vocab_size() <= rows, "{} tokens in {rows} rows", again.vocab_size());
    }
    true
}

/// The vocabulary in the metadata of a GGUF file.
pub(super) fn gguf_vocabulary(bytes: &[u8]) -> bool {
    let Some(file) = accepted(GgufFile::from_bytes(Path::new("x.gguf"), bytes.to_vec())) else {
        return false;
    };
    let tokenizer = accepted(Tokenizer::from_gguf(file.metadata()));
    if let Some(tokenizer) = &tokenizer {
        check_tokenizer(tokenizer);
    }
    accepted(tokenizer_files(file.metadata()));
    tokenizer.is_some()
}

fn check_tokenizer(tokenizer: &Tokenizer) {
    let size = tokenizer.vocab_size();
    for text in TEXTS {
        for specials in [AddSpecials::Default, AddSpecials::None] {
            let Some(ids) = accepted(tokenizer.encode(text, specials)) else { continue };
            let outside = ids.iter().find(|id| **id as usize >= size);
            assert!(outside.is_none(), "id {outside:?} in a vocabulary of {size}");
            accepted(tokenizer.decode(&ids));
            accepted(tokenizer.decode_without_specials(&ids));
        }
        accepted(tokenizer.encode_raw(text));
    }
    for id in [0, 1, size as u32, u32::MAX] {
        accepted(tokenizer.decode(&[id]));
        let text = tokenizer.token_text(id);
        assert!(text.is_none() || (id as usize) < size, "token {id} in a vocabulary of {size}");
    }
}

/// Meta's `params.json`, and the `config.json` that says the same.
pub(super) fn params_json(bytes: &[u8]) -> bool {
    let Some(config) = accepted(config::params::read(bytes, 32_000, None, "params.json")) else {
        return false;
    };
    let again = config::hf::from_map(&config.to_json(), "params.json");
    let again = again.unwrap_or_else(|error| panic!("one reader accepts it, the next does not: {error}"));
    check_config(&again);
    true
}

/// `config.json` of a Hugging Face folder.
pub(super) fn config_json(bytes: &[u8]) -> bool {
    let Some(config) = accepted(config::hf::from_bytes(bytes, "config.json")) else { return false };
    check_config(&config);
    true
}

/// `adapter_config.json` of an adapter.
pub(super) fn adapter_config(bytes: &[u8]) -> bool {
    let config = AdapterConfig::from_bytes("adapter_config.json".into(), bytes);
    let Some(config) = accepted(config) else { return false };
    for module in MODULES {
        config.includes(module);
        assert!(config.rank_of(module) > 0 && config.scale_of(module).is_finite(), "{}", config.summary());
    }
    true
}
