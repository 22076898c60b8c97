//! The chat templates of a checkpoint's folder.
//!
//! In the order in which transformers trusts them: `chat_template.jinja` (and `additional_chat_templates/`),
//! else `chat_template` in `tokenizer_config.json`, a text or a list of names and texts.

use std::path::Path;

use serde_json::Value;

use super::super::error::PromptError;
use super::MAX_TEMPLATE;
use crate::base::fault::Refusal;
use crate::base::recognise::without_mark;
use crate::base::yaml::{files_in, read_text};
use crate::weights::gguf::Metadata;

/// Bytes of a settings file that are read at most.
const MAX_SETTINGS: u64 = 64 << 20;
/// Templates of a folder at most.
const MAX_TEMPLATES: usize = 64;

/// One template of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatTemplate {
    /// Its name; `default` unless the checkpoint has several.
    pub name: String,
    /// The Jinja text.
    pub source: String,
}

/// What a folder says about chats.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChatTemplates {
    /// The templates; none if the checkpoint has none.
    pub templates: Vec<ChatTemplate>,
}

impl ChatTemplates {
    /// Reads a folder; absent files say nothing.
    ///
    /// Errors: unreadable or too large files, settings that are no JSON or of the wrong type.
    pub fn from_folder(folder: &Path) -> Result<ChatTemplates, PromptError> {
        let mut found = ChatTemplates::default();
        let settings = folder.join("tokenizer_config.json");
        if settings.is_file() {
            found.read_settings(&settings)?;
        }
        let jinja = folder.join("chat_template.jinja");
        if jinja.is_file() {
            found.templates.clear();
            found.push("default", &read_text(&jinja, MAX_TEMPLATE as u64)?);
            let others = folder.join("additional_chat_templates");
            let others = if others.is_dir() { files_in(&others, &["jinja"])? } else { Vec::new() };
            for file in others.iter().take(MAX_TEMPLATES) {
                let name = file.file_stem().expect("a file with an ending has a name before it");
                found.push(&name.to_string_lossy(), &read_text(file, MAX_TEMPLATE as u64)?);
            }
        }
        Ok(found)
    }

    /// Reads the metadata of a GGUF file, `file` in messages: `tokenizer.chat_template`, and by name
    /// `tokenizer.chat_template.NAME`.
    ///
    /// Errors: values that are no texts.
    pub fn from_gguf(metadata: &Metadata, file: &Path) -> Result<ChatTemplates, PromptError> {
        const KEY: &str = "tokenizer.chat_template";
        let mut found = ChatTemplates::default();
        let keys = metadata.0.keys().filter_map(|key| Some((key, key.strip_prefix(KEY)?)));
        for (key, rest) in keys.take(MAX_TEMPLATES) {
            let name = if rest.is_empty() { Some("default") } else { rest.strip_prefix('.') };
            let Some(name) = name else { continue };
            let source = metadata.string(key).map_err(|error| {
                Refusal::of_field(&file.display().to_string(), key, "a text", error.found)
            })?;
            found.push(name, source.expect("the key was found"));
        }
        Ok(found)
    }

    /// The template for plain chats: the one named `default`, or the only one.
    pub fn default_template(&self) -> Option<&ChatTemplate> {
        let default = self.templates.iter().find(|template| template.name == "default");
        default.or(match self.templates.as_slice() {
            [only] => Some(only),
            _ => None,
        })
    }

    fn read_settings(&mut self, file: &Path) -> Result<(), PromptError> {
        let fault = |field: &str, expected: &str, found: String| {
            PromptError::from(Refusal::of_field(&file.display().to_string(), field, expected, found))
        };
        let text = read_text(file, MAX_SETTINGS)?;
        let settings: Value = serde_json::from_slice(without_mark(text.as_bytes()))
            .map_err(|error| fault("the file", "JSON", error.to_string()))?;
        let field = "chat_template";
        match settings.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::String(source)) => self.push("default", source),
            Some(Value::Array(items)) if items.len() <= MAX_TEMPLATES => {
                for item in items {
                    let part = |key: &str| item.get(key).and_then(Value::as_str);
                    let (Some(name), Some(source)) = (part("name"), part("template")) else {
                        let found = shortened(item);
                        return Err(fault(field, "items with the texts `name` and `template`", found));
                    };
                    self.push(name, source);
                }
            }
            Some(other) => {
                return Err(fault(field, "a text or a list of at most 64 templates", shortened(other)));
            }
        }
        Ok(())
    }

    fn push(&mut self, name: &str, source: &str) {
        self.templates.push(ChatTemplate { name: name.to_owned(), source: source.to_owned() });
    }
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(settings: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tokenizer_config.json"), settings).unwrap();
        folder
    }

    #[test]
    fn metadata_of_gguf_files() {
        use crate::weights::gguf::Value as Gguf;
        let mut metadata = Metadata::default();
        for (key, value) in [("", "d"), (".rag", "r"), ("s", "no template")] {
            metadata.0.insert(format!("tokenizer.chat_template{key}"), Gguf::String(value.into()));
        }
        let file = Path::new("m.gguf");
        let found = ChatTemplates::from_gguf(&metadata, file).unwrap();
        let names: Vec<(&str, &str)> =
            found.templates.iter().map(|t| (t.name.as_str(), t.source.as_str())).collect();
        assert_eq!(names, [("default", "d"), ("rag", "r")]);
        metadata.0.insert("tokenizer.chat_template".into(), Gguf::Bool(true));
        let wrong = ChatTemplates::from_gguf(&metadata, file).unwrap_err().to_string();
        assert!(wrong.contains("m.gguf: tokenizer.chat_template: expected a text"), "{wrong}");
    }

    #[test]
    fn texts_lists_and_files() {
        let one = folder(r#"{"chat_template": "a"}"#);
        let found = ChatTemplates::from_folder(one.path()).unwrap();
        assert_eq!(found.default_template().unwrap().source, "a");

        let two =
            r#"{"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]}"#;
        let two = folder(two);
        assert_eq!(ChatTemplates::from_folder(two.path()).unwrap().default_template().unwrap().source, "d");

        fs::write(two.path().join("chat_template.jinja"), "j").unwrap();
        fs::create_dir(two.path().join("additional_chat_templates")).unwrap();
        fs::write(two.path().join("additional_chat_templates/tool.jinja"), "t").unwrap();
        let found = ChatTemplates::from_folder(two.path()).unwrap();
        let names: Vec<(&str, &str)> =
            found.templates.iter().map(|t| (t.name.as_str(), t.source.as_str())).collect();
        assert_eq!(names, [("default", "j"), ("tool", "t")]);
        assert_eq!(
            ChatTemplates::from_folder(tempfile::tempdir().unwrap().path()).unwrap(),
            ChatTemplates::default()
        );
    }

    #[test]
    fn settings_of_the_wrong_kind_are_refused() {
        for settings in ["{", r#"{"chat_template": 3}"#, r#"{"chat_template": [{"name": "x"}]}"#] {
            let message = ChatTemplates::from_folder(folder(settings).path()).unwrap_err().to_string();
            assert!(message.contains("tokenizer_config.json: ") && message.contains("expected"), "{message}");
        }
    }
}
