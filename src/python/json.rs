//! JSON as Python's `json.dumps(…, ensure_ascii=False)` writes it, byte by byte: hashes are made over it.
//!
//! Source: the Python documentation of `json`; floats are printed as `repr` prints them.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::repr;

/// The text of a value; `indent` as the argument of that name, `None` for one line.
pub fn dumps(value: &Value, indent: Option<usize>) -> String {
    let mut out = String::new();
    write(&mut out, value, indent, 0);
    out
}

/// SHA-256 of a text in UTF-8, in hex.
pub fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `str(float)`.
pub fn float(number: f64) -> String {
    repr::float(number)
}

fn write(out: &mut String, value: &Value, indent: Option<usize>, depth: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => out.push_str(&repr::float(float)),
            _ => out.push_str(&number.to_string()),
        },
        Value::String(text) => string(out, text),
        Value::Array(items) => {
            let items = items.iter().map(|item| (None, item));
            list(out, ('[', ']'), items, indent, depth);
        }
        Value::Object(map) => {
            let items = map.iter().map(|(key, item)| (Some(key.as_str()), item));
            list(out, ('{', '}'), items, indent, depth);
        }
    }
}

fn list<'v>(
    out: &mut String,
    (open, close): (char, char),
    items: impl Iterator<Item = (Option<&'v str>, &'v Value)>,
    indent: Option<usize>,
    depth: usize,
) {
    out.push(open);
    let mut empty = true;
    for (key, item) in items {
        match indent {
            Some(width) => {
                out.push_str(if empty { "" } else { "," });
                line(out, width, depth.saturating_add(1));
            }
            None => out.push_str(if empty { "" } else { ", " }),
        }
        empty = false;
        if let Some(key) = key {
            string(out, key);
            out.push_str(": ");
        }
        write(out, item, indent, depth.saturating_add(1));
    }
    if let (Some(width), false) = (indent, empty) {
        line(out, width, depth);
    }
    out.push(close);
}

fn line(out: &mut String, width: usize, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', width.saturating_mul(depth)));
}

fn string(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_and_hashes_are_python_s() {
        // Python: hashlib.sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode()).hexdigest()
        let doc = json!({"q": "é", "n": 1, "f": 0.5, "l": [1, "a"]});
        let golden = "c165a3f1b6db2794fe00329db4ea3af0d1d581454f320b93fd805f2d91f70deb";
        assert_eq!(sha256(&dumps(&doc, Some(2))), golden);
        let odd =
            json!({"a": [], "b": {}, "c": [null, true, 1e16, 1e-5, -0.0, 3.0], "d": "\u{1}\u{7f}\t\"\\/"});
        let line = "{\"a\": [], \"b\": {}, \"c\": [null, true, 1e+16, 1e-05, -0.0, 3.0], \"d\": \"\\u0001\u{7f}\\t\\\"\\\\/\"}";
        assert_eq!(dumps(&odd, None), line);
        assert_eq!(dumps(&json!({"a": [[1], {}]}), Some(1)), "{\n \"a\": [\n  [\n   1\n  ],\n  {}\n ]\n}");
    }
}
