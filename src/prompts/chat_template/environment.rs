//! The Jinja environment of transformers, bounded.

use std::time::SystemTime;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use regex::Regex;

use super::clock::strftime;
use super::print::{Json, json, python};

/// Work that one rendering may do: instructions, and about 64 bytes of data each.
const FUEL: u64 = 1_000_000;
/// How deep blocks and macros may nest.
const RECURSION: usize = 64;

/// An environment that holds the template.
pub(super) fn new(source: &str, now: SystemTime) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.set_formatter(|out, _, value| match value.kind() {
        ValueKind::Undefined => Ok(()),
        ValueKind::String => out.write_str(value.as_str().unwrap_or_default()).map_err(Error::from),
        _ => out.write_str(&python(value)?).map_err(Error::from),
    });
    env.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    env.add_function("strftime_now", move |format: &str| {
        strftime(format, now).map_err(|message| Error::new(ErrorKind::InvalidOperation, message))
    });
    env.add_filter("tojson", tojson);
    env.add_template_owned(super::NAME, without_generation_tags(source)?)?;
    Ok(env)
}

/// `json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<(String, String)> = match options.get::<Option<Value>>("separators")? {
        None => None,
        Some(pair) => {
            let part = |i: usize| pair.get_item(&Value::from(i)).map(|part| part.to_string());
            Some((part(0)?, part(1)?))
        }
    };
    let ensure_ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let default = (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
    let (item, key) = separators.unwrap_or(default);
    json(value, &Json { indent, item, key, ensure_ascii, sort_keys })
}

/// The template without the `{% generation %}` tags, which mark the trained text and print nothing. What they trim
/// around them stays trimmed.
fn without_generation_tags(source: &str) -> Result<String, Error> {
    let invalid = |error: regex::Error| Error::new(ErrorKind::InvalidOperation, error.to_string());
    let open = Regex::new(r"\{%([-+]?)\s*generation\s*([-+]?)%\}").map_err(invalid)?;
    let close = Regex::new(r"\{%([-+]?)\s*endgeneration\s*([-+]?)%\}").map_err(invalid)?;
    let opened = open.replace_all(source, "{%$1 if true $2%}");
    Ok(close.replace_all(&opened, "{%$1 endif $2%}").into_owned())
}
