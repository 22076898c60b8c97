//! A file's text beside its values, so that an error about a value can name the line.

use std::cell::RefCell;

use super::RegistryError;
use crate::base::digest::is_hex;
use crate::base::yaml::FileError;

/// Makes errors with file, line and field.
pub(super) struct Checker<'a> {
    file: &'a str,
    text: &'a str,
    /// Where faults are gathered, so that a check goes on behind one; `None` for checks that end at the first.
    gathered: Option<&'a RefCell<Vec<RegistryError>>>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Checker { file, text, gathered: None }
    }

    /// The same, gathering what [`require`](Self::require) finds.
    pub(super) fn gathering(self, faults: &'a RefCell<Vec<RegistryError>>) -> Self {
        Checker { gathered: Some(faults), ..self }
    }

    /// The line of `key` whose text also has `value`; else, where `key` opens a list or map, the line of
    /// `value` below it; else the first line of `key`, or 0.
    pub(super) fn line(&self, key: &str, value: &str) -> usize {
        let is_key = |line: &str| {
            line.match_indices(&format!("{key}:")).any(|(at, _)| {
                let before = line.get(..at).and_then(|before| before.chars().next_back());
                before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '#')
            })
        };
        let mut first = None;
        for (at, line) in self.text.lines().enumerate() {
            if is_key(line) {
                if line.contains(value) {
                    return at + 1;
                }
                first = first.or(Some(at));
            }
        }
        let Some(first) = first else { return 0 };
        let indent = |line: &str| line.len() - line.trim_start().len();
        let depth = self.text.lines().nth(first).map(indent).expect("the line was found");
        let mut block = self.text.lines().enumerate().skip(first + 1).take_while(|(_, line)| {
            line.trim().is_empty() || indent(line) > depth || line.trim_start().starts_with("- ")
        });
        block.find(|(_, line)| !value.is_empty() && line.contains(value)).map_or(first, |(at, _)| at) + 1
    }

    /// An error about `field`, a dotted path, unless `ok`; kept, where faults are gathered.
    pub(super) fn require(
        &self,
        ok: bool,
        field: &str,
        expected: impl Into<String>,
        found: &str,
    ) -> Result<(), RegistryError> {
        match self.gathered {
            _ if ok => Ok(()),
            Some(gathered) => {
                gathered.borrow_mut().push(self.wrong(field, expected, found));
                Ok(())
            }
            None => Err(self.wrong(field, expected, found)),
        }
    }

    /// An error about `field`, a dotted path.
    pub(super) fn wrong(&self, field: &str, expected: impl Into<String>, found: &str) -> RegistryError {
        let key = field.rsplit('.').next().unwrap_or(field);
        let (file, line, field) = (self.file.to_owned(), self.line(key, found), field.to_owned());
        FileError::Field { file, line, field, expected: expected.into(), found: format!("{found:?}") }.into()
    }

    /// Not zero, if stated.
    pub(super) fn positive(&self, field: &str, value: Option<u64>) -> Result<(), RegistryError> {
        self.require(value != Some(0), field, "a positive number", "0")
    }

    /// From 1 to `limit`, if stated.
    pub(super) fn within(&self, field: &str, value: Option<u64>, limit: usize) -> Result<(), RegistryError> {
        let Some(n) = value else { return Ok(()) };
        let ok = (1..=limit as u64).contains(&n);
        self.require(ok, field, format!("a number from 1 to {limit}"), &n.to_string())
    }

    /// Finite and above zero, if stated.
    pub(super) fn positive_float(&self, field: &str, value: Option<f64>) -> Result<(), RegistryError> {
        let Some(x) = value else { return Ok(()) };
        self.require(x.is_finite() && x > 0.0, field, "a positive number", &x.to_string())
    }

    /// From 0 to below 1, if stated.
    pub(super) fn fraction(&self, field: &str, value: Option<f64>) -> Result<(), RegistryError> {
        let Some(x) = value else { return Ok(()) };
        self.require((0.0..1.0).contains(&x), field, "a fraction from 0 to below 1", &x.to_string())
    }

    /// Lower-case hexadecimal digits, `digits` of them, if stated.
    pub(super) fn hexadecimal(
        &self,
        field: &str,
        value: Option<&str>,
        digits: usize,
    ) -> Result<(), RegistryError> {
        let Some(value) = value else { return Ok(()) };
        self.require(is_hex(value, digits), field, format!("{digits} lower-case hexadecimal digits"), value)
    }
}

/// Lower-case letters, digits, `.`, `_` and `-`, a letter or digit first.
pub(super) fn is_id(text: &str) -> bool {
    is_word(text, "._-") && !text.bytes().any(|b| b.is_ascii_uppercase())
}

/// ASCII letters, digits and `others`, with a letter or digit first, so that it is never an option or `..`.
pub(super) fn is_word(text: &str, others: &str) -> bool {
    text.len() <= 200
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// `organisation/name` or `name`.
pub(super) fn is_repo(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    parts.len() <= 2 && parts.iter().all(|part| is_word(part, "._-"))
}

/// Slash-separated, relative, and not leaving the folder that it starts in.
pub(super) fn is_relative(path: &str) -> bool {
    path.len() <= 1000
        && !path.contains(['\\', ':'])
        && !path.chars().any(char::is_control)
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_key_and_value() {
        let text = "id: a\nrelease:\n  kind: lora\n  merge_order:\n  - one\n  - two\nbase: two\nnew_id: x\n";
        let checker = Checker::new("f", text);
        assert_eq!(checker.line("id", "a"), 1);
        assert_eq!(checker.line("merge_order", "two"), 6);
        assert_eq!(checker.line("merge_order", "three"), 4);
        assert_eq!(checker.line("base", "two"), 7);
        assert_eq!(checker.line("absent", "two"), 0);
    }

    #[test]
    fn words_are_never_options_or_paths() {
        assert!(is_id("llama-2-7b_x.y") && !is_id("-x") && !is_id("..") && !is_id("A") && !is_id(""));
        assert!(is_repo("org/name") && !is_repo("a/b/c") && !is_repo("../x") && !is_repo("/x"));
        assert!(
            is_relative("a/b.gguf") && !is_relative("/a") && !is_relative("a/../b") && !is_relative("c:x")
        );
    }
}
