//! The right answer of a document, from what `doc_to_target` gives.

use super::fields::{FieldPart, Wrong};
use crate::metrics::Gold;
use crate::python::{place, print::repr_data};

/// The right answer to a prompt that a model continues. With choices the target is a number; where the first
/// document has several answers, all have, and a single text is taken apart into characters as Python does.
///
/// A text that looks like a list and has no text in it is right as it stands: the reference harness takes `[2, 1]` for two
/// answers, which as numbers are equal to no text, and of `[2,1]` compares what Python prints of it, so that the same text
/// would be wrong.
pub(super) fn written(target: FieldPart, choices: Option<&[String]>, several: bool) -> Result<Gold, Wrong> {
    if let Some(choices) = choices {
        let Some(index) = target.index() else {
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
    let of_item = |item: &serde_json::Value| match item {
        serde_json::Value::String(text) => text.clone(),
        other => repr_data(other),
    };
    let is_several = target.is_several();
    Ok(match target {
        FieldPart::List(items, _) if several && is_several => {
            Gold::Texts(items.iter().map(of_item).collect())
        }
        FieldPart::List(_, Some(text)) if several => Gold::Texts(vec![text]),
        FieldPart::Text(text) if several => Gold::Texts(text.chars().map(String::from).collect()),
        other if several => {
            return Err(("doc_to_target", format!("expected a list of answers, found {}", other.shown())));
        }
        FieldPart::List(items, Some(text)) => {
            let printed = FieldPart::List(items, None).shown();
            if printed == text { Gold::Text(text) } else { Gold::Texts(vec![printed, text]) }
        }
        other => Gold::Text(other.shown()),
    })
}

/// The right answer among the choices, and whether it is there.
pub(super) fn gold(answer: &FieldPart, choices: &[String]) -> Result<(Gold, bool), Wrong> {
    let index = |index: i64| usize::try_from(index).ok().filter(|at| *at < choices.len());
    let one = match answer {
        FieldPart::Index(at) => index(*at),
        FieldPart::Flag(flag) => index(i64::from(*flag)),
        FieldPart::Text(text) => choices.iter().position(|choice| choice == text),
        FieldPart::Null => None,
        FieldPart::Other(_) => {
            return Err((
                "doc_to_target",
                format!("expected a choice or its number, found {}", answer.shown()),
            ));
        }
        FieldPart::List(items, _) => {
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
        let list = || FieldPart::List(vec![json!("x"), json!(3)], None);
        assert_eq!(written(list(), None, true).unwrap(), Gold::Texts(vec!["x".into(), "3".into()]));
        assert_eq!(written(list(), None, false).unwrap(), Gold::Text("['x', 3]".into()));
        assert_eq!(written(FieldPart::Index(5), None, false).unwrap(), Gold::Text("5".into()));
        assert_eq!(written(FieldPart::Flag(true), None, false).unwrap(), Gold::Text("True".into()));
        assert_eq!(written(FieldPart::Other(json!(0.5)), None, false).unwrap(), Gold::Text("0.5".into()));
        let choices = ["a".to_owned(), "b".to_owned()];
        assert_eq!(written(FieldPart::Index(-1), Some(&choices), false).unwrap(), Gold::Text("b".into()));
        assert!(written(FieldPart::Index(2), Some(&choices), false).is_err());
        assert!(written(FieldPart::Index(2), None, true).is_err());
    }

    #[test]
    fn a_text_that_looks_like_a_list_is_right_as_it_stands() {
        let read = |text: &str| {
            let serde_json::Value::Array(items) = crate::python::literal::parse(text).unwrap() else {
                panic!("{text} is a list")
            };
            FieldPart::List(items, Some(text.into()))
        };
        let text = |text: &str| Gold::Text(text.into());
        let texts = |texts: &[&str]| Gold::Texts(texts.iter().map(|text| (*text).into()).collect());
        // Numbers are never equal to a text, so they are no answers of their own.
        assert!(!read("[2, 1]").is_several() && read("['a']").is_several());
        assert_eq!(written(read("[2, 1]"), None, false).unwrap(), text("[2, 1]"));
        assert_eq!(written(read("[2,1]"), None, false).unwrap(), texts(&["[2, 1]", "[2,1]"]));
        assert_eq!(written(read("[2, 1]"), None, true).unwrap(), texts(&["[2, 1]"]));
        assert_eq!(written(read("['a', 3]"), None, true).unwrap(), texts(&["a", "3"]));
        assert_eq!(written(read("['a']"), None, false).unwrap(), text("['a']"));
    }

    #[test]
    fn gold_answers() {
        let choices = ["a".to_owned(), "b".to_owned()];
        let gold = |part: FieldPart| gold(&part, &choices).unwrap();
        assert_eq!(gold(FieldPart::Index(1)), (Gold::Index(1), true));
        assert_eq!(gold(FieldPart::Flag(true)), (Gold::Index(1), true));
        assert_eq!(gold(FieldPart::Index(2)), (Gold::OutOfRange, false));
        assert_eq!(gold(FieldPart::Index(-1)), (Gold::OutOfRange, false));
        assert_eq!(gold(FieldPart::Text("b".into())), (Gold::Index(1), true));
        assert_eq!(gold(FieldPart::Text("c".into())), (Gold::OutOfRange, false));
        let list =
            |items: &[i64]| FieldPart::List(items.iter().map(|i| json!(i)).collect::<Vec<Value>>(), None);
        assert_eq!(gold(list(&[0, 1])), (Gold::Indices(vec![0, 1]), true));
        assert_eq!(gold(list(&[0, 7])), (Gold::Indices(vec![0]), false));
        assert_eq!(gold(list(&[])), (Gold::Indices(vec![]), true));
        assert!(super::gold(&FieldPart::List(vec![json!("a")], None), &choices).is_err());
        assert!(super::gold(&FieldPart::Other(json!(0.5)), &choices).is_err());
    }
}
