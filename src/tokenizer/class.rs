//! Which class of transformers reads a folder's tokenizer, and what that class makes of the settings beside it.
//!
//! Versions of transformers give different ids for the same files. What holds here is 4.57, as everywhere (see
//! `evals/README.md`), the last of the releases with which this family was trained and its published scores were measured:
//! `LlamaTokenizerFast` puts BOS first
//! unless `add_bos_token` is false, whatever the post-processor of `tokenizer.json` says; a stated `add_prefix_space`
//! makes it build the tokenizer anew from `tokenizer.model`, where `legacy` counts; other classes take `tokenizer.json`
//! as it is. Source: `tokenization_llama_fast.py`, `tokenization_utils_fast.py`, `convert_slow_tokenizer.py` and
//! `models/auto/tokenization_auto.py` of that version, restated, and ids that it gave.

use serde_json::{Map, Value};

use super::TokenizerError;
use super::library_parts::objects;
use super::settings::Settings;

/// What stands for a space in pieces.
const SPACE: &str = "▁";

/// The classes that differ in what they make of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Class {
    /// `LlamaTokenizerFast`, also under the name that it had in March 2023.
    Llama,
    /// `CodeLlamaTokenizerFast`: the same, but `add_prefix_space` means nothing to it.
    CodeLlama,
    /// `BloomTokenizerFast`: `add_prefix_space` holds for all byte-level parts.
    Bloom,
    /// Any other: what `tokenizer.json` says, but for `add_prefix_space` of a byte-level pre-tokenizer.
    #[default]
    Other,
}

impl Class {
    /// By the name in the settings, else by the model's type in `config.json`.
    pub fn of(name: Option<&str>, model_type: Option<&str>) -> Class {
        let is = |text: &str| name.is_some_and(|name| name.to_lowercase().contains(text));
        match (name, model_type) {
            (Some(_), _) if is("codellama") => Class::CodeLlama,
            (Some(_), _) if is("llama") => Class::Llama,
            (Some(_), _) if is("bloom") => Class::Bloom,
            (None, Some("llama" | "mistral" | "mixtral")) => Class::Llama,
            (None, Some("code_llama")) => Class::CodeLlama,
            (None, Some("bloom")) => Class::Bloom,
            _ => Class::Other,
        }
    }

    /// Whether what is put around a text follows `add_bos_token` and `add_eos_token`, not the post-processor.
    pub fn adds_specials(self) -> bool {
        matches!(self, Class::Llama | Class::CodeLlama)
    }
}

impl Settings {
    /// The class of transformers that reads the folder.
    pub(super) fn class(&self) -> Class {
        Class::of(self.tokenizer_class.as_deref(), self.model_type.as_deref())
    }

    /// Whether the tokenizer is built from `tokenizer.model` even if there is a `tokenizer.json`.
    pub(super) fn prefers_model(&self) -> bool {
        self.class() == Class::Llama && self.add_prefix_space.is_some()
    }

    /// Whether text of a `tokenizer.model` gets a space before it: as the settings say, else yes; without any settings
    /// (Meta's folders) as `own`, the model file, says.
    pub(super) fn dummy_prefix(&self, own: bool) -> bool {
        let stated = self.add_prefix_space.filter(|_| self.class() != Class::CodeLlama);
        if stated.is_none() && self.is_hugging_face && !own {
            tracing::warn!(
                "tokenizer.model puts no space before text, but transformers does where add_prefix_space is not \
                 stated; text gets one"
            );
        }
        stated.unwrap_or(own || self.is_hugging_face)
    }

    /// Whether extra spaces are dropped: as the model file says, which transformers does not ask.
    pub(super) fn drops_spaces(&self, own: bool) -> bool {
        own && !self.is_hugging_face
    }

    /// Refuses a `tokenizer.model` of a class with rules of its own.
    pub(super) fn check_model_class(&self) -> Result<(), TokenizerError> {
        match self.tokenizer_class.as_deref() {
            Some(name) if self.class() == Class::Other && name != "PreTrainedTokenizerFast" => {
                let supported = "LlamaTokenizer; a tokenizer.json beside it is read with any class";
                let what = format!("{name:?} with a tokenizer.model");
                Err(TokenizerError::unsupported(&self.place, "tokenizer_class", what, supported))
            }
            _ => Ok(()),
        }
    }

    /// Makes of a `tokenizer.json` what the class makes of it with these settings.
    pub(super) fn adapt(&self, place: &str, json: &mut Value) -> Result<(), TokenizerError> {
        match (self.class(), self.add_prefix_space) {
            (Class::Llama, Some(false)) => remove_prefix(json),
            (Class::Llama, Some(true)) if !has_prefix(json) => {
                let expected = "a tokenizer.json that puts a space before text, as add_prefix_space says, or a \
                                tokenizer.model beside it";
                return Err(TokenizerError::field(place, "normalizer", expected, "none"));
            }
            (Class::Bloom, Some(true)) => {
                for part in ["pre_tokenizer", "decoder"] {
                    for_each(json.get_mut(part), &mut |object| set_byte_level(object, true));
                }
            }
            (Class::Other | Class::Bloom, stated) => {
                if let Some(Value::Object(object)) = json.get_mut("pre_tokenizer") {
                    set_byte_level(object, stated.unwrap_or(false));
                }
            }
            (Class::Llama | Class::CodeLlama, _) => {}
        }
        Ok(())
    }
}

fn is_kind(object: &Map<String, Value>, kind: &str) -> bool {
    object.get("type").and_then(Value::as_str) == Some(kind)
}

fn set_byte_level(object: &mut Map<String, Value>, prefix: bool) {
    if is_kind(object, "ByteLevel") {
        object.insert("add_prefix_space".to_owned(), Value::Bool(prefix));
    }
}

/// Whether one of the parts puts a space before a text.
fn has_prefix(json: &Value) -> bool {
    let prepends = objects(json.get("normalizer")).into_iter().any(|object| is_kind(object, "Prepend"));
    let first = |object: &Map<String, Value>| {
        let scheme = object.get("prepend_scheme").and_then(Value::as_str);
        let old = object.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(true);
        is_kind(object, "Metaspace") && scheme.map_or(old, |scheme| scheme != "never")
    };
    prepends || objects(json.get("pre_tokenizer")).into_iter().any(first)
}

/// Takes out what puts a space before a text and what drops it again.
fn remove_prefix(json: &mut Value) {
    let is_prepend = |part: &Value| part["type"] == "Prepend" && part["prepend"] == SPACE;
    let is_strip = |part: &Value| part["type"] == "Strip" && part["content"] == " " && part["start"] == 1;
    remove_part(json.get_mut("normalizer"), "normalizers", &is_prepend);
    remove_part(json.get_mut("decoder"), "decoders", &is_strip);
    for part in ["pre_tokenizer", "decoder"] {
        for_each(json.get_mut(part), &mut |object| {
            if is_kind(object, "Metaspace") {
                object.insert("prepend_scheme".to_owned(), Value::from("never"));
                object.insert("add_prefix_space".to_owned(), Value::Bool(false));
            }
        });
    }
}

/// Removes the parts that `is_meant` from a part or from the sequence that it is.
fn remove_part(part: Option<&mut Value>, list: &str, is_meant: &dyn Fn(&Value) -> bool) {
    let Some(part) = part else { return };
    if is_meant(part) {
        *part = Value::Null;
    } else if let Some(Value::Array(parts)) = part.get_mut(list) {
        parts.retain(|part| !is_meant(part));
        parts.iter_mut().for_each(|part| remove_part(Some(part), list, is_meant));
    }
}

fn for_each(part: Option<&mut Value>, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    match part {
        Some(Value::Object(object)) => {
            change(object);
            object.values_mut().for_each(|value| for_each(Some(value), change));
        }
        Some(Value::Array(items)) => items.iter_mut().for_each(|item| for_each(Some(item), change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_class_is_named_or_that_of_the_model() {
        assert_eq!(Class::of(Some("LLaMATokenizer"), None), Class::Llama);
        assert_eq!(Class::of(Some("CodeLlamaTokenizerFast"), Some("llama")), Class::CodeLlama);
        assert_eq!(Class::of(Some("PreTrainedTokenizerFast"), Some("llama")), Class::Other);
        assert_eq!(Class::of(None, Some("llama")), Class::Llama);
        assert_eq!(Class::of(None, Some("bloom")), Class::Bloom);
        assert_eq!(Class::of(None, None), Class::Other);
    }

    #[test]
    fn the_prefix_goes_wherever_it_stands() {
        let prepend = json!({"type": "Prepend", "prepend": "▁"});
        let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
        let mut json = json!({
            "normalizer": {"type": "Sequence", "normalizers": [prepend, replace]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
            "decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, strip]},
        });
        assert!(has_prefix(&json));
        remove_prefix(&mut json);
        assert!(!has_prefix(&json));
        assert_eq!(json["normalizer"]["normalizers"], json!([replace]));
        assert_eq!(json["decoder"]["decoders"], json!([{"type": "Fuse"}]));
        let mut alone = json!({"normalizer": prepend});
        remove_prefix(&mut alone);
        assert_eq!(alone["normalizer"], Value::Null);
    }
}
