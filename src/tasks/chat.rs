//! Prompts as conversations: the messages of a document, written by a chat template.
//!
//! Rules of lm-evaluation-harness 0.4.13. With turns, each message is one; without, everything but the system
//! text is one message of the user, written as a base model reads it. A document's `gen_prefix` is an answer
//! that has begun. A template that refuses gets a second try without the system text.
//!
//! A template of a card also writes the answers that are scored, so that they stand after `ASSISTANT:` with the
//! same space, and cut at the same places, as in training. A checkpoint's template ends with its generation
//! prompt and the answer follows directly, as in the reference harness.

use std::sync::Arc;

use super::prompt::{Delimited, plain};
use crate::prompts::{self, ChatFormat, End, Message, PromptSegment, Role, WrittenChat};

/// How the prompts of a run are written as conversations.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// The chat template that writes them.
    pub format: Arc<ChatFormat>,
    /// Whether examples are turns of their own.
    pub multiturn: bool,
}

/// A prompt of a card's template in segments, and an answer after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatSegments {
    /// The prompt; requests with one context share it.
    pub context: Arc<[PromptSegment]>,
    /// Whether the first text of `answer` goes on with the last text of `context`.
    pub joined: bool,
    /// The answer that is scored; empty where the model is to write one.
    pub answer: Vec<PromptSegment>,
}

/// A written prompt.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// The prompt as text.
    pub text: Arc<str>,
    /// As segments, of a card's template.
    segments: Option<Arc<[PromptSegment]>>,
    /// The messages it was made from.
    pub messages: Vec<Message>,
    /// Whether the template refused the system text, so that it is missing.
    pub without_system: bool,
}

impl Context {
    /// A prompt that no template wrote.
    pub fn of_text(text: String) -> Self {
        Self { text: text.into(), segments: None, messages: Vec::new(), without_system: false }
    }

    /// The segments of a prompt that the model is to answer.
    pub fn asked(&self) -> Option<ChatSegments> {
        let context = Arc::clone(self.segments.as_ref()?);
        Some(ChatSegments { context, joined: false, answer: Vec::new() })
    }
}

impl Chat {
    /// Writes the messages of a document.
    ///
    /// # Errors
    /// What the template says, in words.
    pub(super) fn context(&self, messages: &[Delimited]) -> Result<Context, String> {
        self.written(if self.multiturn { turns(messages) } else { one_turn(messages) })
    }

    /// Writes a conversation whose turns are turns, whatever is done with examples.
    ///
    /// # Errors
    /// What the template says, in words.
    pub(super) fn written(&self, mut messages: Vec<Message>) -> Result<Context, String> {
        let end = match messages.last() {
            Some(last) if last.role == Role::Assistant => End::Open,
            _ => End::Answer,
        };
        let has_system = messages.first().is_some_and(|first| first.role == Role::System);
        let (written, without_system) = match self.format.write(&messages, end) {
            Err(_) if has_system => {
                messages.remove(0);
                (self.format.write(&messages, end), true)
            }
            first => (first, false),
        };
        let WrittenChat { text, segments } = written.map_err(|error| error.to_string())?;
        Ok(Context { text: text.into(), segments: segments.map(Into::into), messages, without_system })
    }

    /// What is scored when `answer` follows a prompt: its text, and the segments of a card's template.
    ///
    /// # Errors
    /// What the template says, in words.
    pub(super) fn answered(
        &self,
        context: &Context,
        answer: &str,
    ) -> Result<(String, Option<ChatSegments>), String> {
        let Some(segments) = &context.segments else { return Ok((answer.to_owned(), None)) };
        let mut messages = context.messages.clone();
        match messages.last_mut() {
            Some(last) if last.role == Role::Assistant => last.content.push_str(answer),
            _ => messages.push(Message::assistant(answer.trim_start())),
        }
        let whole = self.format.write(&messages, End::Open).map_err(|error| error.to_string())?;
        let (joined, answer) =
            whole.segments.and_then(|whole| after(segments, &whole)).unwrap_or_else(|| {
                // The template writes prompts and answers in different ways: the answer follows directly.
                (true, vec![PromptSegment::Text(answer.to_owned())])
            });
        Ok((prompts::text(&answer), Some(ChatSegments { context: Arc::clone(segments), joined, answer })))
    }

    /// Whether the input of an instruction has a place of its own.
    pub(super) fn takes_input(&self) -> bool {
        self.format.template().is_some_and(|template| template.layout.user_with_input.is_some())
    }
}

/// What of a conversation stands after a prompt that it begins with, and whether it goes on with its last text.
fn after(prompt: &[PromptSegment], whole: &[PromptSegment]) -> Option<(bool, Vec<PromptSegment>)> {
    if let Some(rest) = whole.strip_prefix(prompt) {
        return Some((false, rest.to_vec()));
    }
    let (last, before) = prompt.split_last()?;
    let (first, rest) = whole.strip_prefix(before)?.split_first()?;
    let (PromptSegment::Text(last), PromptSegment::Text(first)) = (last, first) else { return None };
    let first = PromptSegment::Text(first.strip_prefix(last.as_str())?.to_owned());
    Some((true, std::iter::once(first).chain(rest.iter().cloned()).collect()))
}

fn turns(messages: &[Delimited]) -> Vec<Message> {
    messages.iter().map(|delimited| delimited.message.clone()).collect()
}

/// The system text, one message of the user with all else, and an answer that has begun.
fn one_turn(messages: &[Delimited]) -> Vec<Message> {
    let is = |message: &Delimited, role| message.message.role == role;
    let (system, rest) = match messages.split_first() {
        Some((first, rest)) if is(first, Role::System) => (Some(first), rest),
        _ => (None, messages),
    };
    let (begun, rest) = match rest.split_last() {
        Some((last, rest)) if is(last, Role::Assistant) => (Some(last), rest),
        _ => (None, rest),
    };
    let (last, before) = rest.split_last().expect("a prompt has a question");
    let user = Message::user(plain(before) + &last.message.content);
    let begun = begun.map(|begun| begun.message.clone());
    system.map(|system| system.message.clone()).into_iter().chain([user]).chain(begun).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompts::load;

    fn messages(prefix: Option<&str>) -> Vec<Delimited> {
        let mut messages = vec![
            Delimited::new(Role::System, "Sums.", ""),
            Delimited::new(Role::User, "1+1?", " "),
            Delimited::new(Role::Assistant, "2", "\n\n"),
            Delimited::new(Role::User, "1+2?", if prefix.is_some() { " " } else { "" }),
        ];
        messages.extend(prefix.map(|prefix| Delimited::new(Role::Assistant, prefix, "")));
        messages
    }

    fn chat(template: &str, multiturn: bool) -> Chat {
        Chat { format: Arc::new(ChatFormat::of_card(&load(None).unwrap()[template])), multiturn }
    }

    #[test]
    fn examples_are_turns_or_one_message() {
        let text = |multiturn| chat("vicuna-v1.1", multiturn).context(&messages(None)).unwrap().text;
        assert_eq!(*text(true), *"Sums. USER: 1+1? ASSISTANT: 2</s>USER: 1+2? ASSISTANT:");
        assert_eq!(*text(false), *"Sums. USER: 1+1? 2\n\n1+2? ASSISTANT:");
        let begun = chat("vicuna-v1.1", false).context(&messages(Some("It is"))).unwrap().text;
        assert_eq!(*begun, *"Sums. USER: 1+1? 2\n\n1+2? ASSISTANT: It is");
    }

    #[test]
    fn the_template_writes_the_answer() {
        let chat = chat("vicuna-v1.1", true);
        let context = chat.context(&messages(None)).unwrap();
        let (text, segments) = chat.answered(&context, "3").unwrap();
        let segments = segments.unwrap();
        assert_eq!((text.as_str(), segments.joined), (" 3", true));
        assert_eq!(segments.context.last(), Some(&PromptSegment::Text("USER: 1+2? ASSISTANT:".into())));
        let begun = chat.context(&messages(Some("It is"))).unwrap();
        assert_eq!(chat.answered(&begun, " 3").unwrap().0, " 3");
        assert_eq!(begun.asked().unwrap().answer, []);
    }

    #[test]
    fn every_template_goes_on_from_its_prompt() {
        for (name, template) in load(None).unwrap() {
            let chat = Chat { format: Arc::new(ChatFormat::of_card(&template)), multiturn: false };
            if template.layout.assistant.is_none() {
                continue;
            }
            let context = chat.context(&messages(None)).unwrap();
            let (text, segments) = chat.answered(&context, "3").unwrap();
            // One template lets the model say its own name before the answer.
            let before = text.strip_suffix('3').map(str::trim);
            assert!(matches!(before, Some("" | "Assistant:")), "{name}: {text:?}, {segments:?}");
        }
    }

    #[test]
    fn a_refused_system_text_is_left_out_and_told() {
        let context = chat("alpaca", false).context(&messages(None)).unwrap();
        assert!(context.without_system && !context.text.contains("Sums."), "{}", context.text);
        assert!(context.text.ends_with("### Instruction:\n1+1? 2\n\n1+2?\n\n### Response:"));
        assert!(!chat("vicuna-v1.1", true).context(&messages(None)).unwrap().without_system);
        let turns = chat("alpaca", true).context(&messages(None)).unwrap_err();
        assert!(turns.contains("single turn"), "{turns}");
    }
}
