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

    /// Each line is what the Python original gives for an answer and a right one.
    #[test]
    fn answers_are_right_where_the_original_says_so() {
        for (answer, right, expected) in [
            ("\\boxed{\\frac{1}{2}} and \\boxed{x=0.5}", "$\\frac{1}{2}$", 1),
            ("\\fbox{3}", "3", 1),
            ("so \\boxed {7}", "7", 0),
            ("\\boxed{{1,2}}", "{1,2}", 0),
            ("the answer is $x=\\sqrt3$", "\\sqrt{3}", 0),
            ("$2$ or $3$", "3", 0),
            ("$$4$$", "4", 0),
            ("y = 12 cm.", "12", 0),
            ("a=b=0.50", "0.5", 0),
            ("x = 3\\nNext = 4", "3", 0),
            ("x = 3\nNext", "3", 0),
            ("It is 3,000 dollars", "3,000", 1),
            ("costs \\$5", "5", 0),
            ("50\\%", "50", 1),
            ("90^\\circ", "90", 1),
            ("90^{\\circ}", "90", 1),
            ("答案是12", "12", 1),
            ("答案是 1/2。", "\\frac{1}{2}", 1),
            ("$1/2$", "\\frac{1}{2}", 0),
            (".5", "0.5", 0),
            ("\\tfrac12", "\\frac{1}{2}", 0),
            ("\\left( 1, 2 \\right)", "(1,2)", 1),
            ("k = 0.5", "\\frac{1}{2}", 0),
            ("5 \\text{ cm}", "5", 1),
            ("-3", "-3", 1),
            ("= -3", "-3", 0),
            ("3.14x", "3", 1),
            ("7th", "7", 0),
            ("7 th", "7", 1),
            ("", "", 1),
            ("none", "none", 1),
            ("\\boxed{}", "", 0),
            ("$", "1", 0),
            ("3 $ and 4 $", "4", 0),
            ("x=", "x=", 1),
            ("{ -5 }", "-5", 1),
            ("1 2", "12", 0),
            ("\\boxed{5", "5", 0),
            ("the value is 2\\sqrt{3}", "2\\sqrt{3}", 1),
            ("$2\\sqrt 3$", "2\\sqrt{3}", 0),
            ("the answer is $x=\\sqrt3$", "$\\sqrt{3}$", 1),
            ("$1/2$", "$\\frac{1}{2}$", 1),
            ("k = 0.5", "$\\frac{1}{2}$", 1),
            ("x = \\tfrac12", "$\\frac{1}{2}$", 1),
            ("= \\dfrac{3}{4}", "$\\frac{3}{4}$", 1),
            ("y=5 \\text{ cm}", "$5$", 1),
            ("= 2\\sqrt3", "$2\\sqrt{3}$", 1),
            ("= .5", "$0.5$", 1),
            ("= 90^{\\circ}", "$90$", 1),
            ("= 1/2", "$1/2$", 1),
            ("= \\left( 1, 2 \\right)", "$(1,2)$", 1),
            ("= -3.", "$-3$", 1),
            ("= \\$5", "$5$", 1),
            ("= 50\\%", "$50$", 1),
            ("= a/b", "$\\frac{a}{b}$", 0),
        ] {
            let document = json!({"answer": right});
            let values = process_results(document.as_object().unwrap(), answer).unwrap();
            assert_eq!(values[0].1, DocValue::Number(f64::from(expected)), "{answer:?} {right:?}");
        }
    }
}
