//! MATH by normal form: the answer is what stands between the first and the last dollar sign.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, tasks `hendrycks_math_*` (Hendrycks et al. 2021, arXiv:2103.03874).

use super::latex::{Quotient, boxed_answer, equal};
use super::{DocValue, Document, NativeError, Values, text};

/// Adds the `answer` in the last box of the solution.
pub fn process_docs(documents: Vec<Document>) -> Result<Vec<Document>, NativeError> {
    with_answers(documents, |answer| Ok(answer.to_owned()))
}

/// Problem and solution, and as `answer` what `form` makes of the right one.
pub(super) fn with_answers(
    documents: Vec<Document>,
    form: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<Document>, NativeError> {
    super::each(documents, |document| {
        let mut out = Document::new();
        for column in ["problem", "solution"] {
            out.insert(column.into(), text(&document, column)?.into());
        }
        out.insert("answer".into(), form(right_answer(&document)?)?.into());
        Ok(out)
    })
}

fn right_answer(document: &Document) -> Result<&str, String> {
    let solution = text(document, "solution")?;
    boxed_answer(solution).ok_or_else(|| "the solution has no \\boxed{…} with an answer".into())
}

/// `exact_match`.
pub fn process_results(document: &Document, answer: &str) -> Result<Values, String> {
    let inside = match (answer.find('$'), answer.rfind('$')) {
        (Some(first), Some(last)) if first < last => &answer[first + 1..last],
        _ => answer,
    };
    let equal = equal(Some(inside), Some(right_answer(document)?), Quotient::Fail);
    Ok(vec![("exact_match", DocValue::Number(f64::from(equal)))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_text_between_dollar_signs_counts() {
        let document = json!({"problem": "p", "solution": "So \\boxed{\\frac{1}{2}}."});
        let document = document.as_object().cloned().unwrap();
        let grade = |answer: &str| process_results(&document, answer).unwrap()[0].1.clone();
        assert_eq!(grade("It is $\\frac12$."), DocValue::Number(1.0));
        assert_eq!(grade("1/2"), DocValue::Number(1.0));
        assert_eq!(grade("$1/3$"), DocValue::Number(0.0));
        assert_eq!(process_docs(vec![document]).unwrap()[0]["answer"], "\\frac{1}{2}");
        let bare = json!({"problem": "p", "solution": "no box"}).as_object().cloned().unwrap();
        assert!(process_docs(vec![bare]).unwrap_err().message.contains("boxed"));
    }
}
