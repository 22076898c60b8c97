//! `dataset_kwargs`: what a task file says of its data set beside its name.
//!
//! Each key is honoured, means nothing to what is read, or is refused with those that are known: a key that is not
//! honoured would give other documents than the reference's without a sign. Source: `datasets.load_dataset` and the
//! builders `json`, `csv` and `parquet` of that library.

use serde_json::{Map, Value};

use super::DatasetRef;
use crate::tasks::error::{TaskError, did_you_mean, nearest};

/// Keys that say how data is fetched or kept, not what it is.
const NEUTRAL: [&str; 9] = [
    "trust_remote_code",
    "verification_mode",
    "ignore_verifications",
    "download_mode",
    "keep_in_memory",
    "num_proc",
    "cache_dir",
    "token",
    "use_auth_token",
];
/// Keys of every data set.
const KNOWN: [&str; 2] = ["data_files", "data_dir"];
/// Keys of `csv`.
const OF_CSV: [&str; 4] = ["column_names", "names", "delimiter", "sep"];
/// Keys of `json`.
const OF_JSON: [&str; 1] = ["field"];

/// Patterns of files by split, in order.
type BySplit<'a> = Vec<(&'a str, Vec<&'a str>)>;

/// The keys, read.
#[derive(Debug, Default)]
pub(super) struct Kwargs<'a> {
    /// The patterns of files by split; of files without a split it is `train`. `None`: not said.
    pub data_files: Option<BySplit<'a>>,
    /// The folder that names and patterns start from; empty if not said.
    pub data_dir: &'a str,
    /// What stands between two cells of a table.
    pub delimiter: Option<u8>,
    /// The names of the columns of a table without a header.
    pub column_names: Option<Vec<&'a str>>,
    /// The key of the list of documents in a JSON file.
    pub field: Option<&'a str>,
}

impl<'a> Kwargs<'a> {
    /// Reads those of a data set.
    ///
    /// # Errors
    /// Unknown keys, and values of another kind, by name.
    pub fn of(dataset: &DatasetRef<'a>) -> Result<Self, TaskError> {
        let mut read = Self::default();
        let of_kind: &[&str] = match dataset.path {
            "csv" => &OF_CSV,
            "json" => &OF_JSON,
            _ => &[],
        };
        for (key, value) in dataset.kwargs.iter().filter(|(_, value)| !value.is_null()) {
            let place = || format!("task {:?}: dataset_kwargs.{key}", dataset.task);
            let wrong =
                |expected: &str| TaskError::wrong(place(), format!("expected {expected}, found {value}"));
            let text = |expected: &str| value.as_str().ok_or_else(|| wrong(expected));
            match key.as_str() {
                key if NEUTRAL.contains(&key) => {}
                "streaming" if value == &Value::Bool(false) => {}
                "revision" if value == "main" => {}
                "data_files" => {
                    let expected = "names of files, by split or of the split train";
                    read.data_files = Some(files(value).ok_or_else(|| wrong(expected))?);
                }
                "data_dir" => read.data_dir = text("the name of a folder")?,
                "field" if of_kind.contains(&"field") => read.field = Some(text("a key")?),
                "delimiter" | "sep" if of_kind.contains(&"sep") => {
                    let byte = value.as_str().and_then(|text| match text.as_bytes() {
                        [byte] => Some(*byte),
                        _ => None,
                    });
                    read.delimiter = Some(byte.ok_or_else(|| wrong("one character of ASCII"))?);
                }
                "column_names" | "names" if of_kind.contains(&"names") => {
                    read.column_names = Some(list(value).ok_or_else(|| wrong("a list of names"))?);
                }
                _ => {
                    let known: Vec<&str> = KNOWN.iter().chain(of_kind).copied().collect();
                    let meant = did_you_mean(nearest(key, known.iter().copied()));
                    let message = format!(
                        "is not supported{meant} (supported for {}: {})",
                        dataset.path,
                        known.join(", ")
                    );
                    return Err(TaskError::wrong(place(), message));
                }
            }
        }
        Ok(read)
    }

    /// The patterns of a split; `None` if none are named.
    pub fn patterns(&self, split: &str) -> Option<&[&'a str]> {
        let files = self.data_files.as_ref()?;
        files.iter().find(|(name, _)| *name == split).map(|(_, patterns)| patterns.as_slice())
    }
}

fn files(value: &Value) -> Option<BySplit<'_>> {
    match value {
        Value::Object(splits) => by_split(splits),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let by_split: BySplit<'_> = items.iter().map(of_split).collect::<Option<_>>()?;
            let mut names: Vec<&str> = by_split.iter().map(|(split, _)| *split).collect();
            names.sort_unstable();
            names.dedup();
            (names.len() == by_split.len()).then_some(by_split)
        }
        value => Some(vec![("train", one_or_more(value)?)]),
    }
}

fn by_split(splits: &Map<String, Value>) -> Option<BySplit<'_>> {
    splits.iter().map(|(split, value)| Some((split.as_str(), one_or_more(value)?))).collect()
}

/// `{split: test, path: …}`, as cards of data sets have it.
fn of_split(item: &Value) -> Option<(&str, Vec<&str>)> {
    let item = item.as_object().filter(|item| item.len() == 2)?;
    Some((item.get("split")?.as_str()?, one_or_more(item.get("path")?)?))
}

fn one_or_more(value: &Value) -> Option<Vec<&str>> {
    value.as_str().map(|one| vec![one]).or_else(|| list(value))
}

fn list(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(path: &str, kwargs: Value) -> String {
        let kwargs = kwargs.as_object().unwrap().clone();
        let dataset = DatasetRef { task: "t", path, name: None, kwargs: &kwargs, folder: None };
        Kwargs::of(&dataset).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn keys_that_are_not_honoured_are_refused_by_name() {
        let misspelt = refused("json", json!({"data_file": {"test": "a.jsonl"}}));
        assert!(misspelt.contains("dataset_kwargs.data_file: is not supported"), "{misspelt}");
        assert!(misspelt.contains("did you mean \"data_files\"?") && misspelt.contains("data_dir, field"));
        for (path, key, value) in [
            ("csv", "skiprows", json!(1)),
            ("csv", "field", json!("x")),
            ("json", "column_names", json!(["a"])),
            ("org/name", "revision", json!("abc")),
            ("org/name", "streaming", json!(true)),
            ("csv", "column_names", json!("a")),
            ("csv", "sep", json!("::")),
            ("json", "data_files", json!({"test": 3})),
            ("json", "data_dir", json!(["x"])),
        ] {
            let said = refused(path, json!({key: value}));
            assert!(said.starts_with(&format!("task \"t\": dataset_kwargs.{key}: ")), "{said}");
        }
    }

    #[test]
    fn what_does_not_change_documents_is_left_out() {
        let kwargs = json!({"trust_remote_code": true, "streaming": false, "revision": null, "data_files": ["a", "b"]});
        let kwargs = kwargs.as_object().unwrap().clone();
        let dataset = DatasetRef { task: "t", path: "o/n", name: None, kwargs: &kwargs, folder: None };
        let read = Kwargs::of(&dataset).unwrap();
        assert_eq!(read.patterns("train"), Some(["a", "b"].as_slice()));
        assert_eq!(read.patterns("test"), None);
    }

    #[test]
    fn files_may_be_listed_as_in_cards() {
        let kwargs =
            json!({"data_files": [{"split": "test", "path": ["b", "a"]}, {"split": "dev", "path": "c"}]});
        let kwargs = kwargs.as_object().unwrap().clone();
        let dataset = DatasetRef { task: "t", path: "json", name: None, kwargs: &kwargs, folder: None };
        let read = Kwargs::of(&dataset).unwrap();
        assert_eq!(
            (read.patterns("test"), read.patterns("dev")),
            (Some(["b", "a"].as_slice()), Some(["c"].as_slice()))
        );
        for wrong in [
            json!([{"split": "test", "path": "a"}, {"split": "test", "path": "b"}]),
            json!([{"split": "test", "path": "a"}, "b"]),
            json!([{"split": "test"}]),
        ] {
            assert!(refused("json", json!({"data_files": wrong})).contains("names of files"));
        }
    }
}
