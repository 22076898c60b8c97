//! Prompts as messages: who says what, and how it is written as one text.
//!
//! The structure is kept so that a chat template can render the same messages; [`plain`] renders them as
//! base models read them. Behaviour of lm-evaluation-harness 0.4.13.

use serde_json::Value;

use super::fields::FieldPart;
use crate::prompts::{Message, Role};
use crate::python::place;
use crate::python::text::is_space;

/// A message with the text that follows it when all are written as one: a delimiter, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delimited {
    pub message: Message,
    pub suffix: String,
}

impl Delimited {
    pub fn new(role: Role, content: impl Into<String>, suffix: impl Into<String>) -> Self {
        Self { message: Message::new(role, content), suffix: suffix.into() }
    }
}

/// All messages as one text.
pub fn plain(messages: &[Delimited]) -> String {
    messages.iter().flat_map(|m| [m.message.content.as_str(), m.suffix.as_str()]).collect()
}

/// Whether neither side of a join is white space already.
fn needs_delimiter(before: &str, after: &str) -> bool {
    !before.chars().next_back().is_some_and(is_space) && !after.chars().next().is_some_and(is_space)
}

/// Two texts as one: an empty one vanishes, and the delimiter stands between only where no white space does.
pub fn maybe_delimit(before: &str, delimiter: &str, after: &str) -> String {
    let between = !before.is_empty() && !after.is_empty() && needs_delimiter(before, after);
    format!("{before}{}{after}", if between { delimiter } else { "" })
}

/// The message that stands before all others: a system instruction and the task's description.
pub fn system(instruction: Option<&str>, fewshot_delimiter: &str, description: &str) -> Option<Delimited> {
    let text = maybe_delimit(instruction.unwrap_or_default(), fewshot_delimiter, description);
    (!text.is_empty()).then(|| Delimited::new(Role::System, text, ""))
}

/// A question, and for an example its answer.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// What the user says, without the delimiter after it.
    pub question: &'a str,
    /// The choices that an index points into.
    pub choices: Option<&'a [String]>,
    /// The answer; nothing for the evaluated document.
    pub answer: &'a FieldPart,
    /// What the answer begins with.
    pub gen_prefix: Option<&'a str>,
    /// Between question and answer.
    pub target_delimiter: &'a str,
    /// After an answer.
    pub fewshot_delimiter: &'a str,
}

impl Turn<'_> {
    /// The messages of the turn.
    ///
    /// # Errors
    /// An answer that is no text, in words.
    pub fn messages(&self) -> Result<Vec<Delimited>, String> {
        let answer = self.answer_text()?;
        let prefix = self.gen_prefix.filter(|prefix| !prefix.is_empty());
        let delimited = match prefix {
            None => answer.is_some(),
            Some(prefix) => !self.question.is_empty() && needs_delimiter(self.question, prefix),
        };
        let suffix = if delimited { self.target_delimiter } else { "" };
        let mut messages = vec![Delimited::new(Role::User, self.question, suffix)];
        match (answer, prefix) {
            (Some(answer), prefix) => {
                let text = maybe_delimit(prefix.unwrap_or_default(), " ", &answer);
                messages.push(Delimited::new(Role::Assistant, text, self.fewshot_delimiter));
            }
            (None, Some(prefix)) => messages.push(Delimited::new(Role::Assistant, prefix, "")),
            (None, None) => {}
        }
        Ok(messages)
    }

    fn answer_text(&self) -> Result<Option<String>, String> {
        match (self.answer, self.choices, self.answer.index()) {
            (FieldPart::Null, ..) => Ok(None),
            (FieldPart::Text(text), ..) => Ok((!text.is_empty()).then(|| text.clone())),
            (_, Some(choices), Some(index)) if !choices.is_empty() => {
                let choice = place(index, choices.len()).map(|at| choices[at].clone());
                let wrong = || format!("the answer is choice {index}, and there are {}", choices.len());
                choice.map(Some).ok_or_else(wrong)
            }
            (FieldPart::List(items, text), ..) => match (items.first(), text) {
                (Some(Value::String(first)), _) => Ok(Some(first.clone())),
                (_, Some(text)) => Ok(Some(text.clone())),
                (Some(other), None) => Err(format!("the first of several answers is no text: {other}")),
                (None, None) => Err("the list of answers is empty".into()),
            },
            (other, ..) => Err(format!("the answer is {}, no text, and there are no choices", other.shown())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(question: &str, answer: FieldPart, gen_prefix: Option<&str>) -> Result<String, String> {
        let choices = ["no".to_owned(), "yes".to_owned()];
        let turn = Turn {
            question,
            choices: Some(&choices),
            answer: &answer,
            gen_prefix,
            target_delimiter: " ",
            fewshot_delimiter: "\n\n",
        };
        turn.messages().map(|messages| plain(&messages))
    }

    #[test]
    fn turns_with_and_without_answer() {
        assert_eq!(turn("Q:", FieldPart::Index(0), None).unwrap(), "Q: no\n\n");
        assert_eq!(turn("Q:", FieldPart::Index(-1), None).unwrap(), "Q: yes\n\n");
        assert_eq!(turn("Q:", FieldPart::Text("so".into()), None).unwrap(), "Q: so\n\n");
        assert_eq!(turn("Q:", FieldPart::Text(String::new()), None).unwrap(), "Q:");
        assert_eq!(turn("Q:", FieldPart::Null, None).unwrap(), "Q:");
        assert_eq!(turn("Q:", FieldPart::Null, Some("It is")).unwrap(), "Q: It is");
        assert_eq!(turn("Q: ", FieldPart::Null, Some("It is")).unwrap(), "Q: It is");
        assert_eq!(turn("", FieldPart::Null, Some("It is")).unwrap(), "It is");
        assert_eq!(turn("Q:", FieldPart::Index(1), Some("It is")).unwrap(), "Q: It is yes\n\n");
        let list = FieldPart::List(vec!["a".into(), "b".into()], None);
        assert_eq!(turn("Q:", list, None).unwrap(), "Q: a\n\n");
        // A text that looks like a list of numbers is a text.
        let numbers = FieldPart::List(vec![2.into(), 1.into()], Some("[2, 1]".into()));
        assert_eq!(turn("Q:", numbers, None).unwrap(), "Q: [2, 1]\n\n");
        assert_eq!(turn("Q:", FieldPart::Flag(true), None).unwrap(), "Q: yes\n\n");
        assert!(turn("Q:", FieldPart::Index(2), None).unwrap_err().contains("there are 2"));
        assert!(turn("Q:", FieldPart::Index(-3), None).is_err());
        assert!(turn("Q:", FieldPart::List(vec![], None), None).is_err());
    }

    #[test]
    fn delimiters_only_where_no_white_space_stands() {
        assert_eq!(maybe_delimit("a", "-", "b"), "a-b");
        assert_eq!(maybe_delimit("a\n", "-", "b"), "a\nb");
        assert_eq!(maybe_delimit("a", "-", " b"), "a b");
        assert_eq!(maybe_delimit("", "-", "b"), "b");
        assert_eq!(maybe_delimit("a", "-", ""), "a");
        assert_eq!(system(None, "\n\n", ""), None);
        assert_eq!(system(Some("S"), "\n\n", "D\n").unwrap().message.content, "S\n\nD\n");
    }
}
