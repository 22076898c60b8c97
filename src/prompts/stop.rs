//! When an answer ends: the EOS, stop strings, a regular expression that cuts the rest off.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer};

use super::parsed::from_str;

/// Memory of a compiled expression, in bytes.
const REGEX_BYTES: usize = 1 << 20;

/// Stop rules of a template. The first one that fires ends the answer.
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
        let strings = self.strings.iter().filter_map(|text| answer.find(text.as_str()));
        let regex = self.regex.iter().filter_map(|regex| regex.0.find(answer).map(|found| found.start()));
        strings.chain(regex).min()
    }

    /// The answer up to its end.
    pub fn cut<'a>(&self, answer: &'a str) -> &'a str {
        self.end(answer).and_then(|end| answer.get(..end)).unwrap_or(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fires_ends_the_answer() {
        let stop: StopRules =
            serde_yaml::from_str("strings: ['###', END]\nregex: '(?is)(###|instruction:).*'").unwrap();
        assert_eq!(stop.cut("yes\nInstruction: more\n###"), "yes\n");
        assert_eq!(stop.cut("yes END ###"), "yes ");
        assert_eq!(stop.cut("yes"), "yes");
        assert_eq!(stop.end("é###"), Some(2));
        assert_eq!(StopRules::default().end("anything"), None);
    }

    #[test]
    fn a_broken_expression_is_refused() {
        let message = serde_yaml::from_str::<StopRules>("regex: '('").unwrap_err().to_string();
        assert!(message.contains("regular expression"), "{message}");
        assert!(serde_yaml::from_str::<StopRules>("regex: 'a{1000}{1000}'").is_err());
    }
}
