//! AGIEval's questions with written answers: the answer is looked for in the text and compared in normal form.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, tasks `agieval_math` and `agieval_gaokao_mathcloze`. Looked for, in
//! turn: the last `\boxed{}`; the last text between dollar signs; what follows the last equals sign; the
//! last number. Two texts without any answer count as equal there, and so they do here.

use std::sync::LazyLock;

use super::latex::{Quotient, equal, last_boxed};
use super::{DocValue, Document, Values, text};
use crate::python::regex::{Found, PyRegex};

static BETWEEN_DOLLARS: LazyLock<PyRegex> = LazyLock::new(|| PyRegex::ours(r"\$(.*)\$"));
static NUMBER: LazyLock<PyRegex> = LazyLock::new(|| PyRegex::ours(r"(?:\$)?\d+(?:\.\d+)?(?![\w\d])"));

/// `acc`: whether the answer equals the one in the document.
pub fn process_results(document: &Document, answer: &str) -> Result<Values, String> {
    let (ours, right) = (parsed(answer)?, parsed(text(document, "answer")?)?);
    let equal = equal(ours.as_deref(), right.as_deref(), Quotient::Keep);
    Ok(vec![("acc", DocValue::Number(f64::from(equal)))])
}

/// The answer in a text, if there is one.
fn parsed(text: &str) -> Result<Option<String>, String> {
    if text.contains("\\boxed") {
        let inside =
            last_boxed(text).and_then(|b| b.strip_prefix("\\boxed{")).and_then(|b| b.strip_suffix('}'));
        return Ok(inside.map(after_equals));
    }
    let between = last(&BETWEEN_DOLLARS, text)?.map(|found| after_equals(&found));
    if between.as_ref().is_some_and(|found| !found.is_empty()) {
        return Ok(between);
    }
    if text.contains('=') {
        let after = after_equals(text);
        let after = after.trim_end_matches('.');
        // A backslash and an n, as written out by some models.
        return Ok(after.split("\\n").next().map(str::to_owned));
    }
    last(&NUMBER, text)
}

/// What follows the last equals sign, or everything.
fn after_equals(text: &str) -> String {
    text.rsplit_once('=').map_or(text, |(_, after)| after.trim_start_matches(' ')).to_owned()
}

fn last(pattern: &PyRegex, text: &str) -> Result<Option<String>, String> {
    Ok(pattern.find_all(text)?.into_iter().next_back().and_then(Found::first_text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_found_in_texts() {
        for (text, wanted) in [
            ("so \\boxed{x = 5}", Some("5")),
            ("\\boxed 5", None),
            ("it is $a = \\frac12$.", Some("\\frac12")),
            ("a = 3.", Some("3")),
            ("a = 3\\nand so on", Some("3")),
            ("from 3 to 4.5 apples", Some("4.5")),
            ("no answer", None),
            ("$$", None),
        ] {
            assert_eq!(parsed(text).unwrap().as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn equal_in_normal_form() {
        let grade = |answer: &str, right: &str| {
            let document = json!({"answer": right});
            let values = process_results(document.as_object().unwrap(), answer).unwrap();
            values[0].1 == DocValue::Number(1.0)
        };
        assert!(grade(" The answer is 0.5", "$\\frac{1}{2}$"));
        assert!(!grade("7", "8"));
        assert!(grade("none", "no number either"));
        assert!(!grade("none", "8"));
    }
}
