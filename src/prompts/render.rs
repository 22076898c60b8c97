//! Conversations to segments: text and special tokens, in order.
//!
//! The rules are those of the families' own code (facts and sources stand in each template's file): an
//! optional system message, then user and assistant in turn.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::PromptError;
use super::pattern::{Pattern, Piece};
use super::template::{EmptySystem, InputWhen, Kind, PromptTemplate};
use crate::base::names::name_of;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(self))
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// The second text of an instruction (the `input` of the Alpaca data).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

impl Message {
    /// A message without an input.
    pub fn new(role: Role, content: impl Into<String>) -> Message {
        Message { role, content: content.into(), input: None }
    }

    /// A message of the person.
    pub fn user(content: impl Into<String>) -> Message {
        Message::new(Role::User, content)
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<String>) -> Message {
        Message::new(Role::Assistant, content)
    }

    /// The system message.
    pub fn system(content: impl Into<String>) -> Message {
        Message::new(Role::System, content)
    }

    /// The same message with a second text.
    #[must_use]
    pub fn with_input(mut self, input: impl Into<String>) -> Message {
        self.input = Some(input.into());
        self
    }
}

/// A special token by its part in the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Special {
    /// The start mark (`<s>`).
    Bos,
    /// The end mark (`</s>`).
    Eos,
    /// A token of the vocabulary by its text (`<human>`).
    Token(String),
}

/// A piece of a rendered prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Text in which nothing is special. Two texts in a row are encoded apart.
    Text(String),
    /// One token.
    Special(Special),
}

/// How the end of a conversation is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// After a last user message comes what makes the model answer.
    pub add_generation_prompt: bool,
    /// A last assistant message is left open, so that the model goes on with it.
    pub continue_final_message: bool,
}

impl Default for RenderOptions {
    fn default() -> Self {
        RenderOptions { add_generation_prompt: true, continue_final_message: false }
    }
}

impl PromptTemplate {
    /// The segments of a conversation.
    ///
    /// Errors: no message, roles out of turn, more turns than the template knows, a system message or an input
    /// without a place, a forbidden text.
    pub fn render(&self, messages: &[Message], options: RenderOptions) -> Result<Vec<Segment>, PromptError> {
        self.check_conversation(messages)?;
        let (given, turns) = match messages {
            [first, rest @ ..] if first.role == Role::System => (Some(&first.content), rest),
            all => (None, all),
        };
        let system = given.or(self.default_system.as_ref());
        let system = system
            .map(|text| self.stripped(Role::System, text))
            .filter(|text| !(text.is_empty() && self.layout.empty_system == EmptySystem::Omit));
        let mut writer = Writer::default();
        if let (Some(pattern), Some(system)) = (&self.layout.system, system) {
            writer.pattern(pattern, &Filling { system, ..Filling::default() });
        }
        for (i, message) in turns.iter().enumerate() {
            match message.role {
                Role::Assistant => {
                    let open = options.continue_final_message && i + 1 == turns.len();
                    self.assistant(&mut writer, message, open);
                }
                _ => {
                    if i > 0 {
                        writer.pattern(&self.layout.between, &Filling::default());
                    }
                    self.user(&mut writer, message, system.filter(|_| i == 0));
                }
            }
        }
        let asked = turns.last().is_some_and(|last| last.role == Role::User);
        if asked && options.add_generation_prompt {
            writer.pattern(&self.layout.generation, &Filling::default());
        }
        Ok(writer.segments)
    }

    fn user(&self, writer: &mut Writer, message: &Message, system: Option<&str>) {
        let folded = match (&self.layout.system_in_user, system) {
            (Some(pattern), Some(system)) => {
                let filling = Filling { system, content: &message.content, input: "" };
                Some(filling.text(pattern))
            }
            _ => None,
        };
        let content = self.stripped(Role::User, folded.as_deref().unwrap_or(&message.content));
        let wanted = |input: &&String| self.layout.input_when == InputWhen::Present || !input.is_empty();
        let (pattern, input) = match (&self.layout.user_with_input, message.input.as_ref().filter(wanted)) {
            (Some(pattern), Some(input)) => (pattern, input.as_str()),
            _ => (&self.layout.user, ""),
        };
        writer.pattern(pattern, &Filling { system: "", content, input });
    }

    fn assistant(&self, writer: &mut Writer, message: &Message, open: bool) {
        let content = self.stripped(Role::Assistant, &message.content);
        let filling = Filling { content, ..Filling::default() };
        if let Some(pattern) = &self.layout.assistant {
            for piece in pattern.pieces() {
                writer.piece(piece, &filling);
                if open && *piece == Piece::Content {
                    break;
                }
            }
        }
    }

    /// The text without white space at both ends if the template strips this role.
    fn stripped<'a>(&self, role: Role, text: &'a str) -> &'a str {
        if self.strip.contains(&role) { python_strip(text) } else { text }
    }

    fn check_conversation(&self, messages: &[Message]) -> Result<(), PromptError> {
        let fault = |index: usize, expected: &str, found: String| PromptError::Conversation {
            template: self.name.clone(),
            index,
            expected: expected.to_owned(),
            found,
        };
        let mut wanted = Role::User;
        let mut users = 0_usize;
        for (index, message) in (1..).zip(messages) {
            let role = message.role;
            self.check_forbidden(index, message)?;
            if role == Role::System {
                if index != 1 {
                    return Err(fault(
                        index,
                        "a system message only at the start",
                        "one in between".to_owned(),
                    ));
                }
                if self.layout.system.is_none() && self.layout.system_in_user.is_none() {
                    let said = "a conversation without a system message (the template has no place for one)";
                    return Err(fault(index, said, "a system message".to_owned()));
                }
                continue;
            }
            if role != wanted {
                return Err(fault(
                    index,
                    &format!("a message of the {wanted}"),
                    format!("one of the {role}"),
                ));
            }
            if role == Role::User {
                users += 1;
                if users > 1 && self.kind != Kind::Chat {
                    let said = "one user message (the template knows a single turn)";
                    return Err(fault(index, said, "a second one".to_owned()));
                }
            } else if self.layout.assistant.is_none() {
                let said = "no answer (the template has no form for one)";
                return Err(fault(index, said, "a message of the assistant".to_owned()));
            }
            let input = message.input.as_deref().unwrap_or_default();
            if !input.is_empty() && (role != Role::User || self.layout.user_with_input.is_none()) {
                let said = "a message without an input (the template has no place for one)";
                return Err(fault(index, said, "an input".to_owned()));
            }
            wanted = if role == Role::User { Role::Assistant } else { Role::User };
        }
        if users == 0 {
            let said = "at least one user message";
            return Err(fault(messages.len() + 1, said, "the end of the conversation".to_owned()));
        }
        Ok(())
    }

    fn check_forbidden(&self, index: usize, message: &Message) -> Result<(), PromptError> {
        let input = message.input.as_deref().unwrap_or_default();
        let found = self
            .forbidden
            .iter()
            .find(|text| message.content.contains(text.as_str()) || input.contains(text.as_str()));
        match found {
            None => Ok(()),
            Some(text) => Err(PromptError::Forbidden {
                template: self.name.clone(),
                index,
                role: message.role,
                text: text.clone(),
            }),
        }
    }
}

/// Python's `str.strip`: Unicode's white space and the four separators of ASCII.
fn python_strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// What the places of a pattern are filled with.
#[derive(Default)]
struct Filling<'a> {
    system: &'a str,
    content: &'a str,
    input: &'a str,
}

impl Filling<'_> {
    fn place<'a>(&'a self, piece: &'a Piece) -> Option<&'a str> {
        match piece {
            Piece::Literal(text) => Some(text),
            Piece::Content => Some(self.content),
            Piece::System => Some(self.system),
            Piece::Input => Some(self.input),
            Piece::Special(_) | Piece::Cut => None,
        }
    }

    /// A pattern without special tokens as text.
    fn text(&self, pattern: &Pattern) -> String {
        pattern.pieces().iter().filter_map(|piece| self.place(piece)).collect()
    }
}

/// Collects segments; neighbouring texts are joined unless cut.
#[derive(Default)]
struct Writer {
    segments: Vec<Segment>,
    cut: bool,
}

impl Writer {
    fn pattern(&mut self, pattern: &Pattern, filling: &Filling<'_>) {
        for piece in pattern.pieces() {
            self.piece(piece, filling);
        }
    }

    fn piece(&mut self, piece: &Piece, filling: &Filling<'_>) {
        match piece {
            Piece::Special(special) => self.segments.push(Segment::Special(special.clone())),
            Piece::Cut => self.cut = true,
            _ => {
                let text = filling.place(piece).expect("all other pieces are text");
                if text.is_empty() {
                    return;
                }
                let cut = std::mem::take(&mut self.cut);
                match self.segments.last_mut() {
                    Some(Segment::Text(last)) if !cut => last.push_str(text),
                    _ => self.segments.push(Segment::Text(text.to_owned())),
                }
            }
        }
    }
}

/// The segments as people read them, `<s>` and `</s>` for the marks.
pub fn text(segments: &[Segment]) -> String {
    text_with_marks(segments, "<s>", "</s>")
}

/// The segments as text with the given spelling of the marks.
pub fn text_with_marks(segments: &[Segment], bos: &str, eos: &str) -> String {
    let spelled = segments.iter().map(|segment| match segment {
        Segment::Text(text) | Segment::Special(Special::Token(text)) => text.as_str(),
        Segment::Special(Special::Bos) => bos,
        Segment::Special(Special::Eos) => eos,
    });
    spelled.collect()
}
