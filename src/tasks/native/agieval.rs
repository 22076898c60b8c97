//! AGIEval's questions with choices: several answers may be right.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, tasks `agieval_*` (Zhong et al. 2023, arXiv:2304.06364). `gold` is a
//! list of choice numbers; the likeliest choice is right if it is among them. `acc_norm` divides each
//! log-likelihood by the Unicode characters of the choice.

use serde_json::Value;

use super::{DocValue, Document, Values};
use crate::tasks::document::texts;

/// `acc` and `acc_norm`.
pub fn process_results_mcqa(document: &Document, logprobs: &[f64]) -> Result<Values, String> {
    let gold = document.get("gold").and_then(Value::as_array).ok_or("column \"gold\" holds no list")?;
    let lengths: Vec<f64> =
        texts(document, "choices")?.iter().map(|choice| choice.chars().count() as f64).collect();
    if lengths.len() != logprobs.len() || logprobs.is_empty() {
        return Err(format!("{} choices and {} scores", lengths.len(), logprobs.len()));
    }
    let right = |values: &[f64]| {
        let best = crate::metrics::first_highest(values);
        let hit = gold.iter().any(|g| g.as_u64().and_then(|g| usize::try_from(g).ok()) == Some(best));
        DocValue::Number(f64::from(hit))
    };
    let per_character: Vec<f64> = logprobs.iter().zip(&lengths).map(|(l, n)| l / n).collect();
    Ok(vec![("acc", right(logprobs)), ("acc_norm", right(&per_character))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn any_of_the_right_answers_counts() {
        let grade = |gold: Value| {
            let document = json!({"gold": gold, "choices": ["(A)a", "(B)bbbbbb", "(C)c"]});
            process_results_mcqa(document.as_object().unwrap(), &[-4.0, -5.0, -4.5]).unwrap()
        };
        let number = DocValue::Number;
        assert_eq!(grade(json!([0, 2])), [("acc", number(1.0)), ("acc_norm", number(0.0))]);
        assert_eq!(grade(json!([1])), [("acc", number(0.0)), ("acc_norm", number(1.0))]);
        assert_eq!(grade(json!([])), [("acc", number(0.0)), ("acc_norm", number(0.0))]);
    }
}
