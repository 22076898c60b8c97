//! Metrics of one written answer against the right one.

use serde_json::{Map, Value};

use crate::python::regex::PyRegex;

/// The metrics of written answers.
pub const WRITTEN_METRICS: [&str; 5] = ["exact_match", "bleu", "chrf", "chrf++", "ter"];

/// `exact_match`: equality of two texts, after both lost what does not count.
///
/// In this order: each pattern's matches, upper case, ASCII punctuation, ASCII digits.
#[derive(Debug, Default)]
pub struct ExactMatch {
    regexes: Vec<PyRegex>,
    ignore_case: bool,
    ignore_punctuation: bool,
    ignore_numbers: bool,
}

impl ExactMatch {
    /// The metric with the arguments of a task file.
    ///
    /// # Errors
    /// The argument and what is wrong with it, in words.
    pub fn new(kwargs: &Map<String, Value>) -> Result<Self, String> {
        let mut metric = Self::default();
        for (key, value) in kwargs {
            let flag =
                || value.as_bool().ok_or_else(|| format!("{key}: expected true or false, found {value}"));
            match key.as_str() {
                "ignore_case" => metric.ignore_case = flag()?,
                "ignore_punctuation" => metric.ignore_punctuation = flag()?,
                "ignore_numbers" => metric.ignore_numbers = flag()?,
                "regexes_to_ignore" => {
                    let texts: Option<Vec<&str>> = match value {
                        Value::Null => Some(Vec::new()),
                        Value::Array(listed) => listed.iter().map(Value::as_str).collect(),
                        _ => None,
                    };
                    let texts =
                        texts.ok_or_else(|| format!("{key}: expected a list of texts, found {value}"))?;
                    metric.regexes = texts.into_iter().map(PyRegex::new).collect::<Result<_, _>>()?;
                }
                _ => return Err(format!("{key}: exact_match has no such argument")),
            }
        }
        Ok(metric)
    }

    /// Whether an answer is right.
    ///
    /// # Errors
    /// A pattern that takes too many steps, in words.
    pub fn is_match(&self, gold: &str, answer: &str) -> Result<bool, String> {
        Ok(self.reduced(gold)? == self.reduced(answer)?)
    }

    fn reduced(&self, text: &str) -> Result<String, String> {
        let mut text = text.to_owned();
        for regex in &self.regexes {
            text = regex.remove(&text)?;
        }
        if self.ignore_case {
            text = text.to_lowercase();
        }
        if self.ignore_punctuation {
            text.retain(|c| !c.is_ascii_punctuation());
        }
        if self.ignore_numbers {
            text.retain(|c| !c.is_ascii_digit());
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn equal(kwargs: Value, gold: &str, answer: &str) -> bool {
        ExactMatch::new(kwargs.as_object().unwrap()).unwrap().is_match(gold, answer).unwrap()
    }

    #[test]
    fn what_does_not_count_is_dropped_on_both_sides() {
        assert!(equal(json!({}), "A b", "A b") && !equal(json!({}), "A b", "a b"));
        assert!(equal(json!({"ignore_case": true, "ignore_punctuation": true}), "It's", "ITS!"));
        assert!(equal(json!({"ignore_numbers": true}), "a1", "a23"));
        let gsm8k = json!({"ignore_case": true, "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"]});
        assert!(equal(gsm8k.clone(), "She has\n1 + 1.\n#### 1,234", "$1234."));
        assert!(!equal(gsm8k, "#### 1234", "12345"));
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (kwargs, part) in [
            (json!({"ignore_caps": true}), "ignore_caps"),
            (json!({"ignore_case": 1}), "expected true or false"),
            (json!({"regexes_to_ignore": "x"}), "a list of texts"),
            (json!({"regexes_to_ignore": ["("]}), "pattern"),
        ] {
            assert!(ExactMatch::new(kwargs.as_object().unwrap()).unwrap_err().contains(part));
        }
    }
}
