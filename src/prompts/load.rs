//! Templates from text: the embedded files of `zoo/prompts/` and the `prompts` folder of a user's own zoo.

use std::collections::BTreeMap;
use std::path::Path;

use super::check::check;
use super::error::PromptError;
use super::template::PromptTemplate;
use crate::base::embedded::{File, Text};
use crate::base::names::nearest;
use crate::base::yaml::{self, MAX_BYTES, stem};
use crate::registry::embedded::FILES;

/// How similar two names must be to offer one for the other.
const SIMILAR: f64 = 0.7;

/// Templates by name.
pub type PromptTemplates = BTreeMap<String, PromptTemplate>;

/// Reads and checks one template; `file` names it in messages, and its stem must be the template's name.
///
/// Errors: no YAML, unknown or missing keys, values that cannot be, golden texts that do not come out.
pub fn parse<'a>(file: &str, text: impl Into<Text<'a>>) -> Result<PromptTemplate, PromptError> {
    let text = text.into();
    let template: PromptTemplate = text.parse(file)?;
    check(&template, file, &text.yaml)?;
    Ok(template)
}

/// The names of the templates in the binary, sorted.
pub fn embedded_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = embedded_files().map(|file| stem(file.path)).collect();
    names.sort_unstable();
    names
}

/// The templates in the binary and those in the folder `prompts` of `zoo_dir`, if there is one.
///
/// Errors: unreadable files, faulty templates, one name twice.
pub fn load(zoo_dir: Option<&Path>) -> Result<PromptTemplates, PromptError> {
    let mut templates = PromptTemplates::new();
    for file in embedded_files() {
        let template = parse(&format!("zoo/{}", file.path), file)?;
        templates.insert(template.name.clone(), template);
    }
    if let Some(folder) = zoo_dir.map(|dir| dir.join("prompts")).filter(|folder| folder.is_dir()) {
        let mut files = BTreeMap::new();
        for path in yaml::files_in(&folder, &yaml::ENDINGS)? {
            let file = path.display().to_string();
            let template = parse(&file, yaml::read_text(&path, MAX_BYTES)?)?;
            let name = template.name.clone();
            if let Some(previous) = templates.insert(name.clone(), template) {
                let other = files.remove(&name).unwrap_or(format!("zoo/prompts/{}.yaml", previous.name));
                return Err(PromptError::Duplicate { file, name, other });
            }
            files.insert(name, file);
        }
    }
    Ok(templates)
}

/// The template of that name.
///
/// Errors: an unknown name, with the nearest ones.
pub fn find<'a>(templates: &'a PromptTemplates, name: &str) -> Result<&'a PromptTemplate, PromptError> {
    templates.get(name).ok_or_else(|| {
        let nearest = nearest(name, templates.keys().map(String::as_str), SIMILAR);
        PromptError::Unknown { name: name.to_owned(), nearest }
    })
}

fn embedded_files() -> impl Iterator<Item = File> {
    FILES.below("prompts/")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::base::yaml::FileError;

    #[test]
    fn names_are_the_names_of_the_files() {
        let templates = load(None).unwrap();
        let names: Vec<&str> = templates.keys().map(String::as_str).collect();
        assert_eq!(embedded_names(), names);
        assert!(names.contains(&"vicuna-v1.1") && names.contains(&"none"), "{names:?}");
    }

    #[test]
    fn an_unknown_name_offers_the_nearest() {
        let message = find(&load(None).unwrap(), "vicuna-1.1").unwrap_err().to_string();
        assert!(message.contains("nearest: vicuna-v1.1"), "{message}");
        assert!(find(&load(None).unwrap(), "alpaca").is_ok());
    }

    #[test]
    fn a_users_templates_are_read_beside_the_embedded_ones() {
        let zoo = tempfile::tempdir().unwrap();
        assert_eq!(load(Some(zoo.path())).unwrap().len(), embedded_names().len());
        let folder = zoo.path().join("prompts");
        fs::create_dir(&folder).unwrap();
        let source = embedded_files().find(|file| stem(file.path) == "ziya").unwrap().text;
        fs::write(folder.join("mine.yaml"), source.replace("name: ziya", "name: mine")).unwrap();
        fs::write(folder.join("notes.txt"), "no template").unwrap();
        let templates = load(Some(zoo.path())).unwrap();
        assert_eq!(find(&templates, "mine").unwrap().layout.user, templates["ziya"].layout.user);

        fs::write(folder.join("ziya.yaml"), source).unwrap();
        let message = load(Some(zoo.path())).unwrap_err().to_string();
        assert!(message.contains("already defined in zoo/prompts/ziya.yaml"), "{message}");
        fs::write(folder.join("ziya.yaml"), "name: [").unwrap();
        let message = load(Some(zoo.path())).unwrap_err().to_string();
        assert!(message.contains("prompts/ziya.yaml:1: "), "{message}");
        fs::write(folder.join("ziya.yaml"), vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
        assert!(matches!(load(Some(zoo.path())), Err(PromptError::File(FileError::TooLarge { .. }))));
        fs::write(folder.join("ziya.yaml"), [0xff]).unwrap();
        assert!(matches!(load(Some(zoo.path())), Err(PromptError::File(FileError::Io { .. }))));
    }
}
