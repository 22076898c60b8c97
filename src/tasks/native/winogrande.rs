//! WinoGrande by partial evaluation: each noun is put into the gap, the rest of the sentence is scored.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, task `winogrande`; the method is that of Trinh and Le 2018
//! (arXiv:1806.02847).

use serde_json::Value;

use super::{Document, text};
use crate::python::text as python;

/// The sentence before and after its gap, the first `_`.
fn parts(document: &Document) -> Result<(&str, &str), String> {
    let sentence = text(document, "sentence")?;
    sentence.split_once('_').ok_or_else(|| format!("no `_` in the sentence {sentence:?}"))
}

/// Which of the two contexts is the right one: 0 or 1.
pub fn doc_to_text(document: &Document) -> Result<Value, String> {
    match text(document, "answer")? {
        "1" => Ok(Value::from(0)),
        "2" => Ok(Value::from(1)),
        other => Err(format!("column \"answer\" must be \"1\" or \"2\", found {other:?}")),
    }
}

/// The rest of the sentence.
pub fn doc_to_target(document: &Document) -> Result<Value, String> {
    Ok(Value::from(python::strip(parts(document)?.1)))
}

pub fn doc_to_choice(document: &Document) -> Result<Value, String> {
    let (before, _) = parts(document)?;
    let context = |column| text(document, column).map(|option| Value::from(format!("{before}{option}")));
    Ok(Value::Array(vec![context("option1")?, context("option2")?]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_gap_is_filled() {
        let document = json!({
            "sentence": "The cat _ ran away_ fast. ", "option1": "Tom", "option2": "Bob", "answer": "2"
        });
        let Value::Object(mut document) = document else { panic!("no object") };
        assert_eq!(doc_to_choice(&document).unwrap(), json!(["The cat Tom", "The cat Bob"]));
        assert_eq!(doc_to_target(&document).unwrap(), "ran away_ fast.");
        assert_eq!(doc_to_text(&document).unwrap(), 1);
        document.insert("answer".into(), json!(""));
        assert!(doc_to_text(&document).is_err());
        document.insert("sentence".into(), json!("no gap"));
        assert!(doc_to_target(&document).unwrap_err().contains("no `_`"));
    }
}
