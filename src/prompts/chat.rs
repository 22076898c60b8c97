//! One way of writing conversations, wherever it comes from: a card's template, or a checkpoint's own in Jinja.
//!
//! A card's template gives segments, so that marks stay marks; a Jinja template gives one text in which the
//! tokenizer finds the marks again, as transformers has it.

use super::chat_template::{ChatOptions, ChatTemplate, render};
use super::error::PromptError;
use super::render::{Message, RenderOptions, Segment, text};
use super::template::{Kind, PromptTemplate};
use crate::base::digest::sha256;

/// How conversations are written.
#[derive(Debug, Clone)]
pub struct ChatFormat {
    name: String,
    writer: Writer,
}

#[derive(Debug, Clone)]
enum Writer {
    Card(Box<PromptTemplate>),
    Jinja { source: String, bos: String, eos: String },
}

/// How a conversation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With what makes the model answer.
    Answer,
    /// In the middle of the last message, so that the model goes on with it.
    Open,
}

/// A written conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The text; marks of a card's template are spelled `<s>`, `</s>`.
    pub text: String,
    /// Text and marks apart; `None` of a Jinja template, whose marks are part of the text.
    pub segments: Option<Vec<Segment>>,
}

impl ChatFormat {
    /// The format of a card's template.
    pub fn of_card(template: &PromptTemplate) -> Self {
        Self { name: format!("card: {}", template.name), writer: Writer::Card(Box::new(template.clone())) }
    }

    /// The format of a checkpoint's own template, with the texts of its start and end marks.
    pub fn of_checkpoint(template: &ChatTemplate, bos: &str, eos: &str) -> Self {
        let (bos, eos) = (bos.to_owned(), eos.to_owned());
        let writer = Writer::Jinja { source: template.source.clone(), bos, eos };
        Self { name: format!("checkpoint: {}", template.name), writer }
    }

    /// Where it comes from and its name there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it knows more than one turn. Whoever writes Jinja says so only when it runs.
    pub fn has_turns(&self) -> bool {
        match &self.writer {
            Writer::Card(template) => template.kind == Kind::Chat,
            Writer::Jinja { .. } => true,
        }
    }

    /// The template of a card, which says how segments are encoded.
    pub fn template(&self) -> Option<&PromptTemplate> {
        match &self.writer {
            Writer::Card(template) => Some(template),
            Writer::Jinja { .. } => None,
        }
    }

    /// SHA-256 of a Jinja template.
    pub fn source_sha256(&self) -> Option<String> {
        match &self.writer {
            Writer::Card(_) => None,
            Writer::Jinja { source, .. } => Some(sha256(source)),
        }
    }

    /// Writes a conversation.
    ///
    /// Errors: a conversation that the template has no form for, a template that fails.
    pub fn write(&self, messages: &[Message], end: End) -> Result<Written, PromptError> {
        let (add_generation_prompt, continue_final_message) = (end == End::Answer, end == End::Open);
        match &self.writer {
            Writer::Card(template) => {
                let options = RenderOptions { add_generation_prompt, continue_final_message };
                let segments = template.render(messages, options)?;
                Ok(Written { text: text(&segments), segments: Some(segments) })
            }
            Writer::Jinja { source, bos, eos } => {
                let options = ChatOptions {
                    bos_token: bos,
                    eos_token: eos,
                    add_generation_prompt,
                    continue_final_message,
                    now: None,
                };
                Ok(Written { text: render(source, messages, &options)?, segments: None })
            }
        }
    }
}

/// Names of templates are unique, so equal names and sources are equal formats.
impl PartialEq for ChatFormat {
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.writer, &other.writer) {
            (Writer::Card(_), Writer::Card(_)) => true,
            (Writer::Jinja { source, bos, eos }, Writer::Jinja { source: s, bos: b, eos: e }) => {
                (source, bos, eos) == (s, b, e)
            }
            _ => false,
        };
        same && self.name == other.name
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::prompts::load;

    #[test]
    fn both_origins_write_the_same_conversation() {
        let templates = load(None).unwrap();
        let card = ChatFormat::of_card(&templates["vicuna-v1.1"]);
        let source = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}\
                      {% if add_generation_prompt %}[assistant]{% endif %}";
        let own = ChatTemplate { name: "default".into(), source: source.into(), file: PathBuf::new() };
        let own = ChatFormat::of_checkpoint(&own, "<s>", "</s>");
        let messages = [Message::user("a"), Message::assistant("b"), Message::user("c")];
        let written = own.write(&messages, End::Answer).unwrap();
        assert_eq!(written.text, "<s>[user] a</s>[assistant] b</s>[user] c</s>[assistant]");
        assert_eq!((written.segments, own.template().is_none()), (None, true));
        assert_eq!(own.write(&messages[..2], End::Open).unwrap().text, "<s>[user] a</s>[assistant] b");
        let written = card.write(&messages, End::Answer).unwrap();
        assert!(written.text.ends_with("USER: a ASSISTANT: b</s>USER: c ASSISTANT:"), "{}", written.text);
        assert!(written.segments.is_some() && card.has_turns() && own != card && card == card.clone());
        assert!(!ChatFormat::of_card(&templates["alpaca"]).has_turns());
    }
}
