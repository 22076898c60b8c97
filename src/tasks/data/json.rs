//! Documents from JSON: one object a line, or one array of objects.

use std::path::Path;

use serde_json::{Deserializer, Value};

use crate::tasks::document::Document;
use crate::tasks::error::TaskError;

/// What is wrong with a row.
pub type RowError = (Option<usize>, String);

/// The error of a file of data, with the row where it is known.
pub fn row_error(file: &Path, (row, message): RowError) -> TaskError {
    let row = row.map(|row| format!(", row {row}")).unwrap_or_default();
    TaskError::wrong(format!("{}{row}", file.display()), message)
}

/// Reads all objects of a text. `field` names the key of an object that holds the array, if it is not the
/// whole text.
///
/// # Errors
/// The row, from 0, and what was found.
pub fn read(text: &str, field: Option<&str>) -> Result<Vec<Document>, RowError> {
    let text = text.trim_start_matches('\u{feff}');
    if let Some(field) = field {
        let mut whole: Value = serde_json::from_str(text).map_err(|e| (None, format!("not JSON: {e}")))?;
        return match whole.get_mut(field).map(Value::take) {
            Some(Value::Array(rows)) => rows.into_iter().enumerate().map(object).collect(),
            _ => Err((None, format!("expected the key {field:?} with a list of objects"))),
        };
    }
    if text.trim_start().starts_with('[') {
        let rows: Vec<Value> =
            serde_json::from_str(text).map_err(|e| (None, format!("not a JSON array: {e}")))?;
        return rows.into_iter().enumerate().map(object).collect();
    }
    let mut documents = Vec::new();
    for (row, value) in Deserializer::from_str(text).into_iter::<Value>().enumerate() {
        let value = value.map_err(|e| (Some(row), format!("not JSON: {e}")))?;
        documents.push(object((row, value))?);
    }
    Ok(documents)
}

fn object((row, value): (usize, Value)) -> Result<Document, RowError> {
    match value {
        Value::Object(map) => Ok(map),
        other => {
            let found: String = other.to_string().chars().take(60).collect();
            Err((Some(row), format!("expected an object with the columns as keys, found {found}")))
        }
    }
}

/// Gives all rows the same columns, in the order of first appearance, as a table has them: what a row lacks
/// is null, and a column with whole numbers and others is one of floats.
pub fn unify(documents: &mut [Document]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    let mut known = std::collections::HashSet::new();
    let mut same = true;
    for document in documents.iter() {
        same &= document.len() == columns.len() && document.keys().zip(&columns).all(|(a, b)| a == b)
            || columns.is_empty();
        for key in document.keys() {
            if known.insert(key.clone()) {
                columns.push(key.clone());
            }
        }
    }
    if !same {
        for document in documents.iter_mut() {
            let mut row = std::mem::take(document);
            *document = columns.iter().map(|c| (c.clone(), row.remove(c).unwrap_or(Value::Null))).collect();
        }
    }
    for column in &columns {
        let numbers = || documents.iter().filter_map(|d| d.get(column)).filter(|v| v.is_number());
        if numbers().any(Value::is_f64) && !numbers().all(Value::is_f64) {
            for value in documents.iter_mut().filter_map(|d| d.get_mut(column)) {
                if let Some(number) = value.as_f64() {
                    *value = Value::from(number);
                }
            }
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrays_and_fields() {
        let wanted = read("{\"a\": 1}\n{\"a\": 2}\n", None).unwrap();
        assert_eq!(wanted.len(), 2);
        assert_eq!(read(" [{\"a\": 1},\n{\"a\": 2}]", None).unwrap(), wanted);
        assert_eq!(read("{\"data\": [{\"a\": 1}, {\"a\": 2}]}", Some("data")).unwrap(), wanted);
    }

    #[test]
    fn errors_name_the_row() {
        let (row, message) = read("{\"a\": 1}\n[2]\n", None).unwrap_err();
        assert_eq!(row, Some(1));
        assert!(message.contains("[2]"));
        assert_eq!(read("{\"a\": 1}\n{\n", None).unwrap_err().0, Some(1));
    }

    #[test]
    fn rows_become_a_table() {
        let mut rows = read("{\"a\": 1}\n{\"b\": \"x\", \"a\": 2.5}\n", None).unwrap();
        assert_eq!(unify(&mut rows), ["a", "b"]);
        let shown: Vec<String> = rows.iter().map(|r| serde_json::to_string(r).unwrap()).collect();
        assert_eq!(shown, [r#"{"a":1.0,"b":null}"#, r#"{"a":2.5,"b":"x"}"#]);
    }
}
