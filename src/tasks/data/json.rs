//! Documents from JSON: one object a line, or one array of objects.

use std::collections::HashMap;
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

/// Reads all objects of a text into rows. `field` names the key of an object that holds the array, if it is not the
/// whole text.
///
/// # Errors
/// The row, from 0, and what was found.
pub fn read(text: &str, field: Option<&str>, rows: &mut Rows) -> Result<(), RowError> {
    let text = text.trim_start_matches('\u{feff}');
    if let Some(field) = field {
        let mut whole: Value = serde_json::from_str(text).map_err(|e| (None, format!("not JSON: {e}")))?;
        return match whole.get_mut(field).map(Value::take) {
            Some(Value::Array(listed)) => {
                listed.into_iter().enumerate().try_for_each(|row| object(row).map(|row| rows.push(row)))
            }
            _ => Err((None, format!("expected the key {field:?} with a list of objects"))),
        };
    }
    if text.trim_start().starts_with('[') {
        let listed: Vec<Value> =
            serde_json::from_str(text).map_err(|e| (None, format!("not a JSON array: {e}")))?;
        return listed.into_iter().enumerate().try_for_each(|row| object(row).map(|row| rows.push(row)));
    }
    for (row, value) in Deserializer::from_str(text).into_iter::<Value>().enumerate() {
        let value = value.map_err(|e| (Some(row), format!("not JSON: {e}")))?;
        rows.push(object((row, value))?);
    }
    Ok(())
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

/// The rows of a table as they are read: the columns of all, and of the documents as many as are wanted.
#[derive(Debug)]
pub struct Rows {
    most: usize,
    kept: Vec<Document>,
    total: usize,
    columns: Vec<Column>,
    places: HashMap<String, usize>,
    uneven: bool,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// Whether there are whole numbers in it, and others.
    whole: bool,
    float: bool,
}

impl Rows {
    /// No rows yet, of which the first `most` are to be kept.
    pub fn new(most: usize) -> Self {
        Rows { most, kept: Vec::new(), total: 0, columns: Vec::new(), places: HashMap::new(), uneven: false }
    }

    /// Takes in the next row.
    pub fn push(&mut self, document: Document) {
        self.uneven |= self.total > 0 && document.len() != self.columns.len();
        for (at, (name, value)) in document.iter().enumerate() {
            let as_before = self.columns.get(at).is_some_and(|column| column.name == *name);
            let place = if as_before { at } else { self.place(name) };
            self.uneven |= place != at;
            if value.is_number() {
                let column = &mut self.columns[place];
                if value.is_f64() { column.float = true } else { column.whole = true }
            }
        }
        self.total += 1;
        if self.kept.len() < self.most {
            self.kept.push(document);
        }
    }

    fn place(&mut self, name: &str) -> usize {
        let next = self.columns.len();
        let place = *self.places.entry(name.to_owned()).or_insert(next);
        if place == next {
            self.uneven |= self.total > 0;
            self.columns.push(Column { name: name.to_owned(), whole: false, float: false });
        }
        place
    }

    /// How many rows there were.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The rows that were kept, all with the same columns in the order of first appearance, as a table has them: what a row
    /// lacks is null, and a column with whole numbers and others is one of floats. And the names of the columns.
    pub fn finish(self) -> (Vec<Document>, Vec<String>) {
        let Rows { mut kept, columns, uneven, .. } = self;
        if uneven {
            for document in &mut kept {
                let mut row = std::mem::take(document);
                let cell = |column: &Column| row.remove(&column.name).unwrap_or(Value::Null);
                let cells: Vec<Value> = columns.iter().map(cell).collect();
                *document = columns.iter().map(|column| column.name.clone()).zip(cells).collect();
            }
        }
        for column in columns.iter().filter(|column| column.whole && column.float) {
            for value in kept.iter_mut().filter_map(|document| document.get_mut(&column.name)) {
                if let Some(number) = value.as_f64() {
                    *value = Value::from(number);
                }
            }
        }
        (kept, columns.into_iter().map(|column| column.name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, field: Option<&str>) -> Result<Vec<Document>, RowError> {
        let mut rows = Rows::new(usize::MAX);
        super::read(text, field, &mut rows).map(|()| rows.finish().0)
    }

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
        let text = "{\"a\": 1}\n{\"b\": \"x\", \"a\": 2.5}\n{\"a\": 3, \"b\": null}\n";
        let all = [r#"{"a":1.0,"b":null}"#, r#"{"a":2.5,"b":"x"}"#, r#"{"a":3.0,"b":null}"#];
        // The rows that are not kept decide on the columns too.
        for most in [0, 1, 2, 3, 9] {
            let mut rows = Rows::new(most);
            super::read(text, None, &mut rows).unwrap();
            assert_eq!(rows.total(), 3);
            let (rows, columns) = rows.finish();
            let shown: Vec<String> = rows.iter().map(|r| serde_json::to_string(r).unwrap()).collect();
            assert_eq!(
                (&shown[..], &columns[..]),
                (&all.map(str::to_owned)[..most.min(3)], &["a".to_owned(), "b".to_owned()][..])
            );
        }
        for (text, shown) in [
            ("{\"a\": 1, \"b\": 2}\n{\"b\": 3, \"a\": 4}\n", r#"[{"a":1,"b":2},{"a":4,"b":3}]"#),
            ("{\"a\": 1}\n{}\n", r#"[{"a":1},{"a":null}]"#),
            ("{}\n{\"a\": 1}\n", r#"[{"a":null},{"a":1}]"#),
            ("{\"a\": true}\n{\"a\": 1.5}\n", r#"[{"a":true},{"a":1.5}]"#),
        ] {
            assert_eq!(serde_json::to_string(&read(text, None).unwrap()).unwrap(), shown);
        }
    }
}
