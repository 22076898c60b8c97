//! Conversations, and the segments that they are rendered to: text and special tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

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
}

/// A special token by its part in the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Special {
    /// The token that begins a text (`<s>`).
    Bos,
    /// The token that ends one (`</s>`).
    Eos,
    /// A token of the vocabulary by its text (`<human>`).
    Token(String),
}

/// A piece of a rendered prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptSegment {
    /// Text in which nothing is special. Two texts in a row are encoded apart.
    Text(String),
    /// One token.
    Special(Special),
}

/// How a conversation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With what makes the model answer a last message of the user.
    Answer,
    /// With its last message.
    Closed,
    /// In the middle of a last message of the model, so that it goes on with it.
    Open,
}

/// The segments as people read them, with `<s>` and `</s>` for the beginning and the end.
pub fn text(segments: &[PromptSegment]) -> String {
    spelled_with(segments, "<s>", "</s>")
}

/// The segments as text, with these spellings of the beginning and the end.
pub fn spelled_with(segments: &[PromptSegment], bos: &str, eos: &str) -> String {
    let spelled = segments.iter().map(|segment| match segment {
        PromptSegment::Text(text) | PromptSegment::Special(Special::Token(text)) => text.as_str(),
        PromptSegment::Special(Special::Bos) => bos,
        PromptSegment::Special(Special::Eos) => eos,
    });
    spelled.collect()
}
