//! Python's regular expressions written anew for the engine that runs them here.
//!
//! What differs is rewritten: classes (`[` is a plain character in Python's, set operators are unknown),
//! `$` (also before a last line end), `\Z`, `\w`, `\b`, `\s` (Python's idea of letters and white space), a
//! `{` that opens no repetition, escapes, comments, and the letter i without regard to case. What Python refuses and
//! what has no counterpart is refused. Source: the Python library reference, module `re`, and CPython 3.11's parser.

use std::collections::HashMap;

/// What Python's `\w` matches: letters, numbers and the underscore, but no combining marks.
const WORD: &str = r"\p{L}\p{N}_";
/// What Python's `\s` matches: Unicode white space and the four information separators.
const SPACE: &str = r"\s\x{1c}-\x{1f}";
/// Without regard to case, Python takes these four for one letter.
const I: &str = "iIİı";

/// The pattern for this engine.
///
/// # Errors
/// What Python refuses, and constructs that have no counterpart; in words.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut reader = Reader { chars: pattern.chars().collect(), ..Reader::default() };
    while let Some(c) = reader.take() {
        reader.piece(c)?;
    }
    match reader.open.pop() {
        None => Ok(reader.out),
        Some(_) => Err("a ( has no )".into()),
    }
}

/// The flags that change what is written here.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    multi_line: bool,
    ignore_case: bool,
}

/// What stands before a place, for a repetition there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Before {
    #[default]
    Nothing,
    Atom,
    Repetition,
}

/// A `(` that has no `)` yet.
struct Open {
    /// The flags outside of it.
    flags: Flags,
    /// Its number, if it is a capturing one.
    group: Option<usize>,
}

#[derive(Default)]
struct Reader {
    chars: Vec<char>,
    at: usize,
    out: String,
    flags: Flags,
    before: Before,
    /// Whether anything but flags and comments has been read.
    begun: bool,
    open: Vec<Open>,
    /// Whether each capturing group is closed, from group 1.
    closed: Vec<bool>,
    names: HashMap<String, usize>,
}

/// An item of a class.
enum Item {
    One(char),
    /// A ready piece of a class, such as `\d`.
    Set(String),
}

impl Reader {
    fn take(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    /// The next characters that are of a kind, `most` at most.
    fn take_while(&mut self, most: usize, kind: impl Fn(char) -> bool) -> String {
        let found: String = self.chars[self.at..].iter().take(most).take_while(|c| kind(**c)).collect();
        self.at += found.chars().count();
        found
    }

    fn piece(&mut self, c: char) -> Result<(), String> {
        let begun = std::mem::replace(&mut self.begun, true);
        match c {
            '(' => return self.group(begun),
            '*' | '+' | '?' => return self.repetition(&c.to_string()),
            '{' => match self.counts() {
                Some(counts) => return self.repetition(&counts),
                None => self.out.push_str(r"\{"),
            },
            '\\' => return self.escape(),
            '$' if !self.flags.multi_line => return self.place(r"(?=\n?\z)"),
            '|' | '^' | '$' => return self.place(c.encode_utf8(&mut [0; 4])),
            ')' => {
                let open = self.open.pop().ok_or("a ) has no (")?;
                self.flags = open.flags;
                if let Some(group) = open.group {
                    self.closed[group - 1] = true;
                }
                self.out.push(')');
            }
            '[' => self.class()?,
            '.' => self.out.push('.'),
            c => self.literal(c),
        }
        self.before = Before::Atom;
        Ok(())
    }

    /// What matches no character, and cannot be repeated.
    fn place(&mut self, written: &str) -> Result<(), String> {
        self.out.push_str(written);
        self.before = Before::Nothing;
        Ok(())
    }

    /// A character that stands for itself.
    fn literal(&mut self, c: char) {
        if self.flags.ignore_case && I.contains(c) {
            self.out.push_str(&format!("[{I}]"));
        } else {
            push_literal(&mut self.out, c);
        }
    }

    /// A repetition with what makes it lazy or possessive.
    fn repetition(&mut self, counts: &str) -> Result<(), String> {
        match self.before {
            Before::Atom => self.before = Before::Repetition,
            Before::Nothing => return Err(format!("nothing stands before {counts} that could be repeated")),
            Before::Repetition => return Err(format!("{counts} repeats a repetition")),
        }
        self.out.push_str(counts);
        if let Some(kind @ ('?' | '+')) = self.peek() {
            self.at += 1;
            self.out.push(kind);
        }
        Ok(())
    }

    /// After `{`: the repetition if it has that form, else nothing.
    fn counts(&mut self) -> Option<String> {
        let start = self.at;
        let low = self.take_while(usize::MAX, |c| c.is_ascii_digit());
        let high = self.eat(',').then(|| self.take_while(usize::MAX, |c| c.is_ascii_digit()));
        match (self.eat('}'), low.as_str(), high) {
            (true, low, Some(high)) => Some(format!("{{{},{high}}}", if low.is_empty() { "0" } else { low })),
            (true, low, None) if !low.is_empty() => Some(format!("{{{low}}}")),
            _ => {
                self.at = start;
                None
            }
        }
    }

    /// After `(`. `begun`: whether anything stands before it.
    fn group(&mut self, begun: bool) -> Result<(), String> {
        let mut open = Open { flags: self.flags, group: None };
        if !self.eat('?') {
            self.out.push('(');
            open.group = Some(self.new_group());
        } else {
            match self.take().ok_or("the pattern ends in (?")? {
                '#' => {
                    while self.take().ok_or("a comment has no )")? != ')' {}
                    self.begun = begun;
                    return Ok(());
                }
                kind @ (':' | '=' | '!' | '>') => self.out.push_str(&format!("(?{kind}")),
                '<' if matches!(self.peek(), Some('=' | '!')) => {
                    let kind = self.take().expect("it was seen");
                    self.out.push_str(&format!("(?<{kind}"));
                }
                'P' if self.eat('<') => {
                    let name = self.until('>')?;
                    self.out.push_str(&format!("(?P<{name}>"));
                    let group = self.new_group();
                    open.group = Some(group);
                    if self.names.insert(name.clone(), group).is_some() {
                        return Err(format!("two groups are named {name}"));
                    }
                }
                'P' if self.eat('=') => {
                    let name = self.until(')')?;
                    return self.reference(&name);
                }
                '(' => {
                    let name = self.until(')')?;
                    let group = self.known_group(&name)?;
                    self.out.push_str(&format!("(?({group})"));
                }
                c if c.is_ascii_alphabetic() || c == '-' => {
                    self.at -= 1;
                    if self.flags(begun)? {
                        return Ok(());
                    }
                }
                c => return Err(format!("(?{c} is not known")),
            }
        }
        self.open.push(open);
        self.before = Before::Nothing;
        Ok(())
    }

    fn new_group(&mut self) -> usize {
        self.closed.push(false);
        self.closed.len()
    }

    fn until(&mut self, end: char) -> Result<String, String> {
        let name = self.take_while(usize::MAX, |c| c != end);
        let good = name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.is_empty();
        if self.eat(end) && good { Ok(name) } else { Err(format!("{name:?} names no group")) }
    }

    /// A group by number or name.
    fn known_group(&self, name: &str) -> Result<usize, String> {
        let group = name.parse().ok().or_else(|| self.names.get(name).copied());
        group
            .filter(|group| (1..=self.closed.len()).contains(group))
            .ok_or_else(|| format!("there is no group {name}"))
    }

    /// What a group matched, once more.
    fn reference(&mut self, name: &str) -> Result<(), String> {
        let group = self.known_group(name)?;
        if !self.closed[group - 1] {
            return Err(format!("group {name} is still open where it is asked for"));
        }
        // In a group of its own, so that a digit behind it stays one.
        self.out.push_str(&format!("(?:\\{group})"));
        self.before = Before::Atom;
        Ok(())
    }

    /// After `(?`: flags, for the whole pattern (then true), or for the group that begins.
    fn flags(&mut self, begun: bool) -> Result<bool, String> {
        let on = self.take_while(usize::MAX, |c| c.is_ascii_alphabetic());
        let off =
            if self.eat('-') { Some(self.take_while(usize::MAX, |c| c.is_ascii_alphabetic())) } else { None };
        let whole = self.peek() == Some(')');
        let off_is_wrong = off.as_ref().is_some_and(|off| whole || off.is_empty());
        if !(self.eat(')') || self.eat(':')) || off_is_wrong {
            return Err("flags must end in ) or :, and are only unset for a group".into());
        }
        if whole && begun {
            return Err(format!("the flags (?{on}) must stand at the start of the pattern"));
        }
        let off = off.unwrap_or_default();
        if let Some(flag) = on.chars().chain(off.chars()).find(|c| !"imsu".contains(*c)) {
            return Err(format!("the flag {flag} is not supported; i, m, s and u are"));
        }
        for (flags, set) in [(&on, true), (&off, false)] {
            self.flags.multi_line = if flags.contains('m') { set } else { self.flags.multi_line };
            self.flags.ignore_case = if flags.contains('i') { set } else { self.flags.ignore_case };
        }
        // Unicode is what is meant here anyway.
        let (on, off) = (on.replace('u', ""), off.replace('u', ""));
        let minus = if off.is_empty() { "" } else { "-" };
        match whole {
            true if on.is_empty() => {}
            true => self.out.push_str(&format!("(?{on})")),
            false => self.out.push_str(&format!("(?{on}{minus}{off}:")),
        }
        self.begun = begun || !whole;
        Ok(whole)
    }

    fn escape(&mut self) -> Result<(), String> {
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
                self.before = Before::Atom;
                return Ok(());
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
            self.before = Before::Atom;
            return Ok(());
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
            'n' => Item::One('\n'),
            'r' => Item::One('\r'),
            't' => Item::One('\t'),
            'f' => Item::One('\u{c}'),
            'v' => Item::One('\u{b}'),
            'a' => Item::One('\u{7}'),
            '0' => Item::One(octal_char(&format!("0{}", self.take_while(2, |c| matches!(c, '0'..='7'))))?),
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            c if c.is_ascii_alphanumeric() => return Err(format!("the escape \\{c} is not known")),
            c => Item::One(c),
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
                Some('b') => {
                    self.at += 1;
                    Item::One('\u{8}')
                }
                Some('1'..='7') => Item::One(octal_char(&self.take_while(3, |c| matches!(c, '0'..='7')))?),
                _ => self.item_after_backslash()?,
            }),
            c => Some(Item::One(c)),
        })
    }

    fn class(&mut self) -> Result<(), String> {
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

fn push_literal(out: &mut String, c: char) {
    if c.is_alphanumeric() {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }
}
