//! The right answer of a document, from what `doc_to_target` gives.

use super::fields::{FieldPart, Wrong};
use crate::metrics::Gold;
use crate::python::{place, print::repr_data};

/// The right answer to a prompt that a model continues. With choices the target is a number; where the first
/// document has several answers, all have, and a single text is taken apart into characters as Python does.
pub(super) fn written(target: FieldPart, choices: Option<&[String]>, several: bool) -> Result<Gold, Wrong> {
    if let Some(choices) = choices {
        let FieldPart::Index(index) = target else {
            return Err((
                "doc_to_target",
                format!("expected the number of a choice, found {}", target.shown()),
            ));
        };
        let choice = place(index, choices.len()).map(|at| choices[at].clone());
        let wrong =
            || ("doc_to_target", format!("the answer is choice {index}, and there are {}", choices.len()));
        return choice.map(Gold::Text).ok_or_else(wrong);
    }
    Ok(match target {
        FieldPart::List(items) if several => {
            let text = |item: &serde_json::Value| match item {
                serde_json::Value::String(text) => text.clone(),
                other => repr_data(other),
            };
            Gold::Texts(items.iter().map(text).collect())
        }
        FieldPart::Text(text) if several => Gold::Texts(text.chars().map(String::from).collect()),
        other if several => {
            return Err(("doc_to_target", format!("expected a list of answers, found {}", other.shown())));
        }
        other => Gold::Text(other.shown()),
    })
}

/// The right answer among the choices, and whether it is there.
pub(super) fn gold(answer: &FieldPart, choices: &[String]) -> Result<(Gold, bool), Wrong> {
    let index = |index: i64| usize::try_from(index).ok().filter(|at| *at < choices.len());
    let one = match answer {
        FieldPart::Index(at) => index(*at),
        FieldPart::Text(text) => choices.iter().position(|choice| choice == text),
        FieldPart::Null => None,
        FieldPart::List(items) => {
            let mut indices = Vec::new();
            for item in items {
                let at = item.as_i64().ok_or_else(|| {
                    ("doc_to_target", format!("expected a list of choice numbers, found {item}"))
                })?;
                indices.extend(index(at));
            }
            let all = indices.len() == items.len();
            return Ok((Gold::Indices(indices), all));
        }
    };
    Ok(one.map_or((Gold::OutOfRange, false), |at| (Gold::Index(at), true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn written_answers() {
        let list = || FieldPart::List(vec![json!("x"), json!(3)]);
        assert_eq!(written(list(), None, true).unwrap(), Gold::Texts(vec!["x".into(), "3".into()]));
        assert_eq!(written(list(), None, false).unwrap(), Gold::Text("['x', 3]".into()));
        assert_eq!(written(FieldPart::Index(5), None, false).unwrap(), Gold::Text("5".into()));
        let choices = ["a".to_owned(), "b".to_owned()];
        assert_eq!(written(FieldPart::Index(-1), Some(&choices), false).unwrap(), Gold::Text("b".into()));
        assert!(written(FieldPart::Index(2), Some(&choices), false).is_err());
        assert!(written(FieldPart::Index(2), None, true).is_err());
    }

    #[test]
    fn gold_answers() {
        let choices = ["a".to_owned(), "b".to_owned()];
        let gold = |part: FieldPart| gold(&part, &choices).unwrap();
        assert_eq!(gold(FieldPart::Index(1)), (Gold::Index(1), true));
        assert_eq!(gold(FieldPart::Index(2)), (Gold::OutOfRange, false));
        assert_eq!(gold(FieldPart::Index(-1)), (Gold::OutOfRange, false));
        assert_eq!(gold(FieldPart::Text("b".into())), (Gold::Index(1), true));
        assert_eq!(gold(FieldPart::Text("c".into())), (Gold::OutOfRange, false));
        let list = |items: &[i64]| FieldPart::List(items.iter().map(|i| json!(i)).collect::<Vec<Value>>());
        assert_eq!(gold(list(&[0, 1])), (Gold::Indices(vec![0, 1]), true));
        assert_eq!(gold(list(&[0, 7])), (Gold::Indices(vec![0]), false));
        assert_eq!(gold(list(&[])), (Gold::Indices(vec![]), true));
        assert!(super::gold(&FieldPart::List(vec![json!("a")]), &choices).is_err());
    }
}
