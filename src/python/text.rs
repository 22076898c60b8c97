//! Methods of Python's text and lists that templates call, with Python's meaning of white space.
//!
//! Source: the Python library reference, "Text Sequence Type" and "Common Sequence Operations".

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

/// Whether Python's `str.isspace` holds: Unicode white space and the four ASCII separators.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// How many pieces `re.split(r"\s+", text)` gives: runs of white space separate, empty pieces count.
pub fn count_split_by_space(text: &str) -> usize {
    let mut pieces = 1usize;
    let mut inside = false;
    for c in text.chars() {
        let space = is_space(c);
        pieces = pieces.saturating_add(usize::from(space && !inside));
        inside = space;
    }
    pieces
}

/// `str.capitalize()`: the first character in title case, all others in lower case.
pub fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    // Lower-cased as a whole, since a final sigma depends on what stands before it.
    let lower_first: usize = first.to_lowercase().map(char::len_utf8).sum();
    let lower = text.to_lowercase();
    let mut out = titlecase(first);
    out.push_str(lower.get(lower_first..).unwrap_or_default());
    out
}

/// Title case of one character: upper case, but of several letters only the first is upper.
fn titlecase(c: char) -> String {
    match c {
        'Ǆ'..='ǆ' => return "ǅ".into(),
        'Ǉ'..='ǉ' => return "ǈ".into(),
        'Ǌ'..='ǌ' => return "ǋ".into(),
        'Ǳ'..='ǳ' => return "ǲ".into(),
        // Georgian letters have capitals but no title case.
        '\u{10d0}'..='\u{10ff}' => return c.into(),
        _ => {}
    }
    let mut upper = c.to_uppercase();
    let first = upper.next().unwrap_or(c);
    let rest: String = upper.collect();
    if first.is_uppercase() && rest.chars().all(char::is_alphabetic) {
        return format!("{first}{}", rest.to_lowercase());
    }
    format!("{first}{rest}")
}

/// Called for every method that a value does not have by itself.
///
/// # Errors
/// Unknown methods and wrong arguments, as template errors.
pub fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let handled = match value.kind() {
        ValueKind::String => text_method(value.as_str().unwrap_or_default(), name, args)?,
        ValueKind::Seq | ValueKind::Iterable if name == "index" => Some(list_index(value, args)?),
        _ => None,
    };
    match handled {
        Some(result) => Ok(result),
        None => pycompat::unknown_method_callback(state, value, name, args),
    }
}

fn text_method(text: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (set,): (Option<&str>,) = from_args(args)?;
            let cut = |c: char| set.map_or_else(|| is_space(c), |set| set.contains(c));
            Value::from(match name {
                "strip" => text.trim_matches(cut),
                "lstrip" => text.trim_start_matches(cut),
                _ => text.trim_end_matches(cut),
            })
        }
        "split" => {
            let (separator, limit): (Option<&str>, Option<i64>) = from_args(args)?;
            let limit = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
            Value::from(split(text, separator, limit)?)
        }
        "capitalize" => {
            let () = from_args(args)?;
            Value::from(capitalize(text))
        }
        "index" => {
            let (what,): (&str,) = from_args(args)?;
            let at = text.find(what).and_then(|at| text.get(..at));
            let at = at.ok_or_else(|| invalid(format!("{what:?} does not occur in the text")))?;
            Value::from(at.chars().count())
        }
        "isspace" => {
            let () = from_args(args)?;
            Value::from(!text.is_empty() && text.chars().all(is_space))
        }
        "join" => {
            let (items,): (&Value,) = from_args(args)?;
            let mut parts = Vec::new();
            for item in items.try_iter()?.checked() {
                let item = item?;
                let part = item.as_str().ok_or_else(|| invalid("join takes only texts"))?;
                parts.push(part.to_owned());
            }
            Value::from(parts.join(text))
        }
        _ => return Ok(None),
    }))
}

/// `str.split`: without a separator, runs of white space separate and empty pieces vanish.
fn split(text: &str, separator: Option<&str>, limit: usize) -> Result<Vec<String>, Error> {
    if let Some(separator) = separator {
        if separator.is_empty() {
            return Err(invalid("split needs a separator that is not empty"));
        }
        return Ok(text.splitn(limit.saturating_add(1), separator).map(str::to_owned).collect());
    }
    let mut pieces = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        if pieces.len() == limit {
            pieces.push(rest.to_owned());
            break;
        }
        let (piece, tail) = rest.split_once(is_space).unwrap_or((rest, ""));
        pieces.push(piece.to_owned());
        rest = tail.trim_start_matches(is_space);
    }
    Ok(pieces)
}

fn list_index(list: &Value, args: &[Value]) -> Result<Value, Error> {
    let (what,): (&Value,) = from_args(args)?;
    for (i, item) in list.try_iter()?.checked().enumerate() {
        if item? == *what {
            return Ok(Value::from(i));
        }
    }
    Err(invalid(format!("{} is not in the list {}", super::repr::repr(what), super::repr::repr(list))))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitalize_is_pythons() {
        for (text, wanted) in [
            ("", ""),
            ("hE SAID", "He said"),
            ("éTÉ", "Été"),
            ("ßx", "Ssx"),
            ("ǆX", "ǅx"),
            ("ΑΣ", "Ας"),
            ("1ABC", "1abc"),
            ("ŉA", "ʼNa"),
        ] {
            assert_eq!(capitalize(text), wanted);
        }
    }

    #[test]
    fn split_with_and_without_separator() {
        assert_eq!(split(" a  b ", Some(" "), usize::MAX).unwrap(), ["", "a", "", "b", ""]);
        assert_eq!(split(" a \u{1c} b ", None, usize::MAX).unwrap(), ["a", "b"]);
        assert_eq!(split(" a b  c ", None, 1).unwrap(), ["a", "b  c "]);
        assert_eq!(split("a,b,c", Some(","), 1).unwrap(), ["a", "b,c"]);
        assert!(split("a", Some(""), 1).is_err());
    }

    #[test]
    fn pieces_between_white_space_are_counted() {
        // Python: len(re.split(r"\s+", text))
        for (text, wanted) in [("", 1), ("a", 1), ("a  b", 2), (" a ", 3), ("\n\u{1c}", 2)] {
            assert_eq!(count_split_by_space(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn strip_takes_unicode_space_and_separators() {
        assert_eq!(strip("\u{3000}\u{1f} x\u{a0}\n"), "x");
    }
}
