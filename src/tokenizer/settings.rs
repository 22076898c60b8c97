//! The small JSON files around a vocabulary: which tokens are marks, which are added, what encoding adds.
//!
//! Read in the order in which transformers trusts them: `tokenizer_config.json`, `special_tokens_map.json` (which
//! comes first if the former is of the old form without `added_tokens_decoder`), `added_tokens.json`; and, for marks
//! that none of them mentions, the ids in `config.json` and `generation_config.json`. A mark that is `null` is
//! absent on purpose; one that is the empty string (BELLE's files) was lost on the way and counts as not mentioned.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::TokenizerError;
use super::specials::AddedToken;
use super::vocabulary::MAX_PIECES;

/// Bytes of a settings file that are read at most.
const MAX_SETTINGS: u64 = 64 << 20;

/// What the files say of one mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Mark {
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
    pub bos: Mark,
    pub eos: Mark,
    pub unk: Mark,
    pub pad: Mark,
    pub add_bos_token: Option<bool>,
    pub add_eos_token: Option<bool>,
    /// Only the start of a text gets a dummy prefix if this is `Some(false)`.
    pub legacy: Option<bool>,
    pub tokenizer_class: Option<String>,
    pub clean_up_tokenization_spaces: bool,
    /// Added tokens with the ids that the files state.
    pub added: BTreeMap<u32, AddedToken>,
    /// `additional_special_tokens`, which need no id.
    pub additional: Vec<String>,
}

impl Settings {
    /// Reads the files of a folder; absent files say nothing.
    ///
    /// Errors: a file that is not JSON, settings of the wrong type, ids out of range.
    pub fn read(folder: &Path) -> Result<Settings, TokenizerError> {
        Settings::read_with(folder, &|name| read_bounded(&folder.join(name), MAX_SETTINGS))
    }

    /// The same with the files that `read` gives by their names; `folder` names them in errors.
    pub fn read_with(folder: &Path, read: &ReadFile<'_>) -> Result<Settings, TokenizerError> {
        let mut settings = Settings::default();
        let config_file = folder.join("tokenizer_config.json");
        let config = read_json(&config_file, read)?;
        let map_file = folder.join("special_tokens_map.json");
        let map = read_json(&map_file, read)?;
        let config_first = config.get("added_tokens_decoder").is_some();
        let mark = |key: &str| -> Result<Mark, TokenizerError> {
            let (config, map) = (mark(&config_file, &config, key)?, mark(&map_file, &map, key)?);
            Ok(match (config_first, config, map) {
                (true, Mark::Unmentioned, map) => map,
                (false, config, Mark::Unmentioned) => config,
                (false, config @ Mark::Text(_), Mark::None) => config,
                (false, _, map) => map,
                (true, config, _) => config,
            })
        };
        settings.bos = mark("bos_token")?;
        settings.eos = mark("eos_token")?;
        settings.unk = mark("unk_token")?;
        settings.pad = mark("pad_token")?;
        settings.add_bos_token = boolean(&config_file, &config, "add_bos_token")?;
        settings.add_eos_token = boolean(&config_file, &config, "add_eos_token")?;
        settings.legacy = boolean(&config_file, &config, "legacy")?;
        settings.clean_up_tokenization_spaces =
            boolean(&config_file, &config, "clean_up_tokenization_spaces")?.unwrap_or(false);
        settings.tokenizer_class = config.get("tokenizer_class").and_then(Value::as_str).map(str::to_owned);
        for (file, value) in [(&config_file, &config), (&map_file, &map)] {
            for token in
                value.get("additional_special_tokens").and_then(Value::as_array).into_iter().flatten()
            {
                if let Some(token) = token_of(file, "additional_special_tokens", token)? {
                    settings.additional.push(token.text);
                }
            }
        }
        settings.read_added_tokens(folder, read, &config_file, &config)?;
        settings.read_model_configs(folder, read)?;
        Ok(settings)
    }

    fn read_added_tokens(
        &mut self,
        folder: &Path,
        read: &ReadFile<'_>,
        config_file: &Path,
        config: &Value,
    ) -> Result<(), TokenizerError> {
        let key = "added_tokens_decoder";
        for (id, token) in config.get(key).and_then(Value::as_object).into_iter().flatten() {
            let number = id.parse::<u64>().ok();
            let id = checked_id(config_file, key, number, id)?;
            if let Some(token) = token_of(config_file, key, token)? {
                self.added.insert(id, token);
            }
        }
        let file = folder.join("added_tokens.json");
        let added = read_json(&file, read)?;
        for (text, id) in added.as_object().into_iter().flatten() {
            let id = checked_id(&file, text, id.as_u64(), &id.to_string())?;
            self.added.entry(id).or_insert_with(|| AddedToken::new(text.clone(), false));
        }
        Ok(())
    }

    /// Fills marks that nothing mentioned with the ids of the model's configuration.
    fn read_model_configs(&mut self, folder: &Path, read: &ReadFile<'_>) -> Result<(), TokenizerError> {
        for name in ["config.json", "generation_config.json"] {
            let file = folder.join(name);
            let config = read_json(&file, read)?;
            let marks = [
                ("bos_token_id", &mut self.bos),
                ("eos_token_id", &mut self.eos),
                ("unk_token_id", &mut self.unk),
                ("pad_token_id", &mut self.pad),
            ];
            for (key, mark) in marks {
                // Some models list several end marks; the first is the tokenizer's.
                let value = config.get(key).map(|value| value.get(0).unwrap_or(value));
                if let (Mark::Unmentioned, Some(id)) = (&*mark, value.and_then(Value::as_u64)) {
                    *mark = Mark::Id(checked_id(&file, key, Some(id), "")?);
                }
            }
        }
        Ok(())
    }
}

/// Gives the content of a file by its name; `None` if there is no such file.
pub type ReadFile<'a> = dyn Fn(&str) -> Result<Option<Vec<u8>>, TokenizerError> + 'a;

/// The content of a JSON file; null if there is no such file.
fn read_json(file: &Path, read: &ReadFile<'_>) -> Result<Value, TokenizerError> {
    let name = file.file_name().and_then(|name| name.to_str()).expect("files of settings have plain names");
    match read(name)? {
        None => Ok(Value::Null),
        Some(bytes) => serde_json::from_slice(&bytes)
            .map_err(|source| TokenizerError::Json { file: file.to_owned(), source }),
    }
}

/// The content of a file of at most `limit` bytes, or `None` if there is no such file.
pub(super) fn read_bounded(file: &Path, limit: u64) -> Result<Option<Vec<u8>>, TokenizerError> {
    let io = |source| TokenizerError::Io { file: file.to_owned(), source };
    let handle = match File::open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        handle => handle.map_err(io)?,
    };
    let mut bytes = Vec::new();
    handle.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    let place = file.display().to_string();
    TokenizerError::check_limit(&place, "bytes", usize::try_from(limit).unwrap_or(usize::MAX), bytes.len())?;
    Ok(Some(bytes))
}

fn mark(file: &Path, settings: &Value, key: &str) -> Result<Mark, TokenizerError> {
    Ok(match settings.get(key) {
        None => Mark::Unmentioned,
        Some(Value::Null) => Mark::None,
        Some(value) => match token_of(file, key, value)? {
            Some(token) => Mark::Text(token.text),
            None => Mark::Unmentioned,
        },
    })
}

/// A token as a string or as an object with `content`; `None` if its text is empty.
fn token_of(file: &Path, key: &str, value: &Value) -> Result<Option<AddedToken>, TokenizerError> {
    let text = value.as_str().or_else(|| value.get("content").and_then(Value::as_str)).ok_or_else(|| {
        let place = file.display().to_string();
        TokenizerError::field(&place, key, "a text or an object with content", value.to_string())
    })?;
    let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
    Ok((!text.is_empty()).then(|| AddedToken {
        text: text.to_owned(),
        special: flag("special"),
        lstrip: flag("lstrip"),
        rstrip: flag("rstrip"),
        single_word: flag("single_word"),
    }))
}

fn boolean(file: &Path, settings: &Value, key: &str) -> Result<Option<bool>, TokenizerError> {
    match settings.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => {
            Err(TokenizerError::field(&file.display().to_string(), key, "true or false", other.to_string()))
        }
    }
}

fn checked_id(file: &Path, key: &str, id: Option<u64>, found: &str) -> Result<u32, TokenizerError> {
    let limit = 2 * MAX_PIECES as u64;
    match id {
        Some(id) if id < limit => Ok(id as u32),
        id => {
            let found = id.map_or_else(|| found.to_owned(), |id| id.to_string());
            let place = file.display().to_string();
            Err(TokenizerError::field(&place, key, format!("a token id below {limit}"), found))
        }
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
        Settings::read(folder.path())
    }

    #[test]
    fn an_empty_folder_says_nothing() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.bos, Mark::Unmentioned);
        assert_eq!(settings.add_bos_token, None);
    }

    #[test]
    fn marks_can_be_texts_objects_null_empty_or_ids() {
        let settings = read(&[
            (
                "tokenizer_config.json",
                r#"{"bos_token": {"content": "<s>"}, "eos_token": null, "unk_token": ""}"#,
            ),
            ("config.json", r#"{"eos_token_id": 7, "unk_token_id": 0}"#),
            ("generation_config.json", r#"{"unk_token_id": 5, "pad_token_id": [3, 4]}"#),
        ])
        .unwrap();
        assert_eq!(settings.bos, Mark::Text("<s>".into()));
        assert_eq!(settings.eos, Mark::None);
        assert_eq!(settings.unk, Mark::Id(0));
        assert_eq!(settings.pad, Mark::Id(3));
    }

    #[test]
    fn the_map_overrules_only_old_configs() {
        let map = ("special_tokens_map.json", r#"{"pad_token": "<pad>"}"#);
        let old = read(&[("tokenizer_config.json", r#"{"pad_token": null}"#), map]).unwrap();
        assert_eq!(old.pad, Mark::Text("<pad>".into()));
        let new =
            read(&[("tokenizer_config.json", r#"{"pad_token": null, "added_tokens_decoder": {}}"#), map])
                .unwrap();
        assert_eq!(new.pad, Mark::None);
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
        assert_eq!(settings.added[&5], AddedToken { lstrip: true, ..AddedToken::new("<m>", true) });
        assert_eq!(settings.additional, ["<human>"]);
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
