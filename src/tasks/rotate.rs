//! A document with its options in another order: what a model answers should not depend on where the right one stands.
//!
//! Moved by one place, the first option stands second and the last one first; so many moves as there are options put each option
//! in each place once. Two forms are known: a list of texts under `choices`, and columns `A`, `B`, `C`, …; the right answer is a
//! number from 0, or the option's letter.

use serde_json::Value;

use super::document::Document;

/// The columns of the right answer, by the names in use.
const ANSWERS: [&str; 4] = ["answer", "Answer", "label", "gold"];
/// Letters of options.
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A document with its options moved on, and what there is to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotated {
    /// The document.
    pub document: Document,
    /// How many options it has.
    pub options: usize,
    /// Where the right one stands now.
    pub answer: usize,
}

/// The document with its options moved on by so many places.
///
/// # Errors
/// A document that has its options in neither form, or no answer that is one of them.
pub fn rotated(document: &Document, by: usize) -> Result<Rotated, String> {
    let mut moved = document.clone();
    let options = match moved.get_mut("choices") {
        Some(Value::Array(options)) if options.len() > 1 && options.iter().all(Value::is_string) => {
            let by = by % options.len();
            options.rotate_right(by);
            options.len()
        }
        _ => {
            let columns: Vec<String> =
                LETTERS.chars().map(String::from).take_while(|letter| is_option(document, letter)).collect();
            let count = columns.len();
            if count < 2 {
                let found: Vec<&str> = document.keys().map(String::as_str).collect();
                let expected = "expected the options in a list of texts `choices` or in columns A, B, …";
                return Err(format!("{expected}, found the columns {}", found.join(", ")));
            }
            for (at, column) in columns.iter().enumerate() {
                let from = &columns[(at + count - by % count) % count];
                moved.insert(column.clone(), document[from].clone());
            }
            count
        }
    };
    let name = ANSWERS.into_iter().find(|name| document.contains_key(*name));
    let name = name.ok_or_else(|| format!("expected the right answer in a column {}", ANSWERS.join(", ")))?;
    let (answer, written) = moved_answer(&document[name], by, options).ok_or_else(|| {
        format!(
            "expected the number or the letter of one of {options} options in {name}, found {}",
            document[name]
        )
    })?;
    moved.insert(name.to_owned(), written);
    Ok(Rotated { document: moved, options, answer })
}

fn is_option(document: &Document, letter: &str) -> bool {
    document.get(letter).is_some_and(|option| option.as_str().is_some_and(|text| !text.is_empty()))
}

/// Where the right answer stands now, written as it was.
fn moved_answer(answer: &Value, by: usize, options: usize) -> Option<(usize, Value)> {
    let to = |place: usize| (place < options).then(|| (place + by) % options);
    match answer {
        Value::Number(number) => {
            let place = to(usize::try_from(number.as_u64()?).ok()?)?;
            Some((place, place.into()))
        }
        Value::String(text) => {
            let mut letters = text.chars();
            let letter =
                letters.next().filter(|letter| LETTERS.contains(*letter) && letters.next().is_none())?;
            let place = to(letter as usize - 'A' as usize)?;
            let letter = LETTERS.chars().nth(place)?;
            Some((place, letter.to_string().into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(value: Value) -> Document {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn each_option_stands_in_each_place_once() {
        let listed = document(json!({"question": "q", "choices": ["w", "x", "y"], "answer": 2}));
        let lettered = document(json!({"Question": "q", "A": "w", "B": "x", "C": "y", "Answer": "C"}));
        for by in 0..6 {
            let one = rotated(&listed, by).unwrap();
            let other = rotated(&lettered, by).unwrap();
            assert_eq!((one.options, one.answer), (3, (2 + by) % 3));
            assert_eq!((other.options, other.answer), (3, (2 + by) % 3));
            let options = one.document["choices"].as_array().unwrap();
            assert_eq!(options[one.answer], "y", "the right answer stays right");
            for (at, letter) in ["A", "B", "C"].into_iter().enumerate() {
                assert_eq!(other.document[letter], options[at]);
                assert_eq!(options[(at + by) % 3], json!(["w", "x", "y"][at]), "moved on by {by}");
            }
            assert_eq!(other.document["Answer"], json!(["A", "B", "C"][other.answer]));
            assert_eq!(one.document["question"], "q");
        }
        assert_eq!(rotated(&listed, 0).unwrap().document, listed);
    }

    #[test]
    fn what_has_no_options_is_refused() {
        for (given, said) in [
            (json!({"text": "x"}), "found the columns text"),
            (json!({"choices": ["a"], "answer": 0}), "expected the options"),
            (json!({"choices": ["a", "b"], "answer": 2}), "2 options in answer, found 2"),
            (json!({"choices": ["a", "b"], "answer": "a"}), "found \"a\""),
            (json!({"choices": ["a", "b"]}), "expected the right answer"),
            (json!({"A": "x", "B": "", "answer": "A"}), "expected the options"),
        ] {
            let error = rotated(&document(given), 1).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
