//! When an answer ends: the EOS, stop strings, a regular expression that cuts the rest off.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer};

use super::parsed::from_str;

/// Memory of a compiled expression, in bytes.
const REGEX_BYTES: usize = 1 << 20;

/// Stop rules of a template, which cut an answer one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRules {
    /// The EOS ends the answer.
    #[serde(default)]
    pub eos: bool,
    /// Texts that end the answer and do not belong to it.
    #[serde(default)]
    pub strings: Vec<String>,
    /// An expression; the answer ends where it first matches.
    #[serde(default)]
    pub regex: Option<StopRegex>,
    /// What is known about it otherwise.
    #[serde(default)]
    pub note: Option<String>,
}

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct StopRegex(Regex);

impl StopRegex {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for StopRegex {
    fn eq(&self, other: &StopRegex) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for StopRegex {}

impl<'de> Deserialize<'de> for StopRegex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StopRegex, D::Error> {
        from_str(deserializer)
    }
}

impl TryFrom<String> for StopRegex {
    type Error = String;

    fn try_from(pattern: String) -> Result<StopRegex, String> {
        let regex = RegexBuilder::new(&pattern).size_limit(REGEX_BYTES).build();
        regex
            .map(StopRegex)
            .map_err(|error| format!("expected a regular expression, found {pattern:?}: {error}"))
    }
}

impl StopRules {
    /// The byte at which an answer ends by strings and expression; `None` if it goes on.
    pub fn end(&self, answer: &str) -> Option<usize> {
        self.end_after(answer, 0)
    }

    /// The same of an answer that grew, and in whose first `clear` bytes no string was found before.
    pub(super) fn end_after(&self, answer: &str, clear: usize) -> Option<usize> {
        let longest = self.strings.iter().map(String::len).max().unwrap_or(0);
        let from = answer.floor_char_boundary((clear + 1).saturating_sub(longest));
        let left = cut(&answer[from..], &self.strings);
        let left = left.map_or(answer, |left| &answer[..from + left.len()]);
        let found = self.regex.iter().find_map(|regex| regex.0.find(left)).map(|found| found.start());
        found.or((left.len() < answer.len()).then_some(left.len()))
    }

    /// How many bytes at the end of an answer without a stop may be the beginning of one. An expression may reach back as far as
    /// it likes.
    pub(super) fn begun(&self, answer: &str) -> usize {
        if self.regex.is_some() {
            return answer.len();
        }
        let (answer, strings) = (answer.as_bytes(), self.strings.iter().map(String::as_bytes));
        let begun = |stop: &[u8]| (1..stop.len()).rev().find(|&bytes| answer.ends_with(&stop[..bytes]));
        strings.filter_map(begun).max().unwrap_or(0)
    }

    /// The answer up to its end.
    pub fn cut<'a>(&self, answer: &'a str) -> &'a str {
        &answer[..self.end(answer).unwrap_or(answer.len())]
    }
}

/// A text without what follows the first stop: each stop in turn cuts what the ones before left, as the reference harness
/// does. `None` if there is none. An empty stop is none.
pub fn cut<'t>(text: &'t str, stops: &[String]) -> Option<&'t str> {
    let stops = stops.iter().filter(|stop| !stop.is_empty());
    stops.fold(None, |left, stop| {
        left.unwrap_or(text).split_once(stop.as_str()).map(|(left, _)| left).or(left)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_cut_one_after_the_other() {
        let stop: StopRules =
            serde_yaml::from_str("strings: ['###', END]\nregex: '(?is)(###|instruction:).*'").unwrap();
        assert_eq!(stop.cut("yes\nInstruction: more\n###"), "yes\n");
        assert_eq!(stop.cut("yes END ###"), "yes ");
        assert_eq!(stop.cut("yes"), "yes");
        assert_eq!(stop.end("é###"), Some(2));
        assert_eq!(StopRules::default().end("anything"), None);
        let overlapping = StopRules { strings: vec!["bc".into(), String::new(), "ab".into()], ..stop };
        assert_eq!(overlapping.cut("abc"), "a");
        assert_eq!(overlapping.end("xbc"), Some(1));
    }

    #[test]
    fn what_may_become_a_stop_is_known() {
        let stop: StopRules = serde_yaml::from_str("strings: ['###', 'END', 'éa']").unwrap();
        for (answer, begun) in [("a", 0), ("a##", 2), ("EN#", 1), ("aEN", 2), ("é", 2), ("", 0)] {
            assert_eq!(stop.begun(answer), begun, "{answer}");
        }
        let stop: StopRules = serde_yaml::from_str("strings: ['#']\nregex: 'a+'").unwrap();
        assert_eq!(
            (stop.begun("b"), stop.end_after("bba#", 2), stop.end_after("bb#", 2)),
            (1, Some(2), Some(2))
        );
    }

    #[test]
    fn a_broken_expression_is_refused() {
        let message = serde_yaml::from_str::<StopRules>("regex: '('").unwrap_err().to_string();
        assert!(message.contains("regular expression"), "{message}");
        assert!(serde_yaml::from_str::<StopRules>("regex: 'a{1000}{1000}'").is_err());
    }
}
