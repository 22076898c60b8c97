//! The arguments of a filter, read with errors that name them.

use serde_json::{Map, Value};

/// Takes arguments out one by one; what is left over at the end is unknown.
#[derive(Debug)]
pub struct FilterArgs(Map<String, Value>);

impl FilterArgs {
    /// The arguments of a step.
    pub fn new(kwargs: &Map<String, Value>) -> Self {
        Self(kwargs.clone())
    }

    fn take<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let found = || format!("{key}: expected {expected}, found {value}");
                read(&value).map(Some).ok_or_else(found)
            }
        }
    }

    /// The text under a key; `None` where it is missing or null.
    pub fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        self.take(key, "a text", |v| v.as_str().map(str::to_owned))
    }

    /// The whole number under a key; `None` where it is missing or null.
    pub fn integer(&mut self, key: &str) -> Result<Option<i64>, String> {
        self.take(key, "a whole number", Value::as_i64)
    }

    /// `true` or `false`; false if it is not given.
    pub fn flag(&mut self, key: &str) -> Result<bool, String> {
        Ok(self.take(key, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    /// A list of texts; empty if it is not given.
    pub fn texts(&mut self, key: &str) -> Result<Vec<String>, String> {
        let read = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        };
        Ok(self.take(key, "a list of texts", read)?.unwrap_or_default())
    }

    /// Keys and values; empty if it is not given.
    pub fn map(&mut self, key: &str) -> Result<Map<String, Value>, String> {
        Ok(self.take(key, "keys and values", |v| v.as_object().cloned())?.unwrap_or_default())
    }

    /// Whatever stands under a key; `None` where it is missing.
    pub fn value(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key)
    }

    /// Checks that nothing is left.
    pub fn done(self) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("{key}: this step has no such argument")),
        }
    }
}
