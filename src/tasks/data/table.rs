//! Documents from CSV and TSV with a header line, typed as the `pandas` reader of the reference types them.
//!
//! A column whose values are all whole numbers is one of integers (of floats if some are missing), one of
//! numbers is one of floats, one of `True` and `False` one of booleans, and all else is text, as are whole numbers beyond
//! 64 bits. Words for "missing" become null. Source: the `pandas.read_csv` documentation, `na_values` and `dtype`.

use serde_json::{Number, Value};

use super::json::RowError;
use crate::tasks::document::Document;

const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Reads all rows of a text; `delimiter` is `,` or a tab or what the task file says. With `column_names` the text has no
/// header line.
///
/// # Errors
/// The row, from 0, and what was found.
pub fn read(text: &str, delimiter: u8, column_names: Option<&[&str]>) -> Result<Vec<Document>, RowError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(delimiter).has_headers(column_names.is_none());
    let mut reader = builder.from_reader(text.as_bytes());
    let first = reader.headers().map_err(|e| (None, format!("header: {e}")))?.clone();
    let header = match column_names {
        None => first,
        Some(names) if names.len() == first.len() || first.is_empty() => {
            csv::StringRecord::from(names.to_vec())
        }
        Some(names) => {
            let (said, found) = (names.len(), first.len());
            return Err((Some(0), format!("expected the {said} columns of column_names, found {found}")));
        }
    };
    if let Some(twice) = (1..header.len()).find(|&at| header.iter().take(at).any(|name| name == &header[at]))
    {
        return Err((None, format!("expected columns of different names, found {:?} twice", &header[twice])));
    }
    let mut rows = Vec::new();
    for (row, record) in reader.records().enumerate() {
        rows.push(record.map_err(|e| (Some(row), e.to_string()))?);
    }
    let mut documents = vec![Document::new(); rows.len()];
    for (index, name) in header.iter().enumerate() {
        let cells: Vec<&str> = rows.iter().map(|row| &row[index]).collect();
        let kind = ColumnType::of(&cells);
        for (document, cell) in documents.iter_mut().zip(cells) {
            document.insert(name.to_owned(), kind.value(cell));
        }
    }
    Ok(documents)
}

enum ColumnType {
    Integer,
    Float,
    Bool,
    Text,
}

impl ColumnType {
    fn of(cells: &[&str]) -> Self {
        let present: Vec<&str> = cells.iter().copied().filter(|cell| !MISSING.contains(cell)).collect();
        let complete = present.len() == cells.len();
        if !present.is_empty() && present.iter().all(|cell| boolean(cell).is_some()) {
            return Self::Bool;
        }
        // Whole numbers beyond 64 bits are no numbers there, and make text of the whole column.
        if present.iter().any(|cell| is_whole(cell) && cell.trim().parse::<i64>().is_err()) {
            let all = complete && present.iter().all(|cell| cell.trim().parse::<u64>().is_ok());
            return if all { Self::Integer } else { Self::Text };
        }
        if present.iter().all(|cell| cell.trim().parse::<i64>().is_ok()) {
            return if complete { Self::Integer } else { Self::Float };
        }
        if present.iter().all(|cell| cell.trim().parse().ok().and_then(Number::from_f64).is_some()) {
            return Self::Float;
        }
        Self::Text
    }

    fn value(&self, cell: &str) -> Value {
        if MISSING.contains(&cell) {
            return Value::Null;
        }
        let typed = match self {
            Self::Integer => {
                let signed = cell.trim().parse::<i64>().ok().map(Value::from);
                signed.or_else(|| cell.trim().parse::<u64>().ok().map(Value::from))
            }
            Self::Float => cell.trim().parse().ok().and_then(Number::from_f64).map(Value::Number),
            Self::Bool => boolean(cell).map(Value::Bool),
            Self::Text => None,
        };
        typed.unwrap_or_else(|| Value::String(cell.to_owned()))
    }
}

/// Whether a cell is a whole number, of any length.
fn is_whole(cell: &str) -> bool {
    let digits = cell.trim();
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn boolean(cell: &str) -> Option<bool> {
    match cell {
        "True" | "TRUE" | "true" => Some(true),
        "False" | "FALSE" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_typed() {
        let text = "q,i,g,f,b,m\n\"a, \"\"b\"\"\",1,1,1.5,True,\nNA,2,,2,False,\n";
        let rows = read(text, b',', None).unwrap();
        let shown: Vec<String> = rows.iter().map(|r| serde_json::to_string(r).unwrap()).collect();
        assert_eq!(
            shown,
            [
                r#"{"q":"a, \"b\"","i":1,"g":1.0,"f":1.5,"b":true,"m":null}"#,
                r#"{"q":null,"i":2,"g":null,"f":2.0,"b":false,"m":null}"#
            ]
        );
    }

    /// Checked with pandas 3 and pyarrow: `pandas.read_csv`, then `pyarrow.Table.from_pandas`.
    #[test]
    fn columns_have_the_types_of_pandas() {
        for (text, expected) in [
            ("a,b\nTrue,1\n,2\nFalse,3\n", json!([true, null, false])),
            ("a,b\nTrue,1\n1,2\n", json!(["True", "1"])),
            ("a,b\n18446744073709551615,1\n1,2\n", json!([u64::MAX, 1])),
            ("a,b\n-1,1\n18446744073709551615,2\n", json!(["-1", "18446744073709551615"])),
            ("a,b\n99999999999999999999,1\n1.5,2\n", json!(["99999999999999999999", "1.5"])),
            ("a,b\n 1,1\n2 ,2\n", json!([1, 2])),
            ("a,b\n+7,1\n007,2\n", json!([7, 7])),
            ("a,b\n,1\n,2\n", json!([null, null])),
            ("a,b\n1_000,1\n1e5,2\n", json!(["1_000", "1e5"])),
        ] {
            let column: Value = read(text, b',', None).unwrap().iter().map(|row| row["a"].clone()).collect();
            assert_eq!(column, expected, "{text}");
        }
    }

    #[test]
    fn columns_of_one_name_are_refused() {
        let (_, message) = read("a,b,a\n1,2,3\n", b',', None).unwrap_err();
        assert_eq!(message, "expected columns of different names, found \"a\" twice");
    }

    #[test]
    fn a_table_without_a_header_has_the_names_that_are_given() {
        let rows = read("a,1\nb,2\n", b',', Some(&["q", "n"])).unwrap();
        let shown: Vec<String> = rows.iter().map(|r| serde_json::to_string(r).unwrap()).collect();
        assert_eq!(shown, [r#"{"q":"a","n":1}"#, r#"{"q":"b","n":2}"#]);
        let (row, message) = read("a,1\n", b',', Some(&["q"])).unwrap_err();
        assert_eq!((row, message.as_str()), (Some(0), "expected the 1 columns of column_names, found 2"));
    }

    #[test]
    fn a_ragged_row_is_named() {
        let (row, message) = read("a\tb\n1\t2\n3\n", b'\t', None).unwrap_err();
        assert_eq!(row, Some(1));
        assert!(message.contains("fields"), "{message}");
    }
}
