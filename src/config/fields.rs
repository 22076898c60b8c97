//! Typed reading of JSON objects whose errors name file, key, expectation and finding.

use serde_json::{Map, Value};

use super::ConfigError;
use crate::base::fault::{Refusal, shown};
use crate::base::recognise::{unreadable_text, without_mark};

/// Characters of a value that a message shows.
const SHOWN: usize = 80;

/// One JSON object with its place, for errors that name file and key.
pub struct JsonFields<'a> {
    /// The file, for messages.
    pub file: &'a str,
    /// The key that the object stands under; empty for the outermost one.
    pub prefix: &'a str,
    /// The keys of this object alone, as they were read.
    pub map: &'a Map<String, Value>,
}

impl<'a> JsonFields<'a> {
    /// The value of a key that is there and not null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// What `read` makes of the value of a key that is there and not null; an error if it makes nothing of it.
    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let wrong = |value: &Value| self.wrong(key, expected, &value.to_string());
        self.get(key).map(|value| read(value).ok_or_else(|| wrong(value))).transpose()
    }

    /// A non-negative integer that has to be there.
    pub fn required(&self, key: &str) -> Result<usize, ConfigError> {
        self.count(key)?.ok_or_else(|| self.wrong(key, "a positive integer", "nothing"))
    }

    /// A non-negative integer.
    pub fn count(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        self.typed(key, "a positive integer", whole)
    }

    /// A whole number from 1 to `limit`.
    pub fn within(&self, key: &str, limit: usize) -> Result<Option<usize>, ConfigError> {
        let expected = format!("a whole number from 1 to {limit}");
        self.typed(key, &expected, |value| whole(value).filter(|n| (1..=limit).contains(n)))
    }

    /// A number from `least` to `most`.
    pub fn between(&self, key: &str, least: f64, most: f64) -> Result<Option<f64>, ConfigError> {
        let number = self.number(key)?;
        match number.filter(|number| !(least..=most).contains(number)) {
            Some(wrong) => {
                Err(self.wrong(key, &format!("a number from {least:e} to {most:e}"), &wrong.to_string()))
            }
            None => Ok(number),
        }
    }

    /// A number, whole or not; `None` where the key is missing or null.
    pub fn number(&self, key: &str) -> Result<Option<f64>, ConfigError> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// A truth value; `None` where the key is missing or null.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// A string; `None` where the key is missing or null.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, ConfigError> {
        self.typed(key, "a string", Value::as_str)
    }

    /// An object, with its place in the file.
    pub fn object(&self, key: &'static str) -> Result<Option<JsonFields<'a>>, ConfigError> {
        let file = self.file;
        self.typed(key, "an object", |value| Some(JsonFields { file, prefix: key, map: value.as_object()? }))
    }

    fn key(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}.{key}", self.prefix) }
    }

    /// An error: the value of a key is missing, of the wrong kind or impossible.
    ///
    /// What was found is shortened, since a file can hold megabytes there.
    pub fn wrong(&self, key: &str, expected: &str, found: &str) -> ConfigError {
        Refusal::of_field(self.file, &self.key(key), expected, short(found)).into()
    }

    /// An error: the value of a key belongs to a model that is not run here.
    pub fn unsupported(&self, key: &str, found: &str, supported: &str) -> ConfigError {
        ConfigError::Unsupported {
            source_file: self.file.to_owned(),
            field: self.key(key),
            found: short(found),
            supported: supported.to_owned(),
        }
    }
}

fn whole(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

/// The object that the text of a JSON file is; `file` names it in errors. A byte order mark before it is passed over.
pub fn object(bytes: &[u8], file: &str) -> Result<Map<String, Value>, ConfigError> {
    let wrong = |found: String| {
        let (place, expected) = (format!("{file}: the whole file"), "a JSON object");
        ConfigError::from(unreadable_text(&place, expected, bytes, found, ""))
    };
    match serde_json::from_slice(without_mark(bytes)) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(wrong("other JSON".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// At most [`SHOWN`] characters of a value, none of which a terminal obeys.
fn short(found: &str) -> String {
    match found.char_indices().nth(SHOWN) {
        Some((end, _)) => shown(format!("{}…", found.get(..end).unwrap_or_default())),
        None => shown(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_objects_with_or_without_a_mark_and_stand_ins_are_named() {
        assert_eq!(object(b"\xef\xbb\xbf{\"a\": 1}", "c").unwrap()["a"], 1);
        let text = object(b"<html><body>401</body></html>", "c").unwrap_err().to_string();
        assert!(text.contains("c: the whole file") && text.contains("web page"), "{text}");
        assert!(object(b"", "c").unwrap_err().to_string().contains("an empty file"));
        assert!(object(b"[1]", "c").unwrap_err().to_string().contains("other JSON"));
    }

    #[test]
    fn a_value_of_any_length_makes_a_short_message() {
        let value = json!({"inner": {"x": "ä".repeat(100_000)}});
        let fields = JsonFields { file: "config.json", prefix: "", map: value.as_object().unwrap() };
        let inner = fields.object("inner").unwrap().unwrap();
        let message = inner.count("x").unwrap_err().to_string();
        assert!(message.len() < 400 && message.contains("inner.x") && message.contains('…'), "{message}");
    }
}
