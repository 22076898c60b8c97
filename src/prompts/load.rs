//! Templates from text: the embedded files of `zoo/prompts/` and the `prompts` folder of a user's own zoo.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use super::check::check;
use super::error::PromptError;
use super::template::PromptTemplate;
use crate::registry::embedded;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// How similar two names must be to offer one for the other.
const SIMILAR: f64 = 0.7;

/// Templates by name.
pub type PromptTemplates = BTreeMap<String, PromptTemplate>;

/// Reads and checks one template; `file` names it in messages, and its stem must be the template's name.
///
/// Errors: no YAML, unknown or missing keys, values that cannot be, golden texts that do not come out.
pub fn parse(file: &str, text: &str) -> Result<PromptTemplate, PromptError> {
    let template: PromptTemplate = serde_yaml::from_str(text).map_err(|error| {
        let line = error.location().map(|place| place.line()).unwrap_or_default();
        PromptError::Yaml { file: file.to_owned(), line, message: error.to_string() }
    })?;
    check(&template, file, stem(file), text)?;
    Ok(template)
}

/// The names of the templates in the binary, sorted.
pub fn embedded_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = embedded_files().map(|(file, _)| stem(file)).collect();
    names.sort_unstable();
    names
}

/// The templates in the binary and those in the folder `prompts` of `zoo_dir`, if there is one.
///
/// Errors: unreadable files, faulty templates, one name twice.
pub fn load(zoo_dir: Option<&Path>) -> Result<PromptTemplates, PromptError> {
    let mut templates = PromptTemplates::new();
    for (file, text) in embedded_files() {
        let template = parse(&format!("zoo/{file}"), text)?;
        templates.insert(template.name.clone(), template);
    }
    if let Some(folder) = zoo_dir.map(|dir| dir.join("prompts")).filter(|folder| folder.is_dir()) {
        let mut files = BTreeMap::new();
        for (file, text) in read_folder(&folder)? {
            let template = parse(&file, &text)?;
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
        let mut near: Vec<(f64, &String)> = templates
            .keys()
            .map(|key| (strsim::jaro_winkler(name, key), key))
            .filter(|(similarity, _)| *similarity >= SIMILAR)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let nearest = near.into_iter().take(3).map(|(_, key)| key.clone()).collect();
        PromptError::Unknown { name: name.to_owned(), nearest }
    })
}

fn embedded_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    embedded::files().iter().filter(|(file, _)| file.starts_with("prompts/")).copied()
}

/// The name of a file without folders and ending.
fn stem(file: &str) -> &str {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(name)
}

/// The YAML files of a folder in order of name.
fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, PromptError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PromptError::Io { path, source }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if matches!(ending, "yaml" | "yml") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let text = read_text(&path, MAX_BYTES)?;
        files.push((path.display().to_string(), text));
    }
    Ok(files)
}

/// A whole text file of at most `limit` bytes.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String, PromptError> {
    let failed = |source| PromptError::Io { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut text = String::new();
    let read = file.take(limit.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
    if bytes > limit || read as u64 > limit {
        return Err(PromptError::TooLarge { path: path.to_owned(), bytes: bytes.max(read as u64), limit });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let source = embedded_files().find(|(file, _)| stem(file) == "ziya").unwrap().1;
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
        assert!(matches!(load(Some(zoo.path())), Err(PromptError::TooLarge { .. })));
        fs::write(folder.join("ziya.yaml"), [0xff]).unwrap();
        assert!(matches!(load(Some(zoo.path())), Err(PromptError::Io { .. })));
    }
}
