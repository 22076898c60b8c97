//! The special tokens BOS, EOS and unknown of models that descend from LLaMA.
//!
//! All of them kept LLaMA's: `<unk>` 0, `<s>` 1, `</s>` 2. Conversions of spring 2023 wrote other ids into
//! `config.json`, or −1 for a padding token, and BELLE-LLaMA-13B-2M ships a tokenizer whose special tokens are empty texts; a
//! model that is run with them never stops or starts wrongly. The ids are corrected, and each correction is said.

use serde_json::{Map, Value};

use crate::base::recognise::without_mark;
use crate::forms::HfModel;

/// The ids of LLaMA's vocabulary, which derivatives keep.
const SPECIAL_IDS: [(&str, u64); 2] = [("bos_token_id", 1), ("eos_token_id", 2)];
/// Padding, where the file says −1: the unknown token, which attention masks hide.
const PAD: (&str, u64) = ("pad_token_id", 0);

/// Corrects the ids in the configuration of a model of LLaMA's type.
pub(super) fn correct(model: &mut HfModel, warnings: &mut Vec<String>) {
    if model.config.get("model_type").and_then(Value::as_str) != Some("llama") {
        return;
    }
    let name = model.config_name.clone();
    let mut set = |config: &mut Map<String, Value>, key: &str, id: u64| {
        let old = config.insert(key.to_owned(), Value::from(id));
        if let Some(old) = old.filter(|old| !old.is_null()) {
            warnings.push(format!(
                "{name}: {key}: expected {id}, as in LLaMA, found {old}; the result says {id}"
            ));
        }
    };
    for (key, id) in SPECIAL_IDS {
        if model.config.get(key).and_then(Value::as_u64) != Some(id) {
            set(&mut model.config, key, id);
        }
    }
    if model.config.get(PAD.0).and_then(Value::as_i64).is_some_and(|id| id < 0) {
        set(&mut model.config, PAD.0, PAD.1);
    }
}

/// Says if the tokenizer's settings have empty texts for special tokens.
pub(super) fn note_empty(model: &HfModel, warnings: &mut Vec<String>) {
    let settings = model.sidecars.iter().find(|sidecar| sidecar.name == "tokenizer_config.json");
    // What cannot be read is an error where it is copied or understood; here it only has no empty texts.
    let Some(Ok(text)) = settings.map(|sidecar| sidecar.content.read()) else { return };
    let Ok(settings) = serde_json::from_slice::<Map<String, Value>>(without_mark(&text)) else { return };
    let empty: Vec<&str> = ["bos_token", "eos_token", "unk_token"]
        .into_iter()
        .filter(|key| {
            let value = settings.get(*key);
            value.and_then(|value| value.as_str().or_else(|| value.get("content")?.as_str())) == Some("")
        })
        .collect();
    if !empty.is_empty() {
        warnings.push(format!(
            "tokenizer_config.json: {} empty; the ids of LLaMA are used: <unk> 0, <s> 1, </s> 2",
            empty.join(", ")
        ));
    }
}
