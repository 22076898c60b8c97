//! Methods that templates call on texts and lists, with Python's meaning.
//!
//! What is the same in Python and in Rust is left to `minijinja_contrib::pycompat`. Methods pay for what they read, and do not
//! make what the template's fuel would not pay for.

use std::sync::LazyLock;

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;
use regex::Regex;

use super::bounded::{SLOT, charge, ensure, measure, search};
use super::filters::{cut_of, joined};
use super::formats::{ensure_keys, fields};
use crate::python::print;
use crate::python::text::{capitalize, is_case, is_space, split, split_lines, title};

/// Called for every method that a value does not have by itself.
///
/// # Errors
/// Unknown methods and wrong arguments, as template errors.
pub fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let handled = match (value.as_str(), value.kind()) {
        (Some(text), _) => {
            charge(state, text.len())?;
            ensure(state, size_after(state, text, name, args)?)?;
            text_method(state, text, name, args)?
        }
        (None, ValueKind::Seq | ValueKind::Iterable) => {
            charge(state, value.len().unwrap_or(0).saturating_mul(SLOT))?;
            match name {
                "index" => Some(list_index(state, value, args)?),
                "count" => Some(list_count(state, value, args)?),
                _ => None,
            }
        }
        (None, ValueKind::Map) => {
            // A key is read to find its place.
            args.iter().take(1).try_for_each(|key| measure(state, key, true).map(|_| ()))?;
            None
        }
        _ => None,
    };
    match handled {
        Some(result) => Ok(result),
        None => pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// How many bytes a method of a text makes at most.
fn size_after(state: &State<'_, '_>, text: &str, name: &str, args: &[Value]) -> Result<usize, Error> {
    let all = text.len();
    Ok(match name {
        // Every second character may be a piece, or every character if the separator is one.
        "split" | "splitlines" => all.saturating_mul(SLOT),
        "replace" => match (args.first().and_then(Value::as_str), args.get(1).and_then(Value::as_str)) {
            (Some(old), Some(new)) => all.saturating_add(text.matches(old).count().saturating_mul(new.len())),
            _ => all,
        },
        "format" => {
            ensure_keys(text, b'{', *b"[]")?;
            let sizes = args.iter().map(|arg| measure(state, arg, true));
            let largest = sizes.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or(0);
            let (fields, widths) = fields(text);
            all.saturating_add(widths).saturating_add(largest.saturating_mul(fields))
        }
        "startswith" | "endswith" => {
            args.iter().try_for_each(|arg| measure(state, arg, true).map(|_| ()))?;
            all
        }
        // Letters of other scripts may become three.
        _ => all.saturating_mul(3),
    })
}

fn text_method(
    state: &State<'_, '_>,
    text: &str,
    name: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    Ok(Some(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (set,): (Option<&str>,) = from_args(args)?;
            let cut = cut_of(set)?;
            Value::from(match name {
                "strip" => text.trim_matches(&cut),
                "lstrip" => text.trim_start_matches(&cut),
                _ => text.trim_end_matches(&cut),
            })
        }
        "split" => {
            let (separator, limit): (Option<&str>, Option<i64>) = from_args(args)?;
            // A negative number stands for no limit.
            let limit = limit.and_then(|n| usize::try_from(n).ok());
            match (separator, limit) {
                (Some(""), _) => return Err(invalid("split needs a separator that is not empty")),
                (Some(separator), Some(limit)) => text.splitn(limit + 1, separator).collect(),
                (Some(separator), None) => text.split(separator).collect(),
                (None, limit) => split(text, limit.unwrap_or(usize::MAX)).into_iter().collect(),
            }
        }
        "splitlines" => {
            let (keep_ends,): (Option<bool>,) = from_args(args)?;
            split_lines(text, keep_ends.unwrap_or(false)).into_iter().collect()
        }
        "capitalize" | "title" => {
            let () = from_args(args)?;
            Value::from(if name == "title" { title(text) } else { capitalize(text) })
        }
        "index" => {
            let (what,): (&str,) = from_args(args)?;
            let at = text.find(what);
            let at = at.ok_or_else(|| invalid(format!("{what:?} does not occur in the text")))?;
            Value::from(text[..at].chars().count())
        }
        "isspace" => {
            let () = from_args(args)?;
            Value::from(!text.is_empty() && text.chars().all(is_space))
        }
        "islower" | "isupper" => {
            let () = from_args(args)?;
            Value::from(is_case(
                text,
                if name == "islower" { char::is_lowercase } else { char::is_uppercase },
            ))
        }
        "isalpha" | "isalnum" | "isdecimal" | "isdigit" => {
            let () = from_args(args)?;
            let class = CLASSES.iter().find(|(known, _)| *known == name).map(|(_, class)| class);
            Value::from(class.expect("each of these methods has a class").is_match(text))
        }
        "isnumeric" if !text.is_ascii() => return Err(invalid("isnumeric is known for ASCII texts only")),
        "join" => {
            let (items,): (&Value,) = from_args(args)?;
            Value::from(joined(state, items, text, |_, item| {
                item.as_str().map(str::to_owned).ok_or_else(|| invalid("join takes only texts"))
            })?)
        }
        _ => return Ok(None),
    }))
}

/// Which characters a text must have only, and at least one of, for a method to say yes. Digits that are no decimal
/// ones (Unicode's numeric type "digit") are listed.
static CLASSES: LazyLock<[(&str, Regex); 4]> = LazyLock::new(|| {
    let class = |set: &str| Regex::new(&format!("^[{set}]+$")).expect("a class of characters");
    let digits = "²³¹፩-፱᧚⁰⁴-⁹₀-₉①-⑨⑴-⑼⒈-⒐⓪⓵-⓽⓿❶-❾➀-➈➊-➒𐩀-𐩃𐹠-𐹨𑁒-𑁚🄀-🄊";
    [
        ("isalpha", class(r"\p{L}")),
        ("isalnum", class(r"\p{L}\p{N}")),
        ("isdecimal", class(r"\p{Nd}")),
        ("isdigit", class(&format!(r"\p{{Nd}}{digits}"))),
    ]
});

fn list_count(state: &State<'_, '_>, list: &Value, args: &[Value]) -> Result<Value, Error> {
    let (what,): (&Value,) = from_args(args)?;
    let mut count = 0_u64;
    search(state, list, what, |_| {
        count += 1;
        false
    })?;
    Ok(Value::from(count))
}

fn list_index(state: &State<'_, '_>, list: &Value, args: &[Value]) -> Result<Value, Error> {
    let (what,): (&Value,) = from_args(args)?;
    let mut first = None;
    search(state, list, what, |place| {
        first = Some(place);
        true
    })?;
    if let Some(place) = first {
        return Ok(Value::from(place));
    }
    // Both are shown.
    measure(state, list, true)?;
    let shown = |value| print::repr(value).map_err(invalid);
    Err(invalid(format!("{} is not in the list {}", shown(what)?, shown(list)?)))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
