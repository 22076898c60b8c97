//! Python's `re` for task files: the same pattern finds the same texts.
//!
//! Patterns in task files are Python's, some with look-around, so a backtracking engine runs them, with a
//! bound on its steps. Matches that are empty follow Python 3.7 and later: one may stand right behind a
//! match, and no two at one place.

mod escapes;
mod group;
mod replacement;
mod translate;

use std::sync::OnceLock;

use fancy_regex::{Captures, Match, Regex as Engine, RegexBuilder};

use replacement::Piece;
use translate::Translated;

/// Steps of one search before it counts as too slow: seconds, in which Python would have an answer too, since no match is made up
/// for a text whose search was given up.
const BACKTRACKS: usize = 100_000_000;
/// The same in a template, which may search any number of times.
const BACKTRACKS_OF_TEMPLATE: usize = 1_000_000;
/// A compiled pattern may take this much memory.
const PATTERN_BYTES: usize = 4 << 20;
/// Patterns longer than this are refused; the longest of the reference harness has some thousand.
const MAX_PATTERN: usize = 1 << 20;
/// The longest text that replacing gives, in bytes: every match of a text may become the whole of it.
const MAX_REPLACED: usize = 64 << 20;

/// A compiled pattern of Python's.
#[derive(Debug)]
pub struct PyRegex {
    engine: Engine,
    translated: Translated,
    backtracks: usize,
    /// The pattern where it must not match the empty text at the place of the search; made when needed.
    advancing: OnceLock<Result<Engine, String>>,
}

/// One item of `re.findall`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The match, or its only group.
    Text(String),
    /// All groups, of a pattern with several; those that took no part are empty.
    Groups(Vec<String>),
}

impl Found {
    /// The text; of several groups the first that is not empty, and nothing if all are.
    pub fn first_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Groups(groups) => groups.into_iter().find(|group| !group.is_empty()),
        }
    }
}

impl PyRegex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(pattern: &str) -> Result<Self, String> {
        Self::with(pattern, BACKTRACKS)
    }

    /// Compiles a pattern of a template, whose searches take fewer steps.
    ///
    /// # Errors
    /// As [`PyRegex::new`].
    pub fn of_template(pattern: &str) -> Result<Self, String> {
        Self::with(pattern, BACKTRACKS_OF_TEMPLATE)
    }

    fn with(pattern: &str, backtracks: usize) -> Result<Self, String> {
        if pattern.len() > MAX_PATTERN {
            return Err(format!("the pattern has {} bytes, more than {MAX_PATTERN}", pattern.len()));
        }
        let translated = translate::translate(pattern).map_err(|e| format!("pattern {pattern:?}: {e}"))?;
        let engine =
            compile(&translated.pattern, backtracks).map_err(|e| format!("pattern {pattern:?}: {e}"))?;
        Ok(Self { engine, translated, backtracks, advancing: OnceLock::new() })
    }

    /// Compiles a pattern of this program.
    pub fn ours(pattern: &str) -> Self {
        Self::new(pattern).expect("this program's own patterns compile")
    }

    /// `re.findall`.
    ///
    /// # Errors
    /// A search that takes too many steps, in words.
    pub fn find_all(&self, text: &str) -> Result<Vec<Found>, String> {
        let mut found = Vec::new();
        self.each(text, usize::MAX, |captures, _| {
            let group = |i: usize| captures.get(i).map_or_else(String::new, |m| m.as_str().to_owned());
            found.push(match captures.len() {
                1 => Found::Text(group(0)),
                2 => Found::Text(group(1)),
                n => Found::Groups((1..n).map(group).collect()),
            });
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether `re.search` finds something.
    ///
    /// # Errors
    /// As [`PyRegex::find_all`].
    pub fn is_match(&self, text: &str) -> Result<bool, String> {
        self.engine.is_match(text).map_err(|e| self.slow(&e))
    }

    /// The groups of the first match, the whole match first.
    ///
    /// # Errors
    /// As [`PyRegex::find_all`].
    pub fn search(&self, text: &str) -> Result<Option<Vec<Option<String>>>, String> {
        let captures = self.engine.captures(text).map_err(|e| self.slow(&e))?;
        Ok(captures.map(|c| c.iter().map(|m| m.map(|m| m.as_str().to_owned())).collect()))
    }

    /// `re.sub` with a function that makes the replacement from the groups.
    ///
    /// # Errors
    /// As [`PyRegex::find_all`], and what the function says.
    pub fn replace(
        &self,
        text: &str,
        replacement: impl FnMut(&[&str]) -> Result<String, String>,
    ) -> Result<String, String> {
        self.replace_up_to(usize::MAX, text, replacement)
    }

    /// `re.sub(pattern, replacement, text, count)`; a count of 0 stands for all.
    ///
    /// # Errors
    /// As [`PyRegex::find_all`], and a replacement that Python refuses.
    pub fn sub(&self, replacement: &str, text: &str, count: usize) -> Result<String, String> {
        let pieces = replacement::parse(replacement, self.engine.captures_len(), &self.translated.names)?;
        self.replace_up_to(if count == 0 { usize::MAX } else { count }, text, |groups| {
            let mut out = String::new();
            for piece in &pieces {
                match piece {
                    Piece::Text(c) => out.push(*c),
                    Piece::Group(group) => out.push_str(groups[*group]),
                }
                bounded(out.len())?;
            }
            Ok(out)
        })
    }

    pub(super) fn replace_up_to(
        &self,
        most: usize,
        text: &str,
        mut replacement: impl FnMut(&[&str]) -> Result<String, String>,
    ) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        self.each(text, most, |captures, whole| {
            out.push_str(&text[end..whole.start()]);
            let groups: Vec<&str> = captures.iter().map(|m| m.map_or("", |m| m.as_str())).collect();
            out.push_str(&replacement(&groups)?);
            end = whole.end();
            bounded(out.len())
        })?;
        out.push_str(&text[end..]);
        Ok(out)
    }

    /// `re.sub` with nothing as replacement.
    ///
    /// # Errors
    /// As [`PyRegex::find_all`].
    pub fn remove(&self, text: &str) -> Result<String, String> {
        self.replace(text, |_| Ok(String::new()))
    }

    /// Calls `see` with the groups and the whole of every match, in order, `most` times at most.
    fn each(
        &self,
        text: &str,
        most: usize,
        mut see: impl FnMut(&Captures<'_>, Match<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut at = 0;
        let mut must_advance = false;
        for _ in 0..most {
            let engine = if must_advance { self.advancing()? } else { &self.engine };
            let Some(captures) = engine.captures_from_pos(text, at).map_err(|e| self.slow(&e))? else {
                break;
            };
            let whole = captures.get(0).expect("a match has a whole");
            see(&captures, whole)?;
            must_advance = whole.start() == whole.end();
            at = whole.end();
        }
        Ok(())
    }

    fn advancing(&self) -> Result<&Engine, String> {
        // `\G` is the place where a search began: a match that ends there is empty.
        let made = self
            .advancing
            .get_or_init(|| compile(&format!(r"(?:{})(?!\G)", self.translated.pattern), self.backtracks));
        made.as_ref().map_err(Clone::clone)
    }

    fn slow(&self, error: &fancy_regex::Error) -> String {
        format!("the pattern {:?} cannot be searched for: {error}", self.engine.as_str())
    }
}

fn compile(pattern: &str, backtracks: usize) -> Result<Engine, String> {
    let mut builder = RegexBuilder::new(pattern);
    builder.backtrack_limit(backtracks).delegate_size_limit(PATTERN_BYTES);
    builder.build().map_err(|e| e.to_string())
}

/// `re.escape`: the text as a pattern that matches only itself.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn bounded(bytes: usize) -> Result<(), String> {
    let said = || format!("expected a text of at most {MAX_REPLACED} bytes after replacing, found more");
    if bytes <= MAX_REPLACED { Ok(()) } else { Err(said()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pattern: &str, text: &str) -> Vec<String> {
        let found = PyRegex::new(pattern).unwrap().find_all(text).unwrap();
        found
            .into_iter()
            .map(|f| match f {
                Found::Text(text) => text,
                Found::Groups(groups) => groups.join("|"),
            })
            .collect()
    }

    /// Each list is what Python 3.11 prints for `re.findall(pattern, text)`.
    #[test]
    fn patterns_find_what_python_finds() {
        for (pattern, text, wanted) in [
            (r"#### (\-?[0-9\.\,]+)", "x\n#### -1,234.5", vec!["-1,234.5"]),
            (r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "It is 7 or $18.", vec!["|7", "$18.|"]),
            (r"(?<=the answer is )(.*)(?=.)", "So the answer is False.", vec!["False"]),
            (r#"(?<= )([" \[\(<{}>\)\]]+)|([" \[\(<{}>\)\]]+)"#, "is ] } and >", vec!["| ] } ", "| >"]),
            (r"{\s*([^}]*?)\s*}", "a { b } c", vec!["b"]),
            (r"\b(True|False)\b", "True, Falsely False", vec!["True", "False"]),
            (r"a$", "a\n", vec!["a"]),
            (r"a\Z", "a\n", vec![]),
            (r".*", "ab\nc", vec!["ab", "", "c", ""]),
            (r"x*?", "xx", vec!["", "x", "", "x", ""]),
            (r"|a", "a", vec!["", "a", ""]),
            (r"[]a-]", "]-a", vec!["]", "-", "a"]),
            (r"[+--]", "+,-.", vec!["+", ",", "-"]),
            (r"[&&~~]", "&~a", vec!["&", "~"]),
            (r"x{,2}", "xxx", vec!["xx", "x", ""]),
            (r"x{a}", "x{a}", vec!["x{a}"]),
            (r"(a)\1", "aab", vec!["a"]),
            (r"(?i:AB)c", "abc aBC", vec!["abc"]),
            (r"\w+", "नमस्ते_1", vec!["नमस", "त", "_1"]),
            (r"\s", "a\u{1c}b", vec!["\u{1c}"]),
            (r"[^\S\r\n]", "\n \t", vec![" ", "\t"]),
            (r#"\'\"\<\>"#, "'\"<>", vec!["'\"<>"]),
        ] {
            assert_eq!(all(pattern, text), wanted, "{pattern} in {text:?}");
        }
    }

    #[test]
    fn replacing_follows_the_matches() {
        let remove = |pattern: &str, text: &str| PyRegex::new(pattern).unwrap().remove(text).unwrap();
        assert_eq!(remove(r"(?s).*#### ", "a\nb\n#### 5"), "5");
        assert_eq!(remove(r"\.$", "5."), "5");
        assert_eq!(remove(r"\b(?:The |the |An |A |The |a |an )", "The cat a dog"), "cat dog");
        let dashes = PyRegex::new("x*").unwrap().replace("abxd", |_| Ok("-".into())).unwrap();
        assert_eq!(dashes, "-a-b--d-");
    }

    #[test]
    fn bad_and_runaway_patterns_are_errors() {
        for pattern in
            ["(", ")", "[a", r"\y", "(?x)a b", "a\\", r"\x1", "[b-a]", "a(?i)b", "(?<n>a)", "a**", "^*"]
        {
            assert!(PyRegex::new(pattern).unwrap_err().contains("pattern"), "{pattern}");
        }
        let slow = r"(a|aa)+(?<=b)$";
        let template = PyRegex::of_template(slow).unwrap();
        assert!(template.find_all(&"a".repeat(60)).unwrap_err().contains("cannot be searched"));
        // What only takes long is searched to its end.
        assert!(template.find_all(&"a".repeat(29)).is_err());
        assert_eq!(PyRegex::new(slow).unwrap().find_all(&"a".repeat(29)).unwrap(), []);
    }

    #[test]
    fn an_escaped_text_matches_itself() {
        let text = "a.b* [c]-{d}\n";
        assert_eq!(all(&escape(text), text), [text]);
    }
}
