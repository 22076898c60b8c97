//! RACE: an article with its earlier questions answered, then the last question.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, task `race` (Lai et al. 2017, arXiv:1704.04683). `problems` is a
//! Python list as text. Of each problem but the last: a question that ends in a gap, `  _  .`, is written
//! with the right option in the gap's place, every other one as question and answer.

use serde_json::Value;

use super::{Document, text};
use crate::python::literal;

struct Problem {
    question: String,
    options: Vec<String>,
    answer: usize,
}

fn problems(document: &Document) -> Result<Vec<Problem>, String> {
    let listed =
        literal::parse(text(document, "problems")?).map_err(|e| format!("column \"problems\": {e}"))?;
    let listed = listed.as_array().filter(|items| !items.is_empty());
    let listed = listed.ok_or("column \"problems\" is no list of problems")?;
    listed.iter().map(problem).collect()
}

fn problem(value: &Value) -> Result<Problem, String> {
    let field = |key: &str| value.get(key).ok_or_else(|| format!("a problem has no {key:?}"));
    let question = field("question")?.as_str().ok_or("a question is no text")?.to_owned();
    let options = field("options")?.as_array().ok_or("the options are no list")?;
    let options: Option<Vec<String>> =
        options.iter().take(4).map(|o| o.as_str().map(str::to_owned)).collect();
    let options = options.ok_or("an option is no text")?;
    if options.len() < 4 {
        return Err(format!("expected 4 options that are texts, found {}", options.len()));
    }
    let letter = field("answer")?.as_str().ok_or("an answer is no text")?;
    let answer = ["A", "B", "C", "D"].iter().position(|known| *known == letter);
    let answer = answer.ok_or_else(|| format!("expected an answer from A to D, found {letter:?}"))?;
    Ok(Problem { question, options, answer })
}

fn last(document: &Document) -> Result<Problem, String> {
    problems(document)?.pop().ok_or_else(|| "column \"problems\" is empty".into())
}

/// The article, the answered questions and the open one.
pub fn doc_to_text(document: &Document) -> Result<Value, String> {
    let mut out = format!("Article: {}\n\n", text(document, "article")?);
    let problems = problems(document)?;
    let (open, answered) = problems.split_last().ok_or("column \"problems\" is empty")?;
    for problem in answered {
        let answer = &problem.options[problem.answer];
        match problem.question.strip_suffix(" _  .").filter(|before| before.ends_with(' ')) {
            Some(before) => out.push_str(&format!("{before}{answer}\n")),
            None => out.push_str(&format!("Question: {}\nAnswer: {answer}\n", problem.question)),
        }
    }
    out.push_str(&open.question);
    Ok(out.into())
}

/// The number of the right option of the last question.
pub fn doc_to_target(document: &Document) -> Result<Value, String> {
    Ok(last(document)?.answer.into())
}

/// The options of the last question.
pub fn doc_to_choice(document: &Document) -> Result<Value, String> {
    Ok(last(document)?.options.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn earlier_questions_are_answered() {
        let problems = "[{'question': 'He is  _  .', 'answer': 'B', 'options': ['w', 'x', 'y', 'z']}, \
                         {'question': 'Who?', 'answer': 'A', 'options': ['w', 'x', 'y', 'z']}, \
                         {'question': 'Why?', 'answer': 'D', 'options': ['1', '2', '3', \"4's\"]}]";
        let document = json!({"article": "Text.", "problems": problems});
        let document = document.as_object().unwrap();
        let wanted = "Article: Text.\n\nHe is x\nQuestion: Who?\nAnswer: w\nWhy?";
        assert_eq!(doc_to_text(document).unwrap(), wanted);
        assert_eq!(doc_to_target(document).unwrap(), 3);
        assert_eq!(doc_to_choice(document).unwrap(), json!(["1", "2", "3", "4's"]));
    }

    #[test]
    fn what_is_missing_is_said() {
        let said = |problems: &str| {
            let document = json!({"article": "", "problems": problems});
            doc_to_text(document.as_object().unwrap()).unwrap_err()
        };
        assert!(said("[]").contains("no list of problems"));
        assert!(said("[{'question': 'q', 'options': ['a'], 'answer': 'A'}]").contains("found 1"));
        assert!(said("[{'question': 'q', 'options': ['a','b','c','d'], 'answer': 'E'}]").contains("\"E\""));
    }
}
