//! Files of the project that are part of the binary, and texts that may be one of them.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::yaml::{self, FileError};

/// All files of a folder, sorted by path; `build.rs` writes them.
#[derive(Debug, Clone, Copy)]
pub struct Files {
    texts: &'static str,
    places: &'static [[u32; 4]],
}

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Its path below the folder, with `/` between folders.
    pub path: &'static str,
    /// What is in it.
    pub text: &'static str,
    json: &'static str,
}

impl Files {
    /// Of every file its path, its text and the same as JSON, one after the other, and where each of the three begins
    /// and the last one ends.
    pub const fn new(texts: &'static str, places: &'static [[u32; 4]]) -> Self {
        Self { texts, places }
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = File> {
        self.places.iter().map(move |place| self.at(place))
    }

    /// The file of a path.
    pub fn get(self, path: &str) -> Option<File> {
        let found = self.places.binary_search_by(|place| self.at(place).path.cmp(path)).ok()?;
        Some(self.at(&self.places[found]))
    }

    /// The files whose paths begin with this.
    pub fn below(self, start: &str) -> impl Iterator<Item = File> {
        let from = self.places.partition_point(|place| self.at(place).path < start);
        let files = self.places[from..].iter().map(move |place| self.at(place));
        files.take_while(move |file| file.path.starts_with(start))
    }

    fn at(self, place: &[u32; 4]) -> File {
        let [path, text, json] = [0, 1, 2].map(|i| &self.texts[place[i] as usize..place[i + 1] as usize]);
        File { path, text, json }
    }
}

/// A text of YAML, with the same as JSON where that is known, which is read ten times as fast.
#[derive(Debug, Clone)]
pub struct Text<'a> {
    /// As it was written.
    pub yaml: Cow<'a, str>,
    /// Empty if it is not known, or if JSON cannot say it: tags, as in `!function`.
    json: &'static str,
}

impl From<File> for Text<'_> {
    fn from(file: File) -> Self {
        Text { yaml: file.text.into(), json: file.json }
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text { yaml: text.into(), json: "" }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text { yaml: text.into(), json: "" }
    }
}

impl Text<'_> {
    /// The value in it; `file` names it in messages.
    ///
    /// # Errors
    /// As [`yaml::parse`].
    pub fn parse<T: DeserializeOwned>(&self, file: &str) -> Result<T, FileError> {
        self.of_json().map_or_else(|| yaml::parse(file, &self.yaml), Ok)
    }

    /// Where JSON does not say what YAML says, or does not say it although it could: for tests of the project's files.
    #[cfg(test)]
    pub fn of_json_differs(&self) -> bool {
        let of_yaml = yaml::from_str::<serde_yaml::Value>(&self.yaml);
        match self.of_json::<serde_yaml::Value>() {
            Some(of_json) => of_yaml.is_ok_and(|of_yaml| of_yaml != of_json),
            None => of_yaml.is_ok() && !self.yaml.contains(": !function"),
        }
    }

    /// The value as JSON has it. A text that YAML takes from what looks like a number (`name: 1.10`) is none there.
    pub fn of_json<T: DeserializeOwned>(&self) -> Option<T> {
        (!self.json.is_empty()).then(|| serde_json::from_str(self.json).ok())?
    }
}

#[cfg(test)]
mod tests {
    use serde_yaml::Value;

    use super::*;

    const FILES: Files =
        Files::new("a.yamlx: 1.10\n{\"x\":1.1}b/c.yamly: !f 2\n", &[[0, 6, 14, 23], [23, 31, 39, 39]]);

    #[test]
    fn files_are_found_by_path() {
        let paths: Vec<&str> = FILES.iter().map(|file| file.path).collect();
        assert_eq!(paths, ["a.yaml", "b/c.yaml"]);
        assert_eq!(FILES.get("b/c.yaml").unwrap().text, "y: !f 2\n");
        assert_eq!(FILES.get("b"), None);
        assert_eq!(FILES.get("c"), None);
        let below = |start| FILES.below(start).map(|file| file.path).collect::<Vec<_>>();
        assert_eq!((below("b/"), below("a/"), below("c")), (vec!["b/c.yaml"], vec![], vec![]));
    }

    #[test]
    fn json_is_read_where_it_says_the_same() {
        type Texts = std::collections::BTreeMap<String, String>;
        let text = Text::from(FILES.get("a.yaml").unwrap());
        assert_eq!(text.of_json::<Value>().unwrap()["x"], Value::from(1.1));
        assert_eq!(text.of_json::<Texts>(), None);
        assert_eq!(text.parse::<Texts>("a.yaml").unwrap()["x"], "1.10");
        let tagged = Text::from(FILES.get("b/c.yaml").unwrap());
        assert_eq!(tagged.of_json::<Value>(), None);
        assert!(matches!(tagged.parse::<Value>("c").unwrap()["y"], Value::Tagged(_)));
    }
}
