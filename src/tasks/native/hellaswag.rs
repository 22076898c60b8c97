//! HellaSwag's documents made ready: context and endings joined and cleaned of WikiHow's markup.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, task `hellaswag` (Zellers et al. 2019, arXiv:1905.07830).

use std::sync::LazyLock;

use serde_json::Value;

use super::{Document, NativeError, text};
use crate::python::regex::PyRegex;
use crate::python::text as python;
use crate::tasks::document::texts;

/// Marks in square brackets, within a line.
static MARKUP: LazyLock<PyRegex> = LazyLock::new(|| PyRegex::ours(r"\[.*?\]"));

/// Adds `query`, `choices` and `gold` to every document.
pub fn process_docs(documents: Vec<Document>) -> Result<Vec<Document>, NativeError> {
    super::each(documents, process)
}

fn process(mut document: Document) -> Result<Document, String> {
    let second = python::capitalize(text(&document, "ctx_b")?);
    let label = text(&document, "activity_label")?;
    let query = clean(&format!("{label}: {} {second}", text(&document, "ctx_a")?))?;
    let choices: Vec<String> =
        texts(&document, "endings")?.into_iter().map(clean).collect::<Result<_, _>>()?;
    let gold = match document.get("label") {
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => python::strip(text).parse().ok(),
        _ => None,
    };
    let gold = gold.ok_or("column \"label\" holds no whole number; is this an unlabelled test split?")?;
    document.insert("query".into(), Value::String(query));
    document.insert("choices".into(), choices.into());
    document.insert("gold".into(), Value::from(gold));
    Ok(document)
}

/// Strips, turns ` [title]` into a full stop, drops marks, and halves double spaces once.
fn clean(text: &str) -> Result<String, String> {
    let text = python::strip(text).replace(" [title]", ". ");
    Ok(MARKUP.remove(&text)?.replace("  ", " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn context_is_joined_and_cleaned() {
        let document = json!({
            "activity_label": "Roof", "ctx_a": "A man sits. [header] He", "ctx_b": "hE stands [title] up",
            "endings": [" one [substeps]  two  ", "x"], "label": "1"
        });
        let Value::Object(document) = document else { panic!("no object") };
        let done = process_docs(vec![document]).unwrap().remove(0);
        assert_eq!(done["query"], "Roof: A man sits. He He stands. up");
        assert_eq!(done["choices"], json!(["one  two", "x"]));
        assert_eq!(done["gold"], 1);
        assert_eq!(done.keys().next_back().unwrap(), "gold");
    }

    #[test]
    fn an_unlabelled_document_is_named() {
        let document = json!({"activity_label": "", "ctx_a": "", "ctx_b": "", "endings": [], "label": ""});
        let Value::Object(document) = document else { panic!("no object") };
        let error = process_docs(vec![document]).unwrap_err();
        assert!(error.doc == 0 && error.message.contains("label"));
    }
}
