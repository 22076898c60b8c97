//! Values as Python prints them: `str` and `repr`, and the text of `json.dumps`.
//!
//! Sources: the Python language reference (`repr` of `str` and `float`) and the documentation of `json`. A template
//! can nest a list in itself by reference, and its text would double with every level; so what a template prints
//! is bounded. Data that is there as a tree is not.

use std::fmt::Write as _;

use minijinja::Value;
use minijinja::value::ValueKind;
use serde_json::Value as Data;

/// The longest text of one value of a template, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// The deepest nesting of lists and maps of a template.
pub const MAX_DEPTH: usize = 64;

/// How `json.dumps` writes.
#[derive(Debug, Clone)]
pub struct Json {
    /// Spaces per level; `None`: all in one line.
    pub indent: Option<usize>,
    /// Between items.
    pub item: String,
    /// Between key and value.
    pub key: String,
    /// Whether everything beyond printable ASCII is escaped.
    pub ensure_ascii: bool,
    /// Whether keys are sorted.
    pub sort_keys: bool,
}

impl Json {
    /// `json.dumps(…, ensure_ascii=False, indent=indent)`.
    pub fn new(indent: Option<usize>) -> Self {
        let item = if indent.is_some() { "," } else { ", " };
        Self { indent, item: item.into(), key: ": ".into(), ensure_ascii: false, sort_keys: false }
    }
}

/// `str(value)` of a template's value: text as it is, everything else as [`repr`].
///
/// # Errors
/// A text too long or too deep, in words.
pub fn to_str(value: &Value) -> Result<String, String> {
    value.as_str().map_or_else(|| repr(value), |text| Ok(text.to_owned()))
}

/// `repr(value)` of a template's value.
///
/// # Errors
/// A text too long or too deep, in words.
pub fn repr(value: &Value) -> Result<String, String> {
    print(value, None, true)
}

/// `json.dumps(value)` of a template's value.
///
/// # Errors
/// An undefined value, an object that is no list or map, a text too long or too deep; in words.
pub fn json(value: &Value, style: &Json) -> Result<String, String> {
    print(value, Some(style), true)
}

/// `repr` of data.
pub fn repr_data(data: &Data) -> String {
    print(&to_value(data), None, false).expect("data prints without bounds")
}

/// `json.dumps(data, ensure_ascii=False, indent=indent)`, byte by byte: hashes are made over it.
pub fn dumps(data: &Data, indent: Option<usize>) -> String {
    print(&to_value(data), Some(&Json::new(indent)), false).expect("data prints without bounds")
}

/// `repr` of a float: the shortest digits that read back to it, with an exponent below 1e-4 and from 1e16.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) =
        scientific.split_once('e').expect("a number in scientific notation has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a whole number");
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

/// Data as the value of a template; maps keep their order.
pub fn to_value(data: &Data) -> Value {
    match data {
        Data::Null => Value::from(()),
        Data::Bool(flag) => Value::from(*flag),
        Data::String(text) => Value::from(text.as_str()),
        Data::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => Value::from(whole),
            (None, Some(whole), _) => Value::from(whole),
            (None, None, number) => Value::from(number.expect("a number is whole or a float")),
        },
        Data::Array(items) => items.iter().map(to_value).collect(),
        Data::Object(map) => Value::from_pairs(map.iter().map(|(key, item)| (key.as_str(), to_value(item)))),
    }
}

fn print(value: &Value, json: Option<&Json>, bounded: bool) -> Result<String, String> {
    let mut printer = Printer { out: String::new(), json, bounded };
    printer.value(value, 0)?;
    Ok(printer.out)
}

struct Printer<'a> {
    out: String,
    /// `None`: `repr`.
    json: Option<&'a Json>,
    bounded: bool,
}

impl Printer<'_> {
    fn push(&mut self, text: &str) -> Result<(), String> {
        if self.bounded && self.out.len() + text.len() > MAX_TEXT {
            return Err(format!("expected a value of at most {MAX_TEXT} bytes as text, found more"));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if self.bounded && depth > MAX_DEPTH {
            return Err(format!("expected values nested at most {MAX_DEPTH} deep, found more"));
        }
        match (value.kind(), self.json) {
            (ValueKind::None, None) => self.push("None"),
            (ValueKind::Bool, None) => self.push(if value.is_true() { "True" } else { "False" }),
            (ValueKind::None | ValueKind::Bool, Some(_)) => self.push(&json_scalar(value)),
            (ValueKind::Number, json) => self.push(&number(value, json.is_some())),
            (ValueKind::String, _) => self.text(value.as_str().expect("a value of this kind is a text")),
            (ValueKind::Seq | ValueKind::Iterable, _) => self.sequence(value, depth),
            (ValueKind::Map, _) => self.map(value, depth),
            (ValueKind::Undefined, None) => self.push("Undefined"),
            (ValueKind::Undefined, Some(_)) => {
                Err("tojson: expected a value, found an undefined one".to_owned())
            }
            (kind, Some(_)) => Err(format!("tojson: expected plain data, found {kind}")),
            (_, None) => self.push(&value.to_string()),
        }
    }

    fn sequence(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        let tuple = value.is_tuple() && self.json.is_none();
        self.push(if tuple { "(" } else { "[" })?;
        let mut count = 0;
        for item in value.try_iter().map_err(words)?.checked() {
            self.before_item(count > 0, depth + 1)?;
            self.value(&item.map_err(words)?, depth + 1)?;
            count += 1;
        }
        self.after_items(count > 0, depth)?;
        self.push(match (tuple, count) {
            (true, 1) => ",)",
            (true, _) => ")",
            (false, _) => "]",
        })
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        self.push("{")?;
        let keys = value.try_iter().map_err(words)?.checked();
        let mut keys: Vec<Value> = keys.collect::<Result<_, _>>().map_err(words)?;
        if self.json.is_some_and(|style| style.sort_keys) {
            keys.sort();
        }
        for (i, key) in keys.iter().enumerate() {
            self.before_item(i > 0, depth + 1)?;
            match (self.json, key.as_str()) {
                (Some(style), text) => {
                    self.text(text.map_or_else(|| json_scalar(key), str::to_owned).as_str())?;
                    self.push(&style.key)?;
                }
                (None, _) => {
                    self.value(key, depth + 1)?;
                    self.push(": ")?;
                }
            }
            self.value(&value.get_item(key).map_err(words)?, depth + 1)?;
        }
        self.after_items(!keys.is_empty(), depth)?;
        self.push("}")
    }

    fn before_item(&mut self, another: bool, depth: usize) -> Result<(), String> {
        if another {
            self.push(self.json.map_or(", ", |style| style.item.as_str()))?;
        }
        self.line(depth)
    }

    fn after_items(&mut self, any: bool, depth: usize) -> Result<(), String> {
        if any { self.line(depth) } else { Ok(()) }
    }

    /// A line end and the spaces after it, where JSON is indented.
    fn line(&mut self, depth: usize) -> Result<(), String> {
        let Some(indent) = self.json.and_then(|style| style.indent) else { return Ok(()) };
        let spaces = indent.checked_mul(depth).filter(|spaces| *spaces <= MAX_TEXT);
        let spaces = spaces.ok_or_else(|| format!("tojson: expected a sensible indent, found {indent}"))?;
        self.push("\n")?;
        self.push(&" ".repeat(spaces))
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        let quoted = match self.json {
            Some(style) => json_text(text, style.ensure_ascii),
            None => repr_text(text),
        };
        self.push(&quoted)
    }
}

fn words(error: minijinja::Error) -> String {
    error.to_string()
}

/// A number as `repr` has it; JSON has other names for what is not finite.
fn number(value: &Value, json: bool) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match float(f64::try_from(value.clone()).expect("a number that is not whole is a float")) {
        text if !json => text,
        text => match text.as_str() {
            "nan" => "NaN".into(),
            "inf" => "Infinity".into(),
            "-inf" => "-Infinity".into(),
            _ => text,
        },
    }
}

/// What in JSON has one form as value and as key: truth values, nothing, numbers.
fn json_scalar(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "null".into(),
        ValueKind::Number => number(value, true),
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.into(),
        _ => value.to_string(),
    }
}

/// `repr` of a text: single quotes unless only they occur inside, escapes for what cannot be printed.
fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        let written = match c {
            '\\' => write!(out, "\\\\"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            c if c == quote => write!(out, "\\{c}"),
            c if printable(c) => write!(out, "{c}"),
            '\0'..='\u{ff}' => write!(out, "\\x{:02x}", u32::from(c)),
            '\u{100}'..='\u{ffff}' => write!(out, "\\u{:04x}", u32::from(c)),
            _ => write!(out, "\\U{:08x}", u32::from(c)),
        };
        written.expect("a text takes what is written");
    }
    out.push(quote);
    out
}

/// Whether Python prints the character as it is. The standard library's escaping of debug output leaves
/// out the same Unicode categories (Cc, Cf, Cs, Co, Cn, Zl, Zp, Zs); after a first character it also
/// leaves combining marks alone, as Python does.
fn printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    c.is_alphanumeric() || format!("a{c}").escape_debug().count() == 2
}

fn json_text(text: &str, ensure_ascii: bool) -> String {
    let quoted = serde_json::to_string(text).expect("a text is JSON");
    if !ensure_ascii {
        return quoted;
    }
    let written = |c: char| match c {
        ..='~' => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    quoted.chars().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::sha256;
    use serde_json::json;

    #[test]
    fn hashes_are_made_over_python_s_text() {
        // Python: hashlib.sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode()).hexdigest()
        let doc = json!({"q": "é", "n": 1, "f": 0.5, "l": [1, "a"]});
        let golden = "c165a3f1b6db2794fe00329db4ea3af0d1d581454f320b93fd805f2d91f70deb";
        assert_eq!(sha256(dumps(&doc, Some(2))), golden);
        let odd =
            json!({"a": [], "b": {}, "c": [null, true, 1e16, 1e-5, -0.0, 3.0], "d": "\u{1}\u{7f}\t\"\\/"});
        let line = "{\"a\": [], \"b\": {}, \"c\": [null, true, 1e+16, 1e-05, -0.0, 3.0], \"d\": \"\\u0001\u{7f}\\t\\\"\\\\/\"}";
        assert_eq!(dumps(&odd, None), line);
        assert_eq!(dumps(&json!({"a": [[1], {}]}), Some(1)), "{\n \"a\": [\n  [\n   1\n  ],\n  {}\n ]\n}");
    }

    #[test]
    fn containers_print_as_python_literals() {
        let value = json!({"a": [1, 2.0, true, null, "x"], "b": {"c": []}});
        assert_eq!(repr_data(&value), "{'a': [1, 2.0, True, None, 'x'], 'b': {'c': []}}");
        assert_eq!(to_str(&Value::from("it's\n")).unwrap(), "it's\n");
    }

    #[test]
    fn a_template_s_values_are_bounded_and_data_is_not() {
        let deep = (0..100).fold(json!([]), |inner, _| json!([inner]));
        assert!(repr(&to_value(&deep)).unwrap_err().contains("64 deep"));
        assert_eq!(repr_data(&deep).len(), 202);
        let long = json!(["x".repeat(MAX_TEXT)]);
        assert!(json(&to_value(&long), &Json::new(None)).unwrap_err().contains("bytes"));
        assert_eq!(dumps(&long, None).len(), MAX_TEXT + 4);
    }
}
