//! Typed reading of YAML values, with errors that name file, line and key.

use std::sync::Arc;

use serde_json::{Map, Number};
use serde_yaml::Value;

use super::source::{Entry, Origin};
use crate::tasks::error::{TaskError, nearest};

/// A `!function module.name` tag: a function that a task file refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRef {
    /// The function as written, `utils.process_docs`.
    pub name: String,
    /// The file with the tag.
    pub origin: Arc<Origin>,
    /// The key that holds the tag.
    pub key: String,
}

impl FunctionRef {
    /// The error that this function cannot be used.
    pub fn error(&self, message: impl Into<String>) -> TaskError {
        TaskError::wrong(format!("{}: {}", file_and_line(&self.origin, &self.key), self.key), message)
    }

    /// The last part of the name: `process_docs`.
    pub fn function(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

/// The file, and the line of the top-level key that a path of keys begins with, where the file has it.
fn file_and_line(origin: &Origin, key: &str) -> String {
    let file = origin.location.display();
    let line = origin.line(key.split(['.', '[']).next().expect("a split gives one part at least"));
    line.map_or_else(|| file.clone(), |line| format!("{file}, line {line}"))
}

/// A value on its way into a typed field: it knows where it stands.
#[derive(Debug, Clone)]
pub struct Slot<'a> {
    /// What stands under the key, as the file has it.
    pub value: &'a Value,
    /// The key, with the keys above it.
    pub key: String,
    origin: &'a Arc<Origin>,
}

impl<'a> Slot<'a> {
    /// The slot of a top-level key.
    pub fn new(key: &str, entry: &'a Entry) -> Self {
        Self { value: &entry.value, key: key.to_owned(), origin: &entry.origin }
    }

    /// A value below this one, by its path in words (`[2]`, `.name`).
    pub fn below(&self, path: &str, value: &'a Value) -> Self {
        Self { value, key: format!("{}{path}", self.key), origin: self.origin }
    }

    /// The error that this value cannot be used.
    pub fn error(&self, message: impl Into<String>) -> TaskError {
        TaskError::wrong(format!("{}: {}", file_and_line(self.origin, &self.key), self.key), message)
    }

    /// The error that this key is not known.
    pub fn unknown<'k>(&self, name: &str, known: impl IntoIterator<Item = &'k str>) -> TaskError {
        let place = file_and_line(self.origin, &self.key);
        let nearest = nearest(name, known);
        TaskError::UnknownKey { place, key: self.key.clone(), nearest }
    }

    fn expected(&self, what: &str) -> TaskError {
        self.error(format!("expected {what}, found {}", describe(self.value)))
    }

    /// The function of a `!function` tag, if the value is one.
    pub fn function(&self) -> Option<FunctionRef> {
        let Value::Tagged(tagged) = self.value else { return None };
        if tagged.tag != "function" {
            return None;
        }
        let name = tagged.value.as_str()?.to_owned();
        Some(FunctionRef { name, origin: Arc::clone(self.origin), key: self.key.clone() })
    }

    /// A function; anything else is an error.
    pub fn a_function(&self) -> Result<FunctionRef, TaskError> {
        self.function().ok_or_else(|| self.expected("`!function module.name`"))
    }

    /// The name of a function by its last part, or a text.
    pub fn name(&self) -> Result<String, TaskError> {
        self.function().map_or_else(|| self.string(), |function| Ok(function.function().to_owned()))
    }

    /// A text; numbers are taken as they are written by Python.
    pub fn string(&self) -> Result<String, TaskError> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(self.expected("a text")),
        }
    }

    /// A text or a list of texts.
    pub fn strings(&self) -> Result<Vec<String>, TaskError> {
        match self.value {
            Value::Null => Ok(Vec::new()),
            Value::Sequence(_) => self.items()?.iter().map(Slot::string).collect(),
            _ => Ok(vec![self.string()?]),
        }
    }

    /// `true` or `false`.
    pub fn bool(&self) -> Result<bool, TaskError> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A whole number that is not negative.
    pub fn usize(&self) -> Result<usize, TaskError> {
        let number = self.value.as_u64().and_then(|n| usize::try_from(n).ok());
        number.ok_or_else(|| self.expected("a whole number that is not negative"))
    }

    /// The items of a list.
    pub fn items(&self) -> Result<Vec<Slot<'a>>, TaskError> {
        let Value::Sequence(items) = self.value else { return Err(self.expected("a list")) };
        Ok(items.iter().enumerate().map(|(i, item)| self.below(&format!("[{i}]"), item)).collect())
    }

    /// The keys and values of a map with text keys.
    pub fn pairs(&self) -> Result<Vec<(&'a str, Slot<'a>)>, TaskError> {
        let Value::Mapping(mapping) = self.value else { return Err(self.expected("keys and values")) };
        mapping
            .iter()
            .map(|(key, value)| {
                let key = key.as_str().ok_or_else(|| self.error(format!("key {key:?} is no text")))?;
                Ok((key, self.below(&format!(".{key}"), value)))
            })
            .collect()
    }

    /// The value as JSON. `!function` tags become their text, since only printing reads them here.
    pub fn json(&self) -> Result<serde_json::Value, TaskError> {
        use serde_json::Value as Json;
        Ok(match self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::String(text) => Json::String(text.clone()),
            Value::Number(number) => {
                Json::Number(json_number(number).ok_or_else(|| self.expected("a finite number"))?)
            }
            Value::Sequence(_) => {
                Json::Array(self.items()?.iter().map(Slot::json).collect::<Result<_, _>>()?)
            }
            Value::Mapping(_) => Json::Object(self.json_map()?),
            Value::Tagged(tagged) => match self.function() {
                Some(function) => Json::String(format!("!function {}", function.name)),
                None => return Err(self.error(format!("tag {} is not known; !function is", tagged.tag))),
            },
        })
    }

    /// A map as JSON, empty for `null`.
    pub fn optional_map(&self) -> Result<Map<String, serde_json::Value>, TaskError> {
        if self.value.is_null() { Ok(Map::new()) } else { self.json_map() }
    }

    /// A map as JSON; keys that are numbers become their text.
    pub fn json_map(&self) -> Result<Map<String, serde_json::Value>, TaskError> {
        let Value::Mapping(mapping) = self.value else { return Err(self.expected("keys and values")) };
        let mut map = Map::new();
        for (key, value) in mapping {
            let name = match key {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                _ => return Err(self.error(format!("key {key:?} is no text"))),
            };
            let value = self.below(&format!(".{name}"), value).json()?;
            map.insert(name, value);
        }
        Ok(map)
    }
}

/// A number as JSON, which has no infinities and no NaN.
fn json_number(number: &serde_yaml::Number) -> Option<Number> {
    let whole = number.as_i64().map(Number::from).or_else(|| number.as_u64().map(Number::from));
    whole.or_else(|| Number::from_f64(number.as_f64()?))
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing (null)".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => format!("the number {n}"),
        Value::String(s) => format!("the text {:?}", s.chars().take(60).collect::<String>()),
        Value::Sequence(items) => format!("a list of {}", items.len()),
        Value::Mapping(pairs) => format!("a map of {} keys", pairs.len()),
        Value::Tagged(tagged) => format!("a value tagged {}", tagged.tag),
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Location;
    use super::*;

    fn entry(yaml: &str) -> Entry {
        let origin = Arc::new(Origin::new(Location::Disk("t.yaml".into()), "x: 1\nk: 2\n"));
        Entry { value: serde_yaml::from_str(yaml).unwrap(), origin }
    }

    #[test]
    fn functions_keep_their_name() {
        let entry = entry("!function utils.process_docs");
        let function = Slot::new("k", &entry).function().unwrap();
        assert_eq!((function.name.as_str(), function.function()), ("utils.process_docs", "process_docs"));
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let entry = entry("[1, {a: x}]");
        let slot = Slot::new("k", &entry);
        let said = slot.items().unwrap()[1].usize().unwrap_err().to_string();
        let wanted =
            "t.yaml, line 2: k[1]: expected a whole number that is not negative, found a map of 1 keys";
        assert_eq!(said, wanted);
    }

    #[test]
    fn infinities_are_no_large_numbers() {
        for number in [".inf", "-.inf", ".nan"] {
            let entry = entry(&format!("{{a: [{number}]}}"));
            let said = Slot::new("k", &entry).json().unwrap_err().to_string();
            assert!(said.starts_with("t.yaml, line 2: k.a[0]: expected a finite number, found"), "{said}");
        }
    }

    #[test]
    fn json_keeps_order_and_kinds() {
        let entry = entry("{b: 1, a: [1.0, true, null, ' x'], 3: y}");
        let json = Slot::new("k", &entry).json().unwrap();
        assert_eq!(json.to_string(), r#"{"b":1,"a":[1.0,true,null," x"],"3":"y"}"#);
    }
}
