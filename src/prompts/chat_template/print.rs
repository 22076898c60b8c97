//! Values as Python prints them, and as `json.dumps` writes them. Bounded: a template can nest a list in itself
//! by reference, and its text would double with every level.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// The longest text of one value, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// The deepest nesting of lists and maps.
const MAX_DEPTH: usize = 64;

/// How JSON is written.
pub(super) struct Json {
    /// Spaces per level; `None`: all in one line.
    pub indent: Option<usize>,
    /// Between items.
    pub item: String,
    /// Between key and value.
    pub key: String,
    /// Whether everything beyond ASCII is escaped.
    pub ensure_ascii: bool,
    /// Whether keys are sorted.
    pub sort_keys: bool,
}

/// The value as JSON.
///
/// Errors: an undefined value, an object that is no list or map, a text too long or too deep.
pub(super) fn json(value: &Value, style: &Json) -> Result<String, Error> {
    let mut printer = Printer { out: String::new(), json: Some(style) };
    printer.value(value, 0)?;
    Ok(printer.out)
}

/// The value as Python's `str` gives it; texts inside lists and maps are quoted.
///
/// Errors: a text too long or too deep.
pub(super) fn python(value: &Value) -> Result<String, Error> {
    let mut printer = Printer { out: String::new(), json: None };
    printer.value(value, 0)?;
    Ok(printer.out)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

struct Printer<'a> {
    out: String,
    json: Option<&'a Json>,
}

impl Printer<'_> {
    fn push(&mut self, text: &str) -> Result<(), Error> {
        if self.out.len().saturating_add(text.len()) > MAX_TEXT {
            return Err(invalid(format!("expected a value of at most {MAX_TEXT} bytes as text, found more")));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(invalid(format!("expected values nested at most {MAX_DEPTH} deep, found more")));
        }
        match value.kind() {
            ValueKind::Undefined if self.json.is_some() => {
                Err(invalid("tojson: expected a value, found an undefined one".to_owned()))
            }
            ValueKind::None => self.push(if self.json.is_some() { "null" } else { "None" }),
            ValueKind::Bool => self.push(match (value.is_true(), self.json.is_some()) {
                (true, true) => "true",
                (false, true) => "false",
                (true, false) => "True",
                (false, false) => "False",
            }),
            ValueKind::Number => self.push(&value.to_string()),
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => self.sequence(value, depth),
            ValueKind::Map => self.map(value, depth),
            kind if self.json.is_some() => Err(invalid(format!("tojson: expected plain data, found {kind}"))),
            _ => self.push(&value.to_string()),
        }
    }

    fn sequence(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.push("[")?;
        let mut any = false;
        for item in value.try_iter()?.checked() {
            let item = item?;
            self.before_item(any, depth + 1)?;
            any = true;
            self.value(&item, depth + 1)?;
        }
        self.after_items(any, depth)?;
        self.push("]")
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.push("{")?;
        let mut keys: Vec<Value> = value.try_iter()?.checked().collect::<Result<_, _>>()?;
        if self.json.is_some_and(|style| style.sort_keys) {
            keys.sort();
        }
        let any = !keys.is_empty();
        for (i, key) in keys.iter().enumerate() {
            self.before_item(i > 0, depth + 1)?;
            match self.json {
                Some(style) => {
                    self.text(&key.to_string())?;
                    self.push(&style.key)?;
                }
                None => {
                    self.value(key, depth + 1)?;
                    self.push(": ")?;
                }
            }
            self.value(&value.get_item(key)?, depth + 1)?;
        }
        self.after_items(any, depth)?;
        self.push("}")
    }

    fn before_item(&mut self, another: bool, depth: usize) -> Result<(), Error> {
        let Some(style) = self.json else {
            return if another { self.push(", ") } else { Ok(()) };
        };
        if another {
            self.push(&style.item)?;
        }
        self.line(style.indent, depth)
    }

    fn after_items(&mut self, any: bool, depth: usize) -> Result<(), Error> {
        match self.json {
            Some(style) if any => self.line(style.indent, depth),
            _ => Ok(()),
        }
    }

    fn line(&mut self, indent: Option<usize>, depth: usize) -> Result<(), Error> {
        let Some(indent) = indent else { return Ok(()) };
        self.push("\n")?;
        let spaces = indent.saturating_mul(depth);
        if spaces > MAX_TEXT {
            return Err(invalid(format!("tojson: expected a sensible indent, found {indent}")));
        }
        self.push(&" ".repeat(spaces))
    }

    fn text(&mut self, text: &str) -> Result<(), Error> {
        let json = self.json.is_some();
        let ascii = self.json.is_some_and(|style| style.ensure_ascii);
        let quote = if json || (text.contains('\'') && !text.contains('"')) { "\"" } else { "'" };
        self.push(quote)?;
        for c in text.chars() {
            match c {
                '\n' => self.push("\\n")?,
                '\r' => self.push("\\r")?,
                '\t' => self.push("\\t")?,
                '\\' => self.push("\\\\")?,
                '\u{8}' if json => self.push("\\b")?,
                '\u{c}' if json => self.push("\\f")?,
                '"' | '\'' if quote.starts_with(c) => {
                    self.push("\\")?;
                    self.push(quote)?;
                }
                c if c < ' ' && json || ascii && !c.is_ascii() => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.push(&format!("\\u{unit:04x}"))?;
                    }
                }
                c if c < ' ' || c == '\u{7f}' && !json => self.push(&format!("\\x{:02x}", u32::from(c)))?,
                c => self.push(c.encode_utf8(&mut [0; 4]))?,
            }
        }
        self.push(quote)
    }
}
