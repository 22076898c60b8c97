//! Python's regular expressions written anew for the engine that runs them here.
//!
//! What differs is rewritten: classes (`[` is a plain character in Python's, set operators are unknown),
//! `$` (also before a last line end), `\Z`, `\w`, `\b`, `\s` (Python's idea of letters and white space), a
//! `{` that opens no repetition, escapes, comments, and the letter i without regard to case. What Python refuses and
//! what has no counterpart is refused. Source: the Python library reference, module `re`, and CPython 3.11's parser.

use std::collections::HashMap;

use super::group::{Flags, Kind, Open, Width};

/// Without regard to case, Python takes these four for one letter.
pub(super) const I: &str = "iIİı";

/// A pattern for this engine.
#[derive(Debug)]
pub(super) struct Translated {
    pub pattern: String,
    /// The numbers of the groups that had names; here they have none.
    pub names: HashMap<String, usize>,
}

/// The pattern for this engine.
///
/// # Errors
/// What Python refuses, and constructs that have no counterpart; in words.
pub(super) fn translate(pattern: &str) -> Result<Translated, String> {
    let mut reader =
        Reader { chars: pattern.chars().collect(), open: vec![Open::default()], ..Reader::default() };
    while let Some(c) = reader.take() {
        reader.piece(c)?;
    }
    if reader.open.len() > 1 {
        return Err("a ( has no )".into());
    }
    Ok(Translated { pattern: reader.out, names: reader.names })
}

/// What stands before a place, for a repetition there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Before {
    #[default]
    Nothing,
    Atom,
    Repetition,
}

/// Reads a pattern and writes it anew.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) chars: Vec<char>,
    pub(super) at: usize,
    pub(super) out: String,
    pub(super) flags: Flags,
    before: Before,
    /// Whether anything but flags and comments has been read.
    begun: bool,
    /// The whole pattern first.
    open: Vec<Open>,
    /// The width of each capturing group that is closed, from group 1.
    groups: Vec<Option<Width>>,
    names: HashMap<String, usize>,
}

impl Reader {
    pub(super) fn take(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    /// The next characters that are of a kind, `most` at most.
    pub(super) fn take_while(&mut self, most: usize, kind: impl Fn(char) -> bool) -> String {
        let found: String = self.chars[self.at..].iter().take(most).take_while(|c| kind(**c)).collect();
        self.at += found.chars().count();
        found
    }

    fn piece(&mut self, c: char) -> Result<(), String> {
        let begun = std::mem::replace(&mut self.begun, true);
        match c {
            '(' => return self.group(begun),
            '*' => return self.repetition("*", (0, None)),
            '+' => return self.repetition("+", (1, None)),
            '?' => return self.repetition("?", (0, Some(1))),
            '{' => match self.counts()? {
                Some((written, counts)) => return self.repetition(&written, counts),
                None => self.out.push_str(r"\{"),
            },
            '\\' => return self.escape(),
            '$' if !self.flags.multi_line => return self.place(r"(?=\n?\z)"),
            '^' | '$' => return self.place(c.encode_utf8(&mut [0; 4])),
            '|' => {
                self.innermost().end_alternative()?;
                return self.place("|");
            }
            ')' => return self.close(),
            '[' => self.class()?,
            '.' => self.out.push('.'),
            c => self.literal(c),
        }
        self.atom(Width::ONE, false)
    }

    fn innermost(&mut self) -> &mut Open {
        self.open.last_mut().expect("the whole pattern is never closed")
    }

    /// Notes what was written: how wide it is, and whether there are capturing groups in it.
    pub(super) fn atom(&mut self, width: Width, captures: bool) -> Result<(), String> {
        self.before = Before::Atom;
        let open = self.innermost();
        open.width = open.width.then(open.last)?;
        (open.last, open.captures) = (width, captures);
        Ok(())
    }

    /// After `)`.
    fn close(&mut self) -> Result<(), String> {
        let mut open = self.open.pop().expect("the whole pattern is never closed");
        if self.open.is_empty() {
            return Err("a ) has no (".into());
        }
        open.end_alternative()?;
        let width = open.before.expect("an alternative has just ended");
        let width = match open.kind {
            Kind::LooksBehind if width.max != Some(width.min) => {
                return Err("look-behind needs a fixed number of characters".into());
            }
            Kind::LooksAhead | Kind::LooksBehind => Width::NOTHING,
            Kind::Chooses if open.alternatives > 2 => return Err("(?(…) has more than two branches".into()),
            Kind::Chooses if open.alternatives == 1 => width.or(Width::NOTHING),
            Kind::Captures(group) => {
                self.groups[group - 1] = Some(width);
                width
            }
            Kind::Chooses | Kind::Plain => width,
        };
        self.flags = open.flags;
        self.out.push(')');
        let captures = self.groups.len() > open.groups;
        self.atom(width, captures)
    }

    /// What matches no character, and cannot be repeated.
    pub(super) fn place(&mut self, written: &str) -> Result<(), String> {
        self.out.push_str(written);
        self.before = Before::Nothing;
        Ok(())
    }

    /// A character that stands for itself.
    pub(super) fn literal(&mut self, c: char) {
        if self.flags.ignore_case && I.contains(c) {
            self.out.push_str(&format!("[{I}]"));
        } else {
            push_literal(&mut self.out, c);
        }
    }

    /// A repetition with what makes it lazy or possessive.
    fn repetition(&mut self, written: &str, counts: (usize, Option<usize>)) -> Result<(), String> {
        match self.before {
            Before::Atom => self.before = Before::Repetition,
            Before::Nothing => return Err(format!("nothing stands before {written} that could be repeated")),
            Before::Repetition => return Err(format!("{written} repeats a repetition")),
        }
        let open = self.innermost();
        // What such a group holds in the end depends on how the engine stops.
        if open.captures && open.last.min == 0 && counts.1.is_none_or(|most| most > 1) {
            return Err(format!(
                "{written} repeats a group that can match nothing; write it without ( ) or as (?:…)"
            ));
        }
        open.last = open.last.times(counts)?;
        self.out.push_str(written);
        if let Some(kind @ ('?' | '+')) = self.peek() {
            self.at += 1;
            self.out.push(kind);
        }
        Ok(())
    }

    /// After `{`: the repetition if it has that form, else nothing.
    #[allow(clippy::type_complexity)]
    fn counts(&mut self) -> Result<Option<(String, (usize, Option<usize>))>, String> {
        let start = self.at;
        let low = self.take_while(usize::MAX, |c| c.is_ascii_digit());
        let high = self.eat(',').then(|| self.take_while(usize::MAX, |c| c.is_ascii_digit()));
        if !self.eat('}') || low.is_empty() && high.is_none() {
            self.at = start;
            return Ok(None);
        }
        let number =
            |digits: &str| digits.parse::<usize>().map_err(|e| format!("the repetition {digits}: {e}"));
        let least = if low.is_empty() { 0 } else { number(&low)? };
        Ok(Some(match high.as_deref() {
            None => (format!("{{{least}}}"), (least, Some(least))),
            Some("") => (format!("{{{least},}}"), (least, None)),
            Some(high) => (format!("{{{least},{high}}}"), (least, Some(number(high)?))),
        }))
    }

    /// After `(`. `begun`: whether anything stands before it.
    fn group(&mut self, begun: bool) -> Result<(), String> {
        let mut open = Open { flags: self.flags, groups: self.groups.len(), ..Open::default() };
        if !self.eat('?') {
            open.kind = self.capture();
        } else {
            match self.take().ok_or("the pattern ends in (?")? {
                '#' => {
                    while self.take().ok_or("a comment has no )")? != ')' {}
                    self.begun = begun;
                    return Ok(());
                }
                kind @ (':' | '>') => self.out.push_str(&format!("(?{kind}")),
                kind @ ('=' | '!') => {
                    self.out.push_str(&format!("(?{kind}"));
                    open.kind = Kind::LooksAhead;
                }
                '<' if matches!(self.peek(), Some('=' | '!')) => {
                    let kind = self.take().expect("it was seen");
                    self.out.push_str(&format!("(?<{kind}"));
                    open.kind = Kind::LooksBehind;
                }
                'P' if self.eat('<') => {
                    let name = self.until('>')?;
                    if name.starts_with(|c: char| c.is_ascii_digit()) {
                        return Err(format!("{name:?} names no group"));
                    }
                    open.kind = self.capture();
                    if self.names.insert(name.clone(), self.groups.len()).is_some() {
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
                    open.kind = Kind::Chooses;
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

    /// Opens a capturing group.
    fn capture(&mut self) -> Kind {
        self.out.push('(');
        self.groups.push(None);
        Kind::Captures(self.groups.len())
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
            .filter(|group| (1..=self.groups.len()).contains(group))
            .ok_or_else(|| format!("there is no group {name}"))
    }

    /// What a group matched, once more.
    pub(super) fn reference(&mut self, name: &str) -> Result<(), String> {
        let group = self.known_group(name)?;
        let width = self.groups[group - 1];
        let width = width.ok_or_else(|| format!("group {name} is still open where it is asked for"))?;
        // In a group of its own, so that a digit behind it stays one.
        self.out.push_str(&format!("(?:\\{group})"));
        self.atom(width, false)
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
        if let Some(flag) = off.chars().find(|c| on.contains(*c)) {
            return Err(format!("the flag {flag} is set and unset"));
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
}

/// A character that stands for itself, whatever it is.
pub(super) fn push_literal(out: &mut String, c: char) {
    if c.is_alphanumeric() {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }
}
