//! The small JSON files around a vocabulary: which tokens are special, which are added, what encoding adds.
//!
//! Read in the order in which transformers trusts them: `tokenizer_config.json`, `special_tokens_map.json` (which
//! comes first if the former is of the old form without `added_tokens_decoder`), `added_tokens.json`; and, for those
//! that none of them mentions, the ids in `config.json` and `generation_config.json`. One that is `null` is
//! absent on purpose; one that is the empty string (BELLE's files) was lost on the way and counts as not mentioned.
//! What the settings do to the ids is said in [`super::class`].

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::TokenizerError;
use super::error::from_json;
use super::names::{NAMES, SpecialNames};
use super::specials::AddedToken;
use super::vocabulary::MAX_PIECES;
use crate::base::recognise::dangling_fault;
use crate::base::whole::{self, TooLarge};

/// Bytes of a settings file that are read at most.
const MAX_SETTINGS: u64 = 64 << 20;
/// Bytes of a vocabulary file that are read at most; the largest known (`tokenizer.json` of 256,000 tokens) has 34 MB.
const MAX_VOCABULARY: u64 = 256 << 20;

const ADDITIONAL: &str = "additional_special_tokens";

/// Tokens by the key that lists them: the key, the name if there is one, and the text.
type ListedTokens = Vec<(&'static str, Option<String>, String)>;

/// What the files say of one special token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Named {
    /// Nothing.
    #[default]
    Unmentioned,
    /// There is none.
    None,
    /// It has this text.
    Text(String),
    /// It has this id (from a model configuration).
    Id(u32),
}

/// All settings of a folder.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// Names `tokenizer_config.json` in errors.
    pub place: String,
    /// Whether there are settings of Hugging Face's form at all.
    pub is_hugging_face: bool,
    pub bos: Named,
    pub eos: Named,
    pub unk: Named,
    pub pad: Named,
    pub add_bos_token: Option<bool>,
    pub add_eos_token: Option<bool>,
    /// Only the start of a text gets a dummy prefix if this is `Some(false)`.
    pub legacy: Option<bool>,
    /// Whether text gets a dummy prefix at all.
    pub add_prefix_space: Option<bool>,
    pub tokenizer_class: Option<String>,
    /// The type of the model in `config.json`.
    pub model_type: Option<String>,
    pub clean_up_tokenization_spaces: bool,
    /// Added tokens with the ids that the files state.
    pub added: BTreeMap<u32, AddedToken>,
    /// `additional_special_tokens` and `extra_special_tokens`, which need no id.
    pub additional: Vec<String>,
    /// All special tokens that are named.
    pub names: SpecialNames,
    /// The ids at which the model stops writing: `eos_token_id` of `generation_config.json`, else of `config.json`.
    pub ends: Vec<u32>,
}

impl Settings {
    /// Reads the files that `read` gives by their names; `folder` names them in errors. Absent files say nothing.
    ///
    /// Errors: a file that is not JSON, settings of the wrong type, ids out of range.
    pub fn read(folder: &Path, read: &ReadFile<'_>) -> Result<Settings, TokenizerError> {
        let open = |name: &str| SettingsFile::read(folder, name, read);
        let config = open("tokenizer_config.json")?;
        let map = open("special_tokens_map.json")?;
        let config_first = config.value.get("added_tokens_decoder").is_some();
        let named = |key: &str| -> Result<Named, TokenizerError> {
            Ok(match (config_first, config.named(key)?, map.named(key)?) {
                (true, Named::Unmentioned, map) => map,
                (false, config, Named::Unmentioned) => config,
                (false, config @ Named::Text(_), Named::None) => config,
                (false, _, map) => map,
                (true, config, _) => config,
            })
        };
        let mut settings = Settings {
            bos: named("bos_token")?,
            eos: named("eos_token")?,
            unk: named("unk_token")?,
            pad: named("pad_token")?,
            add_bos_token: config.boolean("add_bos_token")?,
            add_eos_token: config.boolean("add_eos_token")?,
            legacy: config.boolean("legacy")?,
            add_prefix_space: config.boolean("add_prefix_space")?,
            tokenizer_class: config.text("tokenizer_class")?,
            clean_up_tokenization_spaces: config.boolean("clean_up_tokenization_spaces")?.unwrap_or(false),
            is_hugging_face: !config.value.is_null(),
            place: config.place.clone(),
            ..Settings::default()
        };
        config.check_neutral()?;
        for name in NAMES {
            if let Named::Text(text) = named(name)? {
                settings.names.tokens.insert(name.to_owned(), text);
            }
        }
        for file in [&config, &map] {
            for (key, name, text) in file.additional()? {
                match name {
                    Some(name) => drop(settings.names.tokens.insert(name, text.clone())),
                    None if key == ADDITIONAL && !settings.names.additional.contains(&text) => {
                        settings.names.additional.push(text.clone());
                    }
                    None => {}
                }
                settings.additional.push(text);
            }
        }
        settings.read_added_tokens(&config, &open("added_tokens.json")?)?;
        for name in ["config.json", "generation_config.json"] {
            let file = open(name)?;
            settings.is_hugging_face |= !file.value.is_null();
            settings.read_model_config(&file)?;
        }
        Ok(settings)
    }

    fn read_added_tokens(
        &mut self,
        config: &SettingsFile,
        added: &SettingsFile,
    ) -> Result<(), TokenizerError> {
        let key = "added_tokens_decoder";
        for (id, token) in config.value.get(key).and_then(Value::as_object).into_iter().flatten() {
            let id = config.checked_id(key, id.parse().ok(), id)?;
            self.added.extend(config.token(key, token)?.map(|token| (id, token)));
        }
        for (text, id) in added.value.as_object().into_iter().flatten() {
            let id = added.checked_id(text, id.as_u64(), &id.to_string())?;
            // This file says no more than texts and ids; what is named elsewhere is special.
            let special = self.names.tokens.values().chain(&self.additional).any(|named| named == text);
            self.added.entry(id).or_insert_with(|| AddedToken::new(text.clone(), special));
        }
        Ok(())
    }

    /// Takes the ids of what nothing mentioned from a model's configuration.
    fn read_model_config(&mut self, config: &SettingsFile) -> Result<(), TokenizerError> {
        let text = |key: &str| config.value.get(key).and_then(Value::as_str).map(str::to_owned);
        self.model_type = self.model_type.take().or_else(|| text("model_type"));
        self.tokenizer_class = self.tokenizer_class.take().or_else(|| text("tokenizer_class"));
        let key = "eos_token_id";
        if let Some(value) = config.value.get(key).filter(|value| !value.is_null()) {
            let each = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            let id = |value: &Value| config.checked_id(key, value.as_u64(), &value.to_string());
            self.ends = each.iter().map(id).collect::<Result<_, _>>()?;
        }
        for (key, named) in [
            ("bos_token_id", &mut self.bos),
            ("eos_token_id", &mut self.eos),
            ("unk_token_id", &mut self.unk),
            ("pad_token_id", &mut self.pad),
        ] {
            // Some models list several for the end; the first is the tokenizer's.
            let value = config.value.get(key).map(|value| value.get(0).unwrap_or(value));
            if let (Named::Unmentioned, Some(id)) = (&*named, value.and_then(Value::as_u64)) {
                *named = Named::Id(config.checked_id(key, Some(id), "")?);
            }
        }
        Ok(())
    }
}

/// Gives the content of a file by its name; `None` if there is no such file.
pub type ReadFile<'a> = dyn Fn(&str) -> Result<Option<Vec<u8>>, TokenizerError> + 'a;

/// The content of a settings or vocabulary file, or `None` if there is no such file.
pub(super) fn read_file(file: &Path) -> Result<Option<Vec<u8>>, TokenizerError> {
    let is_vocabulary = file.ends_with("tokenizer.json") || file.ends_with("tokenizer.model");
    let limit = if is_vocabulary { MAX_VOCABULARY } else { MAX_SETTINGS };
    match whole::read(file, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        // Another of the folder's files would take its place.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            dangling_fault(file).map_or(Ok(None), |fault| Err(fault.into()))
        }
        Err(error) => Err(match TooLarge::of(&error) {
            Some(TooLarge { bytes, limit }) => TokenizerError::too_large(
                &file.display().to_string(),
                "bytes",
                *limit as usize,
                *bytes as usize,
            ),
            None => TokenizerError::Io { file: file.to_owned(), source: error },
        }),
    }
}

/// A JSON file, and its name for errors.
struct SettingsFile {
    place: String,
    /// Null if there is no such file.
    value: Value,
}

impl SettingsFile {
    fn read(folder: &Path, name: &str, read: &ReadFile<'_>) -> Result<SettingsFile, TokenizerError> {
        let file = folder.join(name);
        let value = read(name)?.map(|bytes| from_json(&file, &bytes)).transpose()?;
        Ok(SettingsFile { place: file.display().to_string(), value: value.unwrap_or(Value::Null) })
    }

    /// What the file says of the special token under this key.
    fn named(&self, key: &str) -> Result<Named, TokenizerError> {
        Ok(match self.value.get(key) {
            None => Named::Unmentioned,
            Some(Value::Null) => Named::None,
            Some(value) => {
                self.token(key, value)?.map_or(Named::Unmentioned, |token| Named::Text(token.text))
            }
        })
    }

    /// A token as a string or as an object with `content`; `None` if its text is empty.
    fn token(&self, key: &str, value: &Value) -> Result<Option<AddedToken>, TokenizerError> {
        let text = value.as_str().or_else(|| value.get("content")?.as_str()).ok_or_else(|| {
            let expected = "a text or an object with content";
            TokenizerError::field(&self.place, key, expected, value.to_string())
        })?;
        let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
        Ok((!text.is_empty()).then(|| AddedToken {
            text: text.to_owned(),
            special: flag("special"),
            lstrip: flag("lstrip"),
            rstrip: flag("rstrip"),
            single_word: flag("single_word"),
            normalized: value.get("normalized").and_then(Value::as_bool),
            is_stated: value.is_object(),
        }))
    }

    /// The tokens of `additional_special_tokens` and of `extra_special_tokens`, a list or an object of names.
    fn additional(&self) -> Result<ListedTokens, TokenizerError> {
        let mut texts = Vec::new();
        for key in [ADDITIONAL, "extra_special_tokens"] {
            let tokens: Vec<(Option<&String>, &Value)> = match self.value.get(key) {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Array(tokens)) => tokens.iter().map(|token| (None, token)).collect(),
                Some(Value::Object(tokens)) => {
                    tokens.iter().map(|(name, token)| (Some(name), token)).collect()
                }
                Some(other) => {
                    return Err(TokenizerError::field(
                        &self.place,
                        key,
                        "a list of tokens",
                        other.to_string(),
                    ));
                }
            };
            for (name, token) in tokens {
                let token = self.token(key, token)?;
                texts.extend(token.map(|token| (key, name.cloned(), token.text)));
            }
        }
        Ok(texts)
    }

    /// Refuses keys that would change ids in a way that is not supported.
    fn check_neutral(&self) -> Result<(), TokenizerError> {
        for key in ["split_special_tokens", "from_slow", "fix_mistral_regex"] {
            if self.boolean(key)? == Some(true) {
                let supported = "false, or no such key";
                return Err(TokenizerError::unsupported(&self.place, key, "true", supported));
            }
        }
        Ok(())
    }

    fn text(&self, key: &str) -> Result<Option<String>, TokenizerError> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(TokenizerError::field(&self.place, key, "a text", other.to_string())),
        }
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, TokenizerError> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(TokenizerError::field(&self.place, key, "true or false", other.to_string())),
        }
    }

    fn checked_id(&self, key: &str, id: Option<u64>, found: &str) -> Result<u32, TokenizerError> {
        let limit = 2 * MAX_PIECES as u64;
        id.filter(|id| *id < limit).map(|id| id as u32).ok_or_else(|| {
            let found = id.map_or_else(|| found.to_owned(), |id| id.to_string());
            TokenizerError::field(&self.place, key, format!("a token id below {limit}"), found)
        })
    }
}

impl SpecialNames {
    /// What the settings of a folder name; no vocabulary is needed.
    ///
    /// # Errors
    /// Settings that cannot be read.
    pub fn from_folder(folder: &Path) -> Result<SpecialNames, TokenizerError> {
        let settings = Settings::read(folder, &|name| read_file(&folder.join(name)))?;
        Ok(settings.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Settings, TokenizerError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        Settings::read(folder.path(), &|name| read_file(&folder.path().join(name)))
    }

    #[test]
    fn an_empty_folder_says_nothing() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.bos, Named::Unmentioned);
        assert_eq!(settings.add_bos_token, None);
    }

    #[test]
    fn special_tokens_can_be_texts_objects_null_empty_or_ids() {
        let settings = read(&[
            (
                "tokenizer_config.json",
                r#"{"bos_token": {"content": "<s>"}, "eos_token": null, "unk_token": ""}"#,
            ),
            ("config.json", r#"{"eos_token_id": 7, "unk_token_id": 0}"#),
            ("generation_config.json", r#"{"unk_token_id": 5, "pad_token_id": [3, 4]}"#),
        ])
        .unwrap();
        assert_eq!(settings.bos, Named::Text("<s>".into()));
        assert_eq!(settings.eos, Named::None);
        assert_eq!(settings.unk, Named::Id(0));
        assert_eq!(settings.pad, Named::Id(3));
    }

    #[test]
    fn the_map_overrules_only_old_configs() {
        let map = ("special_tokens_map.json", r#"{"pad_token": "<pad>"}"#);
        let old = read(&[("tokenizer_config.json", r#"{"pad_token": null}"#), map]).unwrap();
        assert_eq!(old.pad, Named::Text("<pad>".into()));
        let new =
            read(&[("tokenizer_config.json", r#"{"pad_token": null, "added_tokens_decoder": {}}"#), map])
                .unwrap();
        assert_eq!(new.pad, Named::None);
    }

    #[test]
    fn added_tokens_come_with_their_ids() {
        let settings = read(&[
            ("added_tokens.json", r#"{"[PAD]": 512}"#),
            (
                "tokenizer_config.json",
                r#"{"added_tokens_decoder": {"5": {"content": "<m>", "lstrip": true, "special": true}},
                    "additional_special_tokens": ["<human>"]}"#,
            ),
        ])
        .unwrap();
        assert_eq!(settings.added[&512], AddedToken::new("[PAD]", false));
        assert_eq!(
            settings.added[&5],
            AddedToken { lstrip: true, is_stated: true, ..AddedToken::new("<m>", true) }
        );
        assert_eq!(settings.additional, ["<human>"]);
    }

    #[test]
    fn what_is_named_is_special_and_the_rest_is_looked_for_in_normalised_text() {
        let files = |named: &str| {
            let config = format!(r#"{{"tokenizer_class": "LlamaTokenizer"{named}}}"#);
            let settings =
                read(&[("added_tokens.json", r#"{"<m>": 5}"#), ("tokenizer_config.json", &config)]).unwrap();
            let token = settings.added[&5].clone();
            (token.special, token.is_normalized())
        };
        assert_eq!(files(""), (false, true));
        assert_eq!(files(r#", "pad_token": "<m>""#), (true, false));
        assert_eq!(files(r#", "additional_special_tokens": ["<m>"]"#), (true, false));
        let stated =
            r#", "added_tokens_decoder": {"5": {"content": "<m>", "special": true, "normalized": true}}"#;
        assert_eq!(files(stated), (true, true));
    }

    #[test]
    fn wrong_settings_are_named() {
        let message = |files: &[(&str, &str)]| read(files).unwrap_err().to_string();
        assert!(message(&[("tokenizer_config.json", "{")]).contains("tokenizer_config.json: EOF"));
        assert!(
            message(&[("tokenizer_config.json", r#"{"add_bos_token": "yes"}"#)])
                .contains("add_bos_token: expected true or false, found \"yes\"")
        );
        assert!(message(&[("added_tokens.json", r#"{"x": -1}"#)]).contains("expected a token id below"));
        assert!(
            message(&[("config.json", r#"{"bos_token_id": 99999999999}"#)]).contains("found 99999999999")
        );
        assert!(
            message(&[("special_tokens_map.json", r#"{"bos_token": 1}"#)]).contains("a text or an object")
        );
    }
}
