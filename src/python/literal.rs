//! Python literals read back: lists, tuples, dictionaries, text, numbers, `True`, `False`, `None`.
//!
//! A rendered `doc_to_choice` is such a literal (a list printed by Python). The grammar is that of
//! `ast.literal_eval` in the Python library reference, without bytes, sets, complex numbers and comments.

use serde_json::{Map, Number, Value};

use super::text::{escaped, without_underscores};

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 64;

/// Reads one literal that fills the whole text; white space around it is allowed.
///
/// # Errors
/// A sentence that names the byte and what was expected there.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.expected("the end of the text"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> String {
        let found: String = self.rest().chars().take(20).collect();
        format!("not a Python literal: at byte {} expected {what}, found {found:?}", self.at)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("nested more than {MAX_DEPTH} deep"));
        }
        match self.peek() {
            Some('[') => self.sequence("[", ']', depth).map(|(items, _)| Value::Array(items)),
            Some('(') => {
                let (mut items, commas) = self.sequence("(", ')', depth)?;
                // One value in parentheses without a comma is that value.
                match (items.len(), commas) {
                    (1, 0) => items.pop().ok_or_else(|| self.expected("a value")),
                    _ => Ok(Value::Array(items)),
                }
            }
            Some('{') => self.dictionary(depth),
            Some('\'' | '"') => self.texts(),
            Some('u' | 'U' | 'r' | 'R') if self.rest().get(1..2).is_some_and(|q| q == "'" || q == "\"") => {
                self.texts()
            }
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => self.number(),
            _ => self.word(),
        }
    }

    fn sequence(&mut self, open: &str, close: char, depth: usize) -> Result<(Vec<Value>, usize), String> {
        self.eat(open);
        let mut items = Vec::new();
        let mut commas = 0;
        loop {
            self.space();
            if self.peek() == Some(close) {
                self.take();
                return Ok((items, commas));
            }
            if items.len() > commas {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if self.eat(",") {
                commas += 1;
            }
        }
    }

    fn dictionary(&mut self, depth: usize) -> Result<Value, String> {
        self.eat("{");
        let mut map = Map::new();
        let mut more = true;
        loop {
            self.space();
            if self.eat("}") {
                return Ok(Value::Object(map));
            }
            if !more {
                return Err(self.expected("`,` or `}`"));
            }
            let key = match self.value(depth + 1)? {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                _ => return Err(self.expected("a key that is a text or a number")),
            };
            self.space();
            if !self.eat(":") {
                return Err(self.expected("`:`"));
            }
            self.space();
            map.insert(key, self.value(depth + 1)?);
            self.space();
            more = self.eat(",");
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        for (word, value) in
            [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)]
        {
            let ends = !self.rest().chars().nth(word.len()).is_some_and(|c| c.is_alphanumeric() || c == '_');
            if ends && self.eat(word) {
                return Ok(value);
            }
        }
        Err(self.expected("a value"))
    }

    fn number(&mut self) -> Result<Value, String> {
        let length = self
            .rest()
            .char_indices()
            .find(|(i, c)| {
                let after_exponent = matches!(c, '-' | '+')
                    && self.rest().get(..*i).is_some_and(|s| s.is_empty() || s.ends_with(['e', 'E']));
                !(c.is_ascii_digit() || matches!(c, '.' | '_' | 'e' | 'E') || after_exponent)
            })
            .map_or(self.rest().len(), |(i, _)| i);
        let written = without_underscores(&self.rest()[..length]);
        let written =
            written.ok_or_else(|| self.expected("a number with underscores only between digits"))?;
        let unsigned = written.trim_start_matches(['-', '+']);
        let leading_zero =
            unsigned.len() > 1 && unsigned.starts_with('0') && !unsigned.contains(['.', 'e', 'E']);
        if leading_zero && unsigned.contains(|c| c != '0') {
            return Err(self.expected("a number without leading zeros"));
        }
        let number = match written.parse::<i64>() {
            Ok(integer) => Some(Number::from(integer)),
            Err(_) if written.parse::<u64>().is_ok() => written.parse::<u64>().ok().map(Number::from),
            Err(_) if written.contains(['.', 'e', 'E']) => {
                written.parse::<f64>().ok().and_then(Number::from_f64)
            }
            Err(_) => None,
        };
        let number = number.ok_or_else(|| self.expected("a number of at most 64 bits"))?;
        self.at += length;
        Ok(Value::Number(number))
    }

    /// One text, or several side by side, which Python joins.
    fn texts(&mut self) -> Result<Value, String> {
        let mut out = String::new();
        loop {
            self.text_into(&mut out)?;
            let here = self.at;
            self.space();
            if !matches!(self.peek(), Some('\'' | '"')) {
                self.at = here;
                return Ok(Value::String(out));
            }
        }
    }

    fn text_into(&mut self, out: &mut String) -> Result<(), String> {
        let raw = matches!(self.peek(), Some('r' | 'R'));
        if matches!(self.peek(), Some('r' | 'R' | 'u' | 'U')) {
            self.take();
        }
        let quote = self.take().ok_or_else(|| self.expected("a quote"))?;
        let long = String::from(quote).repeat(3);
        let (close, multiline) = if self.rest().starts_with(&long[1..]) {
            self.at += 2;
            (long, true)
        } else {
            (String::from(quote), false)
        };
        loop {
            if self.eat(&close) {
                return Ok(());
            }
            match self.take() {
                None => return Err(self.expected(&format!("a closing {close}"))),
                Some('\n') if !multiline => return Err(self.expected("no line end inside a text")),
                Some('\\') if raw => {
                    out.push('\\');
                    out.extend(self.take());
                }
                Some('\\') => self.escape(out)?,
                Some(c) => out.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), String> {
        let c = self.take().ok_or_else(|| self.expected("an escape"))?;
        let simple = match c {
            '\n' => return Ok(()),
            '\'' | '"' => c,
            'x' => self.code(2, 16)?,
            'u' => self.code(4, 16)?,
            'U' => self.code(8, 16)?,
            '0'..='7' => {
                self.at -= 1;
                let digits = self.rest().chars().take(3).take_while(|d| d.is_digit(8)).count();
                self.code(digits, 8)?
            }
            'N' => return Err(self.expected("an escape without the name of a character")),
            other => escaped(other).unwrap_or_else(|| {
                out.push('\\');
                other
            }),
        };
        out.push(simple);
        Ok(())
    }

    fn code(&mut self, digits: usize, radix: u32) -> Result<char, String> {
        let written = self.rest().get(..digits).ok_or_else(|| self.expected("the code of a character"))?;
        let code = u32::from_str_radix(written, radix).ok().filter(|_| !written.starts_with('+'));
        let c = code.and_then(char::from_u32).ok_or_else(|| self.expected("the code of a character"))?;
        self.at += digits;
        Ok(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn reads_what_python_writes() {
        let cases = [
            ("['a', \"it's\"]", json!(["a", "it's"])),
            (" ( 1, ) ", json!([1])),
            ("(2)", json!(2)),
            ("{'a': [1.5, -3], 4: None,}", json!({"a": [1.5, -3], "4": null})),
            ("['x' 'y', r'\\n', '\\x41\\u4e2d\\n\\q']", json!(["xy", "\\n", "A中\n\\q"])),
            ("[True, False, 1e3]", json!([true, false, 1000.0])),
            ("'''a\n'b'''", json!("a\n'b")),
            ("[]", json!([])),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn refuses_what_python_refuses() {
        for text in ["", "[1 2]", "[1,,]", "foo", "'a", "[1", "012", "Trueish", "{1}", "1 2", "'a\nb'"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_reads_or_fails_without_panic(text in "[\\[\\](){}'\"\\\\a-f0-9ux:, .eé中-]{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn printed_lists_read_back(items in prop::collection::vec(any::<String>(), 0..4)) {
            let shown = crate::python::print::repr_data(&json!(items));
            prop_assert_eq!(parse(&shown).unwrap(), json!(items));
        }
    }
}
