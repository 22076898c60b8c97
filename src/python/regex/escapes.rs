//! Escapes and classes of characters, as Python has them, for the engine.

use super::group::Width;
use super::translate::{I, Reader, push_literal};
use crate::python::text::escaped;

/// What Python's `\w` matches: letters, numbers and the underscore, but no combining marks.
const WORD: &str = r"\p{L}\p{N}_";
/// What Python's `\s` matches: Unicode white space and the four information separators.
const SPACE: &str = r"\s\x{1c}-\x{1f}";

/// An item of a class.
enum Item {
    One(char),
    /// A ready piece of a class, such as `\d`.
    Set(String),
}

impl Reader {
    /// After a backslash.
    pub(super) fn escape(&mut self) -> Result<(), String> {
        let place = match self.peek() {
            Some('b') => {
                // A place with a letter on exactly one side.
                format!("(?:(?<=[{WORD}])(?![{WORD}])|(?<![{WORD}])(?=[{WORD}]))")
            }
            // On both sides or on none; the empty text has no such place.
            Some('B') => format!(r"(?:(?<=[{WORD}])(?=[{WORD}])|(?!\A\z)(?<![{WORD}])(?![{WORD}]))"),
            Some('A') => r"\A".into(),
            Some('Z') => r"\z".into(),
            Some('1'..='9') => return self.number(),
            _ => {
                match self.item_after_backslash()? {
                    Item::One(c) => self.literal(c),
                    Item::Set(set) => self.out.push_str(&format!("[{set}]")),
                }
                return self.atom(Width::ONE, false);
            }
        };
        self.at += 1;
        self.place(&place)
    }

    /// A number after a backslash: a group of up to two digits, or three octal ones as a character.
    fn number(&mut self) -> Result<(), String> {
        let start = self.at;
        let octal = self.take_while(3, |c| matches!(c, '0'..='7'));
        if octal.len() == 3 {
            self.literal(octal_char(&octal)?);
            return self.atom(Width::ONE, false);
        }
        self.at = start;
        let group = self.take_while(2, |c| c.is_ascii_digit());
        self.reference(&group)
    }

    /// What an escape means wherever it stands.
    fn item_after_backslash(&mut self) -> Result<Item, String> {
        let c = self.take().ok_or("the pattern ends in a single \\")?;
        Ok(match c {
            'd' | 'D' => Item::Set(format!("\\{c}")),
            'w' => Item::Set(WORD.into()),
            'W' => Item::Set(format!("[^{WORD}]")),
            's' => Item::Set(SPACE.into()),
            'S' => Item::Set(format!("[^{SPACE}]")),
            '0' => Item::One(octal_char(&format!("0{}", self.take_while(2, |c| matches!(c, '0'..='7'))))?),
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            c => match escaped(c) {
                Some(c) => Item::One(c),
                None if c.is_ascii_alphanumeric() => return Err(format!("the escape \\{c} is not known")),
                None => Item::One(c),
            },
        })
    }

    fn code(&mut self, digits: usize) -> Result<Item, String> {
        let text = self.take_while(digits, |c| c.is_ascii_hexdigit());
        let code = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits);
        let c = code.and_then(char::from_u32);
        c.map(Item::One).ok_or_else(|| format!("expected {digits} hexadecimal digits, found {text:?}"))
    }

    /// The next item of a class; nothing at its end.
    fn class_item(&mut self, may_end: bool) -> Result<Option<Item>, String> {
        Ok(match self.take().ok_or("a [ has no ]")? {
            ']' if may_end => None,
            '\\' => Some(match self.peek() {
                Some('1'..='7') => Item::One(octal_char(&self.take_while(3, |c| matches!(c, '0'..='7')))?),
                _ => self.item_after_backslash()?,
            }),
            c => Some(Item::One(c)),
        })
    }

    /// After `[`.
    pub(super) fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.eat('^') {
            self.out.push('^');
        }
        let mut may_end = false;
        while let Some(low) = self.class_item(may_end)? {
            may_end = true;
            let is_range = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']');
            let high = if is_range {
                self.at += 1;
                self.class_item(false)?
            } else {
                None
            };
            match (low, high) {
                (Item::One(low), None) => self.range(low, low),
                (Item::One(low), Some(Item::One(high))) if low <= high => self.range(low, high),
                (Item::Set(set), None) => self.out.push_str(&set),
                _ => return Err("a range in a class has no proper start and end".into()),
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// A range inside a class. Each end is spelled by its code, so that none makes an operator.
    fn range(&mut self, low: char, high: char) {
        push_literal(&mut self.out, low);
        if low != high {
            self.out.push('-');
            push_literal(&mut self.out, high);
        }
        if self.flags.ignore_case && I.chars().any(|i| (low..=high).contains(&i)) {
            self.out.push_str(I);
        }
    }
}

fn octal_char(digits: &str) -> Result<char, String> {
    let code =
        u8::from_str_radix(digits, 8).map_err(|_| format!("the octal escape \\{digits} is above \\377"))?;
    Ok(char::from(code))
}
