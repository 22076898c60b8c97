//! The card of a data set: which files are which split, from the `configs` in the front matter of its `README.md`.
//!
//! Source: the hub's documentation of data set repositories, "Manual configuration".

use std::io::ErrorKind;
use std::path::Path;

use serde_yaml::Value;

use super::names;
use crate::base::yaml::{self, FileError};

/// The file that has the card.
pub const CARD_FILE: &str = "README.md";
/// The largest card that is read, in bytes.
pub const MAX_CARD: u64 = 8 << 20;
/// Most characters of a licence that are shown.
const LICENSE: usize = 80;

/// What a data set's card says about its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetCard {
    /// The configurations in order; none without a card, or in one without `configs`.
    pub configs: Vec<DatasetConfig>,
    /// The licence that the authors name.
    pub license: Option<String>,
}

/// One configuration of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetConfig {
    /// Its name.
    pub name: String,
    /// Whether it is the one meant when none is named.
    pub default: bool,
    /// The folder that its patterns start from, with a closing `/`; empty for the whole data set.
    pub folder: String,
    /// Split names with the patterns of their files, from the top folder of the data set.
    pub splits: Vec<(String, Vec<String>)>,
}

impl DatasetCard {
    /// The card in the folder of a data set.
    ///
    /// # Errors
    /// A card that cannot be read or is too large, `configs` that are no YAML, and a configuration that cannot be.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join(CARD_FILE);
        match yaml::read_bytes(&path, MAX_CARD) {
            Ok(bytes) => Self::parse(&path.display().to_string(), &String::from_utf8_lossy(&bytes)),
            Err(FileError::Io { reason, .. }) if reason.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// The card in a text; `file` names it in messages.
    ///
    /// # Errors
    /// As [`DatasetCard::read`].
    pub fn parse(file: &str, text: &str) -> Result<Self, FileError> {
        // Only two keys are read, each by itself, so that an oddity elsewhere in the card does no harm.
        let matter = front_matter(text);
        let license = matter.and_then(license);
        let Some((line, block)) = matter.and_then(|matter| top_level_block(matter, "configs")) else {
            return Ok(Self { license, ..Self::default() });
        };
        // What comes before is left out, but its lines count.
        let value: Value = yaml::parse(file, &format!("{}{block}", "\n".repeat(line - 1)))?;
        let Some(configs) = value.get("configs").and_then(Value::as_sequence) else {
            return Ok(Self { license, ..Self::default() });
        };
        let read = |(place, value)| {
            DatasetConfig::read(value).map_err(|Wrong { key, expected, found }| FileError::Field {
                file: file.to_owned(),
                line,
                field: format!("configs[{place}].{key}"),
                expected: expected.to_owned(),
                found: serde_yaml::to_string(found).map_or_else(|e| e.to_string(), |t| t.trim().to_owned()),
            })
        };
        Ok(Self { configs: configs.iter().enumerate().map(read).collect::<Result<_, _>>()?, license })
    }

    /// The configuration with a name; without one the default one, which is the only one where none is called so.
    pub fn find(&self, name: Option<&str>) -> Option<&DatasetConfig> {
        match (name, self.configs.as_slice()) {
            (Some(name), configs) => configs.iter().find(|config| config.name == name),
            (None, [only]) => Some(only),
            (None, configs) => configs.iter().find(|config| config.default),
        }
    }
}

impl DatasetConfig {
    /// All patterns, of any split; the whole folder where the card names one and no files.
    pub fn patterns(&self) -> Vec<String> {
        let named: Vec<String> = self.splits.iter().flat_map(|(_, patterns)| patterns).cloned().collect();
        if named.is_empty() && !self.folder.is_empty() { vec![format!("{}**", self.folder)] } else { named }
    }

    fn read(value: &Value) -> Result<Self, Wrong<'_>> {
        let text = |key, otherwise| match value.get(key) {
            None | Some(Value::Null) => Ok(otherwise),
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(found) => Err(Wrong { key, expected: "text", found }),
        };
        let name = text("config_name", "default")?.to_owned();
        let default = match value.get("default") {
            None | Some(Value::Null) => name == "default",
            Some(Value::Bool(default)) => *default || name == "default",
            Some(found) => return Err(Wrong { key: "default", expected: "true or false", found }),
        };
        let folder = match text("data_dir", "")?.trim_matches('/') {
            "" | "." => String::new(),
            folder => format!("{folder}/"),
        };
        let patterns = |value| patterns(&folder, value);
        let splits = match value.get("data_files") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Sequence(entries)) if entries.iter().any(Value::is_mapping) => entries
                .iter()
                .map(|entry| match (entry.get("split").and_then(Value::as_str), entry.get("path")) {
                    (Some(split), Some(path)) => Ok((split.to_owned(), patterns(path)?)),
                    _ => Err(Wrong {
                        key: "data_files",
                        expected: "entries with split and path",
                        found: entry,
                    }),
                })
                .collect::<Result<_, _>>()?,
            Some(files) => vec![("train".to_owned(), patterns(files)?)],
        };
        Ok(Self { name, default, folder, splits })
    }
}

/// A value of a configuration that cannot be.
struct Wrong<'v> {
    key: &'static str,
    expected: &'static str,
    found: &'v Value,
}

fn patterns<'v>(folder: &str, value: &'v Value) -> Result<Vec<String>, Wrong<'v>> {
    let several = match value {
        Value::Sequence(several) => several.as_slice(),
        one => std::slice::from_ref(one),
    };
    let below = |found: &'v Value| match found {
        Value::String(pattern) => Ok(format!("{folder}{}", pattern.trim_start_matches("./"))),
        _ => Err(Wrong { key: "data_files", expected: "patterns of file names", found }),
    };
    several.iter().map(below).collect()
}

/// The licence, a word or a list of words; that of the authors' own by its name. Nothing depends on it, so what cannot be
/// read is none.
fn license(matter: &str) -> Option<String> {
    let words = words_of(matter, "license")?;
    let words = if words == "other" { words_of(matter, "license_name").unwrap_or(words) } else { words };
    Some(names::printable(&words, LICENSE)).filter(|text| !text.is_empty())
}

/// The word or the list of words of a key.
fn words_of(matter: &str, key: &str) -> Option<String> {
    let (_, block) = top_level_block(matter, key)?;
    let value: Value = yaml::parse(CARD_FILE, block).ok()?;
    match value.get(key)? {
        Value::String(one) => Some(one.clone()),
        Value::Sequence(several) => {
            Some(several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

/// The licence that the card in the folder of a model or a data set states; `None` where there is no card or no licence.
pub fn stated_license(folder: &Path) -> Option<String> {
    let bytes = yaml::read_bytes(&folder.join(CARD_FILE), MAX_CARD).ok()?;
    license(front_matter(&String::from_utf8_lossy(&bytes))?)
}

/// The text from the first line on to the line that ends the front matter.
fn front_matter(text: &str) -> Option<&str> {
    let text = text.trim_start_matches('\u{feff}');
    text.starts_with("---").then_some(())?;
    let end = text.find("\n---")?;
    text.get(..end)
}

/// The lines of one top-level key, and the number of the first of them, from 1.
fn top_level_block<'t>(text: &'t str, key: &str) -> Option<(usize, &'t str)> {
    let mut start = None;
    let mut at = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let top = line.chars().next().is_some_and(|c| !c.is_whitespace() && !matches!(c, '-' | '#'));
        match start {
            None if top && line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')) => {
                start = Some((number, at));
            }
            Some((number, start)) if top => return Some((number, &text[start..at])),
            _ => {}
        }
        at += line.len();
    }
    start.map(|(number, start)| (number, &text[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "---\nlicense: mit\nconfigs:\n- config_name: a\n  data_files:\n  - split: test\n    path: \
                        a/test-*\n  - split: dev\n    path: [x, y]\n- config_name: b\n  data_dir: /d/\n  \
                        data_files: ./all.csv\n- data_dir: e\ntags: [!broken\n---\n# Title\n";

    fn parse(text: &str) -> Result<Vec<DatasetConfig>, String> {
        DatasetCard::parse("README.md", text).map(|card| card.configs).map_err(|error| error.to_string())
    }

    #[test]
    fn configs_and_splits() {
        let split = |name: &str, patterns: &[&str]| {
            (name.to_owned(), patterns.iter().map(|&pattern| pattern.to_owned()).collect())
        };
        let config = |name: &str, default, folder: &str, splits| DatasetConfig {
            name: name.into(),
            default,
            folder: folder.into(),
            splits,
        };
        let wanted = vec![
            config("a", false, "", vec![split("test", &["a/test-*"]), split("dev", &["x", "y"])]),
            config("b", false, "d/", vec![split("train", &["d/all.csv"])]),
            config("default", true, "e/", vec![]),
        ];
        assert_eq!(parse(CARD).unwrap(), wanted);
        assert_eq!(parse(&CARD.replace('\n', "\r\n")).unwrap(), wanted);
        let patterns: Vec<_> = wanted.iter().map(DatasetConfig::patterns).collect();
        assert_eq!(patterns, [vec!["a/test-*", "x", "y"], vec!["d/all.csv"], vec!["e/**"]]);
    }

    #[test]
    fn a_licence_is_that_of_the_front_matter() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(stated_license(folder.path()), None);
        std::fs::write(folder.path().join(CARD_FILE), CARD).unwrap();
        assert_eq!(stated_license(folder.path()).as_deref(), Some("mit"));
        std::fs::write(folder.path().join(CARD_FILE), "---\nlicense: [mit, other]\n---\n").unwrap();
        assert_eq!(stated_license(folder.path()).as_deref(), Some("mit, other"));
        std::fs::write(folder.path().join(CARD_FILE), "# license: mit\n").unwrap();
        assert_eq!(stated_license(folder.path()), None);
    }

    #[test]
    fn cards_without_configs_list_none() {
        for text in
            ["", "# no front matter", "---\nlicense: mit\n---\n", "---\nconfigs: 3\n---\n", "---\n: [\n---\n"]
        {
            assert_eq!(parse(text).unwrap(), []);
        }
    }

    #[test]
    fn the_licence_is_a_word_or_several() {
        let license =
            |text: &str| DatasetCard::parse("README.md", &format!("---\n{text}\n---\n")).unwrap().license;
        assert_eq!(DatasetCard::parse("README.md", CARD).unwrap().license.as_deref(), Some("mit"));
        assert_eq!(license("license: [cc-by-4.0, other]").as_deref(), Some("cc-by-4.0, other"));
        assert_eq!(license("license:\n- mit\nconfigs: []").as_deref(), Some("mit"));
        assert_eq!(license("license: other\nlicense_name: llama2").as_deref(), Some("llama2"));
        assert_eq!(license("license: other").as_deref(), Some("other"));
        for none in ["license: {a: b}", "license: [", "language: en", "license: 7"] {
            assert_eq!(license(none), None, "{none}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let error =
            |configs: &str| parse(&format!("---\nlicense: mit\nconfigs:{configs}\n---\n")).unwrap_err();
        assert!(error("\n- [").starts_with("README.md:"), "{}", error("\n- ["));
        assert_eq!(
            error("\n- data_files: a.csv\n- data_files: [a.csv, 3]"),
            "README.md:3: configs[1].data_files: expected patterns of file names, found 3"
        );
        assert!(error("\n- {default: 1}").ends_with("configs[0].default: expected true or false, found 1"));
        assert!(error("\n- {data_dir: [a]}").contains("configs[0].data_dir: expected text, found - a"));
        let found = error(" [{data_files: [{path: x}]}]");
        assert!(
            found.ends_with("data_files: expected entries with split and path, found path: x"),
            "{found}"
        );
    }

    #[test]
    fn the_default_configuration_is_named_marked_or_alone() {
        let find = |configs: &str| {
            let card = DatasetCard::parse("README.md", &format!("---\nconfigs: {configs}\n---\n")).unwrap();
            card.find(None).map(|config| config.name.clone())
        };
        assert_eq!(find("[{config_name: a}]").as_deref(), Some("a"));
        assert_eq!(find("[{config_name: a}, {config_name: b}]"), None);
        assert_eq!(find("[{config_name: a}, {config_name: b, default: true}]").as_deref(), Some("b"));
        assert_eq!(find("[{config_name: a}, {config_name: default}]").as_deref(), Some("default"));
    }
}
