//! Template filters with the meaning they have in Python's Jinja, and lm-evaluation-harness's `regex_replace`.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value, filters};

use super::bounded::SLOT;
use super::formats::ensure_keys;
use super::{Program, bounded, invalid, text_of};
use crate::python::print::{Json, json};
use crate::python::regex::PyRegex;
use crate::python::text::{capitalize, is_space, strip, without_underscores};

/// The most bytes of characters that are to be trimmed.
const MAX_TRIMMED: usize = 1 << 10;

/// Adds the filters to an environment.
pub fn install(env: &mut Environment<'static>, program: Program) {
    env.add_filter("string", text_of);
    env.add_filter("trim", trim);
    env.add_filter("capitalize", |state: &State<'_, '_>, value: &Value| {
        text_of(state, value).map(|text| capitalize(&text))
    });
    env.add_filter("join", join);
    env.add_filter("format", |state: &mut State<'_, '_>, text: &Value, values: Rest<ValueOrKwargs>| {
        text.as_str().map_or(Ok(()), |text| ensure_keys(text, b'%', *b"()"))?;
        filters::format(state, text, values)
    });
    env.add_filter("int", int);
    env.add_filter("regex_replace", regex_replace);
    match program {
        Program::LmEval => env.add_filter("tojson", html_tojson),
        Program::Transformers => env.add_filter("tojson", tojson),
    }
}

fn trim(state: &State<'_, '_>, value: &Value, chars: Option<&str>) -> Result<String, Error> {
    let text = text_of(state, value)?;
    Ok(text.trim_matches(&cut_of(chars)?).to_owned())
}

/// Which characters are trimmed: those that are given, or white space.
///
/// # Errors
/// More characters than anybody names, each of which would be looked for in all of them.
pub fn cut_of(chars: Option<&str>) -> Result<impl Fn(char) -> bool, Error> {
    if let Some(chars) = chars.filter(|chars| chars.len() > MAX_TRIMMED) {
        let found = chars.len();
        return Err(invalid(format!(
            "expected at most {MAX_TRIMMED} bytes of characters to trim, found {found}"
        )));
    }
    Ok(move |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c)))
}

fn join(
    state: &State<'_, '_>,
    items: &Value,
    separator: Option<String>,
    options: Kwargs,
) -> Result<String, Error> {
    if items.is_none() || items.is_undefined() && state.undefined_behavior() == UndefinedBehavior::Strict {
        return Err(Error::new(ErrorKind::UndefinedError, "join over an undefined value"));
    }
    // Nothing stands between the items unless something is given.
    let separator = separator.or(options.get("d")?).unwrap_or_default();
    options.assert_all_used()?;
    joined(state, items, &separator, text_of)
}

/// The texts of a list's items with a separator between them, paid for as it grows.
pub fn joined(
    state: &State<'_, '_>,
    items: &Value,
    separator: &str,
    text_of: impl Fn(&State<'_, '_>, &Value) -> Result<String, Error>,
) -> Result<String, Error> {
    let mut text = String::new();
    for (i, item) in items.try_iter()?.checked().enumerate() {
        let item = text_of(state, &item?)?;
        // Reading the item is paid for too, since a list may have any number of empty ones.
        bounded::charge(state, item.len() + SLOT)?;
        bounded::ensure(state, text.len() + separator.len() + item.len())?;
        text.push_str(if i > 0 { separator } else { "" });
        text.push_str(&item);
    }
    Ok(text)
}

/// A whole number, or the default (0) if the value is none.
fn int(value: &Value, default: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0));
    options.assert_all_used()?;
    let read = match (value.kind(), value.as_str()) {
        (ValueKind::Undefined, _) => return Err(Error::from(ErrorKind::UndefinedError)),
        (ValueKind::Bool, _) => Some(Value::from(i64::from(value.is_true()))),
        (ValueKind::Number, _) if value.is_integer() => Some(value.clone()),
        (ValueKind::Number, _) => truncated(f64::try_from(value.clone())?)?,
        (_, Some(text)) => match without_underscores(strip(text)) {
            Some(plain) => whole(&plain)?,
            None => None,
        },
        _ => None,
    };
    Ok(read.unwrap_or(default))
}

/// The whole number that a text spells, or the whole part of the number that it spells; none for other texts.
fn whole(text: &str) -> Result<Option<Value>, Error> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    match text.parse::<i128>() {
        Ok(number) => Ok(Some(shortest(number))),
        Err(error) if matches!(error.kind(), NegOverflow | PosOverflow) => Err(too_large(text)),
        Err(_) => text.parse::<f64>().map_or(Ok(None), truncated),
    }
}

/// The whole part of a number that has one.
fn truncated(number: f64) -> Result<Option<Value>, Error> {
    // 2¹²⁷ is a number of both kinds.
    let end = -(i128::MIN as f64);
    match number.trunc() {
        whole if !whole.is_finite() => Ok(None),
        whole if whole >= -end && whole < end => Ok(Some(shortest(whole as i128))),
        _ => Err(too_large(&number.to_string())),
    }
}

/// In 64 bits where they are enough, as numbers of documents are.
fn shortest(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

fn too_large(number: &str) -> Error {
    invalid(format!("int: expected a number of at most 128 bits, found {number}"))
}

/// `re.sub(pattern, replacement, text, count)`.
fn regex_replace(
    text: &Value,
    pattern: &str,
    replacement: &str,
    count: Option<usize>,
    options: Kwargs,
) -> Result<String, Error> {
    let count = count.or(options.get("count")?).unwrap_or(0);
    options.assert_all_used()?;
    let text = text.as_str().ok_or_else(|| invalid("regex_replace: expected a text".into()))?;
    let replaced = PyRegex::of_template(pattern).and_then(|regex| regex.sub(replacement, text, count));
    replaced.map_err(|error| invalid(format!("regex_replace: {error}")))
}

/// Jinja's own `tojson`: safe inside of HTML.
fn html_tojson(value: &Value, indent: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let indent = indent.or(options.get("indent")?);
    options.assert_all_used()?;
    let style = Json { ensure_ascii: true, sort_keys: true, ..Json::new(indent) };
    let mut text = json(value, &style).map_err(invalid)?;
    for (from, to) in [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("'", "\\u0027")] {
        text = text.replace(from, to);
    }
    Ok(text)
}

/// `json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let mut style = Json::new(options.get("indent")?);
    if let Some(pair) = options.get::<Option<Value>>("separators")? {
        let part = |i: usize| pair.get_item(&Value::from(i)).map(|part| part.to_string());
        (style.item, style.key) = (part(0)?, part(1)?);
    }
    style.ensure_ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    style.sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    json(value, &style).map_err(invalid)
}
