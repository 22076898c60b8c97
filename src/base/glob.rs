//! The patterns that pick among the files of a folder, as shells and the hub have them: `*` and `?` within a name, `**`
//! across folders, `[…]` a set of characters, `{a,b}` a choice.

use regex::Regex;

/// Longest pattern that is read, in bytes.
const MAX_BYTES: usize = 1000;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pattern {pattern:?}: {reason}")]
pub struct BadPattern {
    /// Its beginning.
    pattern: String,
    reason: String,
}

/// A pattern for paths with `/` between folders.
#[derive(Debug, Clone)]
pub struct Glob(Regex);

impl Glob {
    /// Reads a pattern; a leading `./` means nothing.
    ///
    /// # Errors
    /// A set or a choice that cannot be, and a pattern that is too long.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        let bad = |reason: String| BadPattern { pattern: pattern.chars().take(100).collect(), reason };
        if pattern.len() > MAX_BYTES {
            return Err(bad(format!("{} bytes, expected at most {MAX_BYTES}", pattern.len())));
        }
        let expression = expression(pattern.trim_start_matches("./"));
        // The parser shows the whole expression first; what it says of it comes last.
        let said = |error: regex::Error| error.to_string().rsplit("error: ").next().map(str::to_owned);
        Ok(Self(Regex::new(&expression).map_err(|error| bad(said(error).expect("a text has an end")))?))
    }

    /// Whether the whole path is what the pattern says.
    pub fn fits(&self, path: &str) -> bool {
        self.0.is_match(path)
    }

    /// Whether a text says more than one name.
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '[', '{'])
    }
}

/// The pattern as a regular expression for whole paths.
fn expression(pattern: &str) -> String {
    let mut expression = String::from("^");
    let mut rest = pattern;
    let mut braces = 0_usize;
    let mut begins_part = true;
    while let Some(c) = rest.chars().next() {
        let at_part = std::mem::replace(&mut begins_part, c == '/');
        if let Some(after) = rest.strip_prefix("**/").filter(|_| at_part) {
            expression.push_str("(?:.*/)?");
            (rest, begins_part) = (after, true);
            continue;
        }
        if let Some(after) = rest.strip_prefix("**") {
            expression.push_str(".*");
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '{' => {
                braces += 1;
                expression.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                expression.push(')');
            }
            ',' if braces > 0 => expression.push('|'),
            '[' if let Some((set, after)) = rest.split_once(']') => {
                let (sign, set) = match set.strip_prefix(['!', '^']) {
                    Some(set) => ("^/", set),
                    None => ("", set),
                };
                let set =
                    set.replace('\\', "\\\\").replace('[', "\\[").replace('&', "\\&").replace('~', "\\~");
                expression.push_str(&format!("[{sign}{set}]"));
                rest = after;
            }
            other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push('$');
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, fits) in [
            ("data/test-*", "data/test-00000-of-00001.parquet", true),
            ("test-*", "data/test-0.parquet", false),
            ("./test-*", "test-0.parquet", true),
            ("**/test-*", "a/b/test-0", true),
            ("**/test-*", "test-0", true),
            ("**/*.csv", "a/b/c.csv", true),
            ("**", "a/b", true),
            ("a/**", "a/b/c", true),
            ("a/**", "b/a/c", false),
            ("a**/b", "ab", false),
            ("a/*.csv", "a/b.csv", true),
            ("a/*.csv", "a/b/c.csv", false),
            ("*.json?", "x.jsonl", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("x[0-9].{csv,tsv}", "x7.tsv", true),
            ("x[!0-9].csv", "x7.csv", false),
            ("a.b", "a.b", true),
            ("a.b", "axb", false),
            ("a]b}", "a]b}", true),
            ("a[b", "a[b", true),
            ("x", "x", true),
            ("", "x", false),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().fits(path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let error = |pattern: &str| Glob::new(pattern).unwrap_err().to_string();
        assert_eq!(error("a{b"), "pattern \"a{b\": unclosed group");
        assert!(error("x[9-0]").starts_with("pattern \"x[9-0]\": "));
        assert!(error(&"{".repeat(500)).starts_with("pattern \"{{{"));
        assert!(error(&"x".repeat(1001)).ends_with("1001 bytes, expected at most 1000"));
    }
}
