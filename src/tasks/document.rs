//! A document of a data set, and its columns by what they hold.

use serde_json::{Map, Value};

/// A document: its columns in order.
pub type Document = Map<String, Value>;

/// A column with a text.
pub(in crate::tasks) fn text<'d>(document: &'d Document, column: &str) -> Result<&'d str, String> {
    match document.get(column) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("column {column:?} is no text")),
        None => {
            let columns: Vec<&str> = document.keys().map(String::as_str).collect();
            Err(format!("no column {column:?}; the document has {}", columns.join(", ")))
        }
    }
}

/// A column with a list of texts.
pub(super) fn texts<'d>(document: &'d Document, column: &str) -> Result<Vec<&'d str>, String> {
    let listed = document.get(column).and_then(Value::as_array);
    let texts = listed.and_then(|listed| listed.iter().map(Value::as_str).collect());
    texts.ok_or_else(|| format!("column {column:?} holds no list of texts"))
}
