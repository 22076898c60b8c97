//! Template filters with the meaning they have in Python's Jinja, and `regex_replace`.

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};

use crate::python::repr::to_str;
use crate::python::text::{capitalize, strip};

/// A compiled pattern may take this much memory.
const REGEX_BYTES: usize = 1 << 20;

/// Adds the filters to an environment.
pub fn install(env: &mut Environment<'static>) {
    env.add_filter("string", |value: &Value| to_str(value));
    env.add_filter("trim", |value: &Value| strip(&to_str(value)).to_owned());
    env.add_filter("capitalize", |value: &Value| capitalize(&to_str(value)));
    env.add_filter("join", join);
    env.add_filter("int", int);
    env.add_filter("regex_replace", regex_replace);
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn join(items: &Value, separator: Option<&str>) -> Result<String, Error> {
    let mut out = String::new();
    for (i, item) in items.try_iter()?.checked().enumerate() {
        let item = item?;
        if item.is_undefined() {
            return Err(Error::new(ErrorKind::UndefinedError, "join over an undefined value"));
        }
        if i > 0 {
            out.push_str(separator.unwrap_or_default());
        }
        out.push_str(&to_str(&item));
    }
    Ok(out)
}

/// A whole number, or the default (0) if the value is none.
fn int(value: &Value, default: Option<&Value>) -> Result<Value, Error> {
    let fallback = || default.cloned().unwrap_or_else(|| Value::from(0));
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        ValueKind::Number if value.is_integer() => value.clone(),
        ValueKind::Number => f64::try_from(value.clone()).ok().map_or_else(fallback, truncated),
        ValueKind::String => {
            let text = strip(value.as_str().unwrap_or_default());
            match text.parse::<i64>() {
                Ok(number) => Value::from(number),
                Err(_) => text.parse::<f64>().ok().filter(|f| f.is_finite()).map_or_else(fallback, truncated),
            }
        }
        _ => fallback(),
    })
}

#[allow(clippy::cast_possible_truncation)] // saturates at the ends of 64 bits
fn truncated(number: f64) -> Value {
    Value::from(number.trunc() as i64)
}

/// `re.sub(pattern, replacement, text, count)`.
fn regex_replace(text: &Value, pattern: &str, replacement: &str, rest: Rest<Value>) -> Result<String, Error> {
    let count = rest.first().and_then(Value::as_usize).unwrap_or(0);
    let regex = regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES).build().map_err(|e| {
        invalid(format!("regex_replace: {e} (look-around and back-references are not supported)"))
    })?;
    let text = to_str(text);
    let expand = |found: &regex::Captures<'_>| expand(replacement, found);
    // The replacement is checked on the first match, where its groups are known.
    if let Some(found) = regex.captures(&text) {
        expand(&found).map_err(invalid)?;
    }
    Ok(regex
        .replacen(&text, count, |found: &regex::Captures<'_>| expand(found).unwrap_or_default())
        .into_owned())
}

/// Python's replacement syntax: `\1`, `\g<1>`, `\g<name>`, `\n`, `\\`.
fn expand(replacement: &str, found: &regex::Captures<'_>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = replacement;
    while let Some(at) = rest.find('\\') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let tail = tail.get(1..).unwrap_or_default();
        let c = tail.chars().next().ok_or("regex_replace: the replacement ends in a single \\")?;
        let (group, used) = match c {
            'g' => {
                let name = tail.strip_prefix("g<").and_then(|t| t.split_once('>')).map(|(name, _)| name);
                let name = name.ok_or("regex_replace: expected \\g<name> in the replacement")?;
                (name.to_owned(), name.len() + 3)
            }
            '1'..='9' => {
                let digits: String = tail.chars().take(2).take_while(char::is_ascii_digit).collect();
                let used = digits.len();
                (digits, used)
            }
            'n' | 't' | 'r' | '\\' => {
                out.push(match c {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    _ => '\\',
                });
                rest = tail.get(1..).unwrap_or_default();
                continue;
            }
            other => return Err(format!("regex_replace: \\{other} is not known in a replacement")),
        };
        let known = match group.parse::<usize>() {
            Ok(number) => (number < found.len()).then(|| found.get(number)),
            Err(_) => found.name(&group).map(Some),
        };
        let text = known.ok_or_else(|| format!("regex_replace: the pattern has no group {group}"))?;
        out.push_str(text.map(|m| m.as_str()).unwrap_or_default());
        rest = tail.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}
