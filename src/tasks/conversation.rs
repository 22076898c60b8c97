//! Instructions whose answers are judged elsewhere: conversations in which every turn holds the answers before it.
//!
//! The first prompt is made with the task. What the user says next can be asked only when there is an answer
//! ([`turns`](super::turns)).

use super::chat::{Chat, Context};
use super::document::Document;
use super::prompt::{Delimited, plain};
use super::request::TextRequest;
use super::schema::Judged;
use crate::prompts::Message;

/// What stands for an answer that is not there yet, to see whether a template has a form for turns.
const ANSWER: &str = "answer";

/// One document's conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// The messages before the first answer, as the template takes them.
    opening: Vec<Message>,
    /// What the user says after each answer but the last.
    pub later: Vec<String>,
    /// The temperature of its answers, where documents have one of their own.
    pub temperature: Option<f64>,
}

/// The prompt of an instruction, and how it goes on. `before` is the system text, if there is one.
///
/// # Errors
/// Columns that are not what the task says, and what the template says, in words.
pub(super) fn conversation(
    judged: &Judged,
    chat: Option<&Chat>,
    document: &Document,
    question: &str,
    before: &[Delimited],
) -> Result<(Context, Conversation), String> {
    let later = judged.later_turns(document)?;
    let temperature = judged.temperature_of(document)?;
    let parts = judged.with_input(document)?;
    let Some(chat) = chat else {
        let context = Context::of_text(plain(before) + question);
        return Ok((context, Conversation { opening: Vec::new(), later, temperature }));
    };
    let user = match parts.filter(|_| chat.takes_input()) {
        Some((instruction, input)) => Message { input: Some(input.to_owned()), ..Message::user(instruction) },
        None => Message::user(question),
    };
    let messages = before.iter().map(|delimited| delimited.message.clone()).chain([user]).collect();
    let context = chat.written(messages)?;
    let conversation = Conversation { opening: context.messages.clone(), later, temperature };
    if !conversation.later.is_empty() {
        let answers = vec![ANSWER; conversation.later.len()];
        conversation.prompt(chat, &answers).map_err(|error| {
            let (name, turns) = (chat.format.name(), answers.len() + 1);
            format!("a conversation of {turns} turns has no form in the chat template {name}: {error}")
        })?;
    }
    Ok((context, conversation))
}

impl Conversation {
    /// The prompt after these answers, the first ones of the conversation.
    pub(super) fn prompt(&self, chat: &Chat, answers: &[&str]) -> Result<TextRequest, String> {
        let turns = answers.iter().zip(&self.later);
        let turns = turns.flat_map(|(answer, said)| [Message::assistant(*answer), Message::user(said)]);
        let context = chat.written(self.opening.iter().cloned().chain(turns).collect())?;
        Ok(TextRequest::to_answer(&context))
    }
}
