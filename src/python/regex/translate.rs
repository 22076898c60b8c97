//! Python's regular expressions written anew for the engine that runs them here.
//!
//! What differs is rewritten: classes (`[` is a plain character in Python's, set operators are unknown),
//! `$` (also before a last line end), `\Z`, `\w`, `\b`, `\s` (Python's idea of letters and white space), a
//! `{` that opens no repetition, and escapes. Source: the Python library reference, module `re`.

/// What Python's `\w` matches: letters, numbers and the underscore, but no combining marks.
const WORD: &str = r"\p{L}\p{N}_";
/// What Python's `\s` matches: Unicode white space and the four information separators.
const SPACE: &str = r"\s\x{1c}-\x{1f}";

/// The pattern for this engine.
///
/// # Errors
/// Constructs that have no counterpart, in words.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut reader =
        Reader { chars: pattern.chars().collect(), at: 0, out: String::new(), multi_line: false };
    while let Some(c) = reader.take() {
        match c {
            '\\' => reader.escape()?,
            '[' => reader.class()?,
            '$' if !reader.multi_line => reader.out.push_str(r"(?=\n?\z)"),
            '{' => reader.repetition(),
            '}' => reader.out.push_str(r"\}"),
            '(' => reader.group()?,
            c => reader.out.push(c),
        }
    }
    Ok(reader.out)
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    out: String,
    multi_line: bool,
}

/// An item of a class.
enum Item {
    One(char),
    /// A ready piece of a class, such as `\d`.
    Set(String),
}

impl Reader {
    fn take(&mut self) -> Option<char> {
        let c = self.chars.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// `(` and, after `(?`, the flags that matter here.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        let mut ahead = self.at;
        if self.chars.get(ahead) != Some(&'?') {
            return Ok(());
        }
        ahead += 1;
        let mut flags = String::new();
        while let Some(c) = self.chars.get(ahead).filter(|c| c.is_ascii_alphabetic() || **c == '-') {
            flags.push(*c);
            ahead += 1;
        }
        let set = flags.split('-').next().unwrap_or_default();
        match self.chars.get(ahead) {
            Some(')' | ':') if !flags.is_empty() => {
                if set.contains(['x', 'L', 'a']) {
                    return Err(format!("the flags (?{flags}) are not supported; i, m, s and u are"));
                }
                self.multi_line |= set.contains('m');
                // Unicode is what is meant here anyway.
                self.out.push('?');
                self.out.extend(flags.chars().filter(|c| *c != 'u'));
                self.at = ahead;
            }
            Some('#') if flags.is_empty() => {
                self.out.push_str("?:");
                while self.peek().is_some_and(|c| c != ')') {
                    self.at += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `{`: a repetition if it has that form, else a plain character.
    fn repetition(&mut self) {
        let rest: String = self.chars.iter().skip(self.at).take_while(|c| **c != '}').collect();
        let closed = self.chars.get(self.at.saturating_add(rest.chars().count())) == Some(&'}');
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        let meant = match rest.split_once(',') {
            _ if !closed => None,
            None => (!rest.is_empty() && digits(&rest)).then(|| rest.clone()),
            Some((low, high)) => (digits(low) && digits(high)).then(|| {
                let low = if low.is_empty() { "0" } else { low };
                format!("{low},{high}")
            }),
        };
        match meant {
            Some(meant) => {
                self.out.push_str(&format!("{{{meant}}}"));
                self.at += rest.chars().count() + 1;
            }
            None => self.out.push_str(r"\{"),
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        let before = self.at;
        let boundary = |yes: bool| {
            let (a, b) = if yes { ("!", "=") } else { ("=", "!") };
            // A place with a letter on exactly one side, or on both or none.
            format!("(?:(?<=[{WORD}])(?{a}[{WORD}])|(?<![{WORD}])(?{b}[{WORD}]))")
        };
        match self.take() {
            Some('b') => self.out.push_str(&boundary(true)),
            Some('B') => self.out.push_str(&boundary(false)),
            Some('A') => self.out.push_str(r"\A"),
            Some('Z') => self.out.push_str(r"\z"),
            Some(c @ '1'..='9') => {
                let second = self.peek().filter(char::is_ascii_digit);
                self.at += usize::from(second.is_some());
                // In a group of its own, so that a digit behind it stays one.
                self.out.push_str(&format!("(?:\\{c}{})", second.map(String::from).unwrap_or_default()));
            }
            _ => {
                self.at = before;
                match self.item_after_backslash()? {
                    Item::One(c) => push_literal(&mut self.out, c),
                    Item::Set(set) => self.out.push_str(&format!("[{set}]")),
                }
            }
        }
        Ok(())
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
            'n' => Item::One('\n'),
            'r' => Item::One('\r'),
            't' => Item::One('\t'),
            'f' => Item::One('\u{c}'),
            'v' => Item::One('\u{b}'),
            'a' => Item::One('\u{7}'),
            '0' => Item::One('\0'),
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            c if c.is_ascii_alphanumeric() => return Err(format!("the escape \\{c} is not known")),
            c => Item::One(c),
        })
    }

    fn code(&mut self, digits: usize) -> Result<Item, String> {
        let text: String = self.chars.iter().skip(self.at).take(digits).collect();
        self.at += text.chars().count();
        let code = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits);
        let c = code.and_then(char::from_u32);
        c.map(Item::One).ok_or_else(|| format!("expected {digits} hexadecimal digits, found {text:?}"))
    }

    fn class(&mut self) -> Result<(), String> {
        let unclosed = || "a [ has no ]".to_owned();
        self.out.push('[');
        if self.peek() == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let low = match self.take().ok_or_else(unclosed)? {
                ']' if !first => break,
                '\\' if self.peek() == Some('b') => {
                    self.at += 1;
                    Item::One('\u{8}')
                }
                '\\' => self.item_after_backslash()?,
                c => Item::One(c),
            };
            first = false;
            let is_range = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']');
            match (low, is_range) {
                (Item::One(low), true) => {
                    self.at += 1;
                    let high = match self.take().ok_or_else(unclosed)? {
                        '\\' => self.item_after_backslash()?,
                        c => Item::One(c),
                    };
                    match high {
                        Item::One(high) if low <= high => push_range(&mut self.out, low, high),
                        _ => return Err(format!("the range from {low:?} in a class has no proper end")),
                    }
                }
                (Item::One(c), false) => push_range(&mut self.out, c, c),
                (Item::Set(set), _) => self.out.push_str(&set),
            }
        }
        self.out.push(']');
        Ok(())
    }
}

fn push_literal(out: &mut String, c: char) {
    if c.is_alphanumeric() {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }
}

/// A range inside a class. Characters that could make an operator of a class stand in one of their own.
fn push_range(out: &mut String, low: char, high: char) {
    let operator = |c: char| matches!(c, '-' | '&' | '~');
    let alone = |out: &mut String, c: char| out.push_str(&format!("[{c}]"));
    let (mut low, mut high) = (low, high);
    if operator(low) {
        alone(out, low);
        let next = char::from_u32(u32::from(low).saturating_add(1));
        match next.filter(|next| *next <= high) {
            Some(next) => low = next,
            None => return,
        }
    }
    if operator(high) {
        alone(out, high);
        let before = char::from_u32(u32::from(high).saturating_sub(1));
        match before.filter(|before| low <= *before) {
            Some(before) => high = before,
            None => return,
        }
    }
    push_literal(out, low);
    if low != high {
        out.push('-');
        push_literal(out, high);
    }
}
