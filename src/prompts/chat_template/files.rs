//! The chat templates of a checkpoint's folder.
//!
//! In the order in which transformers trusts them: `chat_template.jinja` (and `additional_chat_templates/`),
//! else `chat_template` in `tokenizer_config.json`, a text or a list of names and texts.

use std::path::Path;

use serde_json::Value;

use super::super::error::PromptError;
use crate::base::fault::Refusal;
use crate::base::recognise::{dangling, stand_in, without_mark};
use crate::base::yaml::{files_in, read_text};
use crate::python::jinja::MAX_SOURCE;
use crate::weights::gguf::Metadata;

/// Bytes of a settings file that are read at most.
const MAX_SETTINGS: u64 = 64 << 20;
/// Templates of a folder at most.
const MAX_TEMPLATES: usize = 64;

const SETTINGS: &str = "tokenizer_config.json";
const JINJA: &str = "chat_template.jinja";

/// Gives the text of a file by its name; `None` if there is no such file.
pub type ReadText<'a> = dyn Fn(&str) -> Result<Option<String>, PromptError> + 'a;

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
        let read = |name: &str| {
            let file = folder.join(name);
            let limit = if name == JINJA { MAX_SOURCE as u64 } else { MAX_SETTINGS };
            Ok(if is_there(&file)? { Some(read_text(&file, limit)?) } else { None })
        };
        let mut found = Self::from_files(folder, &read)?;
        let others = folder.join("additional_chat_templates");
        if folder.join(JINJA).is_file() && others.is_dir() {
            for file in files_in(&others, &["jinja"])?.iter().take(MAX_TEMPLATES) {
                let name = file.file_stem().expect("a file with an ending has a name before it");
                let text = read_text(file, MAX_SOURCE as u64)?;
                found.push(&name.to_string_lossy(), template_of(file, &text)?);
            }
        }
        Ok(found)
    }

    /// The same of the files that `read` gives by name; `folder` names them in errors.
    ///
    /// Errors: settings that are no JSON or of the wrong type, what stands in place of a template.
    pub fn from_files(folder: &Path, read: &ReadText<'_>) -> Result<ChatTemplates, PromptError> {
        let mut found = ChatTemplates::default();
        if let Some(text) = read(SETTINGS)? {
            found.read_settings(&folder.join(SETTINGS), &text)?;
        }
        if let Some(text) = read(JINJA)? {
            found.templates.clear();
            found.push("default", template_of(&folder.join(JINJA), &text)?);
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

    fn read_settings(&mut self, file: &Path, text: &str) -> Result<(), PromptError> {
        let fault = |field: &str, expected: &str, found: String| {
            PromptError::from(Refusal::of_field(&file.display().to_string(), field, expected, found))
        };
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

/// Whether there is a file. A link to nothing is an error: another template would take its place.
fn is_there(file: &Path) -> Result<bool, PromptError> {
    match dangling(file) {
        Some(target) => {
            let found = format!("a link to {}, where there is nothing", target.display());
            Err(refusal(file, "a file, or a link to one", &found, "fetch the model again"))
        }
        None => Ok(file.is_file()),
    }
}

/// The content of a template's own file, if it is one.
fn template_of<'a>(file: &Path, text: &'a str) -> Result<&'a str, PromptError> {
    match stand_in(text.as_bytes()).filter(|_| !text.is_empty()) {
        Some(stand_in) => Err(refusal(file, "a chat template", &stand_in.found, stand_in.advice)),
        None => Ok(text),
    }
}

fn refusal(file: &Path, expected: &str, found: &str, advice: &str) -> PromptError {
    Refusal::new(file.display().to_string(), expected, found, advice).into()
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
    fn what_stands_in_place_of_a_template_is_named() {
        let folder = folder(r#"{"chat_template": "a"}"#);
        let jinja = folder.path().join("chat_template.jinja");
        let said = || ChatTemplates::from_folder(folder.path()).unwrap_err().to_string();
        fs::write(&jinja, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n").unwrap();
        assert!(said().contains("chat_template.jinja") && said().contains("Git LFS"), "{}", said());
        #[cfg(unix)]
        {
            fs::remove_file(&jinja).unwrap();
            std::os::unix::fs::symlink("../blobs/0", &jinja).unwrap();
            assert!(said().contains("chat_template.jinja") && said().contains("../blobs/0"), "{}", said());
        }
    }

    #[test]
    fn settings_of_the_wrong_kind_are_refused() {
        for settings in ["{", r#"{"chat_template": 3}"#, r#"{"chat_template": [{"name": "x"}]}"#] {
            let message = ChatTemplates::from_folder(folder(settings).path()).unwrap_err().to_string();
            assert!(message.contains("tokenizer_config.json: ") && message.contains("expected"), "{message}");
        }
    }
}
