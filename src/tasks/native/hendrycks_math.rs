//! MATH by normal form: the answer is what stands between the first and the last dollar sign.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, tasks `hendrycks_math_*` (Hendrycks et al. 2021, arXiv:2103.03874).

use serde_json::Value;

use super::latex::{Quotient, boxed_answer, normal_form};
use super::{DocValue, Document, NativeError, Values, text};

/// Adds the `answer` in the last box of the solution.
pub fn process_docs(documents: Vec<Document>) -> Result<Vec<Document>, NativeError> {
    super::each(documents, |document| {
        let answer = right_answer(&document)?.to_owned();
        let mut out = Document::new();
        out.insert("problem".into(), text(&document, "problem")?.into());
        out.insert("solution".into(), text(&document, "solution")?.into());
        out.insert("answer".into(), answer.into());
        Ok(out)
    })
}

pub(super) fn right_answer(document: &Document) -> Result<&str, String> {
    let solution = text(document, "solution")?;
    boxed_answer(solution).ok_or_else(|| "the solution has no \\boxed{…} with an answer".into())
}

/// `exact_match`.
pub fn process_results(document: &Document, answer: &Value) -> Result<Values, String> {
    let answer = answer.as_str().ok_or("expected one text as answer; end the filter with take_first")?;
    let inside = match (answer.find('$'), answer.rfind('$')) {
        (Some(first), Some(last)) if first < last => Some(&answer[first + 1..last]),
        _ => None,
    };
    let (ours, right) = (inside.unwrap_or(answer), right_answer(document)?);
    let equal = match (normal_form(ours, Quotient::Fail), normal_form(right, Quotient::Fail)) {
        (Some(ours), Some(right)) => ours == right,
        _ => ours == right,
    };
    Ok(vec![("exact_match", DocValue::Number(f64::from(u8::from(equal))))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_text_between_dollar_signs_counts() {
        let document = json!({"problem": "p", "solution": "So \\boxed{\\frac{1}{2}}."});
        let document = document.as_object().cloned().unwrap();
        let grade = |answer: &str| process_results(&document, &json!(answer)).unwrap()[0].1.clone();
        assert_eq!(grade("It is $\\frac12$."), DocValue::Number(1.0));
        assert_eq!(grade("1/2"), DocValue::Number(1.0));
        assert_eq!(grade("$1/3$"), DocValue::Number(0.0));
        assert_eq!(process_docs(vec![document]).unwrap()[0]["answer"], "\\frac{1}{2}");
        let bare = json!({"problem": "p", "solution": "no box"}).as_object().cloned().unwrap();
        assert!(process_docs(vec![bare]).unwrap_err().message.contains("boxed"));
    }
}
