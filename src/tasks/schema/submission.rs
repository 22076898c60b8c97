//! `metadata.submission`: where the answers to a task's documents go when their right answers are not public.
//!
//! The key is zoo's own and stands under `metadata`, which the reference harness does not look into.

use serde_json::{Map, Value};

use super::value::Slot;
use crate::tasks::error::TaskError;

/// The file that the organisers of a benchmark take in, and a task's place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The name of the file, which tasks share; without its ending.
    pub file: String,
    /// The key of the task in the file.
    pub key: String,
    /// The column that names a document; without one its number does.
    pub id: Option<String>,
}

impl Submission {
    /// Reads it from the slot of `metadata`; `None` if there is none.
    pub(super) fn read(metadata: &Slot<'_>) -> Result<Option<Self>, TaskError> {
        let Some(value) = metadata.value.get("submission") else { return Ok(None) };
        let slot = metadata.below(".submission", value);
        let (mut file, mut key, mut id) = (None, None, None);
        for (name, value) in slot.pairs()? {
            match name {
                "file" => file = Some(value.string()?),
                "key" => key = Some(value.string()?),
                "id" => id = Some(value.string()?),
                other => return Err(value.unknown(other, ["file", "key", "id"])),
            }
        }
        let missing = |name: &str| slot.error(format!("expected the keys file and key, found no {name}"));
        let (file, key) = (file.ok_or_else(|| missing("file"))?, key.ok_or_else(|| missing("key"))?);
        Ok(Some(Self { file, key, id }))
    }

    /// The name of the document with number `doc_id` and these columns.
    ///
    /// # Errors
    /// What is wrong with the column that names it, in words.
    pub fn name_of(&self, doc_id: usize, columns: &Map<String, Value>) -> Result<String, String> {
        let Some(column) = &self.id else { return Ok(doc_id.to_string()) };
        match columns.get(column) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(other) => {
                Err(format!("expected a number or a text in the column {column:?}, found {other}"))
            }
            None => Err(format!("expected a column {column:?}, found none of this name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::source::{Entry, Location, Origin};
    use super::*;

    fn read(yaml: &str) -> Result<Option<Submission>, TaskError> {
        let text = format!("metadata: {yaml}\n");
        let origin = Arc::new(Origin::new(Location::Disk("t.yaml".into()), &text));
        let entry = Entry { value: serde_yaml::from_str(yaml).unwrap(), origin };
        Submission::read(&Slot::new("metadata", &entry))
    }

    #[test]
    fn a_place_in_a_file() {
        let found = read("{version: 1, submission: {file: exam, key: law, id: number}}").unwrap().unwrap();
        assert_eq!((found.file.as_str(), found.key.as_str()), ("exam", "law"));
        assert_eq!(found.id.as_deref(), Some("number"));
        assert_eq!(read("{version: 1, 7: x}").unwrap(), None);
    }

    #[test]
    fn documents_are_named_by_a_column_or_their_number() {
        let mut place = Submission { file: "exam".into(), key: "law".into(), id: None };
        let columns = serde_json::json!({"id": 17, "code": "x1", "answer": null});
        let columns = columns.as_object().unwrap();
        assert_eq!(place.name_of(3, columns).unwrap(), "3");
        for (column, name) in [("id", "17"), ("code", "x1")] {
            place.id = Some(column.into());
            assert_eq!(place.name_of(3, columns).unwrap(), name);
        }
        for (column, words) in [("answer", "found null"), ("number", "none of this name")] {
            place.id = Some(column.into());
            assert!(place.name_of(3, columns).unwrap_err().contains(words));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (yaml, words) in [
            ("{submission: {file: exam}}", "no key"),
            ("{submission: {file: [], key: law}}", "metadata.submission.file"),
            ("{submission: {file: exam, key: law, keys: x}}", "\"key\""),
            ("{submission: exam}", "metadata.submission"),
        ] {
            let said = read(yaml).unwrap_err().to_string();
            assert!(said.contains(words) && said.contains("t.yaml"), "{said}");
        }
    }
}
