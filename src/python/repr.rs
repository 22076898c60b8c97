//! Values printed as Python prints them: `str` and `repr` of text, numbers, lists and dictionaries.
//!
//! Prompts of the reference harness are made by Python, where a list in a template prints as its `repr`
//! and `true` prints as `True`. Source: the Python language reference, `repr` of `str` and `float`.

use minijinja::Value;
use minijinja::value::ValueKind;

/// Values nested deeper are printed as `...`.
const MAX_DEPTH: usize = 64;

/// `str(value)`: text as it is, everything else as [`repr`].
pub fn to_str(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => repr(value),
    }
}

/// `repr(value)`.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    if depth > MAX_DEPTH {
        out.push_str("...");
        return;
    }
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(number) => out.push_str(&float(number)),
            Err(_) => out.push_str(&value.to_string()),
        },
        ValueKind::String => string(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let tuple = value.is_tuple();
            out.push(if tuple { '(' } else { '[' });
            let mut count = 0usize;
            for item in value.try_iter().into_iter().flatten() {
                if count > 0 {
                    out.push_str(", ");
                }
                write(out, &item, depth + 1);
                count += 1;
            }
            if tuple && count == 1 {
                out.push(',');
            }
            out.push(if tuple { ')' } else { ']' });
        }
        ValueKind::Map => {
            out.push('{');
            for (i, key) in value.try_iter().into_iter().flatten().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(out, &key, depth + 1);
                out.push_str(": ");
                write(out, &value.get_item(&key).unwrap_or_default(), depth + 1);
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
}

/// `repr` of a text: single quotes unless only they occur inside, escapes for what cannot be printed.
fn string(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c if printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

/// Whether Python prints the character as it is. The standard library's escaping of debug output leaves
/// out the same Unicode categories (Cc, Cf, Cs, Co, Cn, Zl, Zp, Zs); after a first character it also
/// leaves combining marks alone, as Python does.
fn printable(c: char) -> bool {
    if c.is_alphanumeric() {
        return true;
    }
    let mut text = String::from('a');
    text.push(c);
    text.escape_debug().count() == 2
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
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: serde_json::Value) -> String {
        repr(&crate::python::jinja::to_value(&value))
    }

    #[test]
    fn containers_print_as_python_literals() {
        let value = json!({"a": [1, 2.0, true, null, "x"], "b": {"c": []}});
        assert_eq!(shown(value), "{'a': [1, 2.0, True, None, 'x'], 'b': {'c': []}}");
    }

    #[test]
    fn quotes_and_escapes_follow_python() {
        assert_eq!(shown(json!(["it's"])), "[\"it's\"]");
        assert_eq!(shown(json!(["it's \"so\""])), "['it\\'s \"so\"']");
        assert_eq!(
            shown(json!(["a\\b\n\t\u{7}\u{a0}é中e\u{301}\u{200b}"])),
            "['a\\\\b\\n\\t\\x07\\xa0é中e\u{301}\\u200b']"
        );
        assert_eq!(to_str(&Value::from("it's\n")), "it's\n");
    }

    #[test]
    fn floats_print_shortest() {
        let cases = [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-2.5, "-2.5"),
            (-0.0, "-0.0"),
        ];
        for (number, wanted) in cases {
            assert_eq!(float(number), wanted);
        }
    }
}
