//! One way of writing conversations, wherever it comes from: a card's template, or a checkpoint's own in Jinja.
//!
//! A card's template gives segments, so that special tokens stay what they are; a Jinja template gives one text in
//! which the tokenizer finds them again, as transformers has it.

use super::chat_template::{ChatTemplate, Jinja};
use super::conversation::{End, Message, PromptSegment, text};
use super::error::PromptError;
use super::template::{PromptTemplate, TemplateKind};
use crate::base::digest::sha256;
use crate::tokenizer::SpecialNames;

/// How conversations are written.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatFormat {
    name: String,
    template: TemplateSource,
}

#[derive(Debug, Clone, PartialEq)]
enum TemplateSource {
    Card(Box<PromptTemplate>),
    Jinja(Jinja),
}

/// A written conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenChat {
    /// The text; special tokens of a card's template are spelled `<s>`, `</s>`.
    pub text: String,
    /// Text and special tokens apart; `None` of a Jinja template, whose tokens are part of the text.
    pub segments: Option<Vec<PromptSegment>>,
}

impl ChatFormat {
    /// The format of a card's template.
    pub fn of_card(template: &PromptTemplate) -> Self {
        Self {
            name: format!("card: {}", template.name),
            template: TemplateSource::Card(Box::new(template.clone())),
        }
    }

    /// The format of a checkpoint's own template, with the special tokens of its tokenizer.
    pub fn of_checkpoint(template: &ChatTemplate, specials: &SpecialNames) -> Self {
        let jinja = Jinja { source: template.source.clone(), specials: specials.clone() };
        Self { name: format!("checkpoint: {}", template.name), template: TemplateSource::Jinja(jinja) }
    }

    /// Where it comes from and its name there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it knows more than one turn. Whoever writes Jinja says so only when it runs.
    pub fn has_turns(&self) -> bool {
        match &self.template {
            TemplateSource::Card(template) => template.kind == TemplateKind::Chat,
            TemplateSource::Jinja(_) => true,
        }
    }

    /// The template of a card, which says how segments are encoded.
    pub fn template(&self) -> Option<&PromptTemplate> {
        match &self.template {
            TemplateSource::Card(template) => Some(template),
            TemplateSource::Jinja(_) => None,
        }
    }

    /// SHA-256 of a Jinja template.
    pub fn source_sha256(&self) -> Option<String> {
        match &self.template {
            TemplateSource::Card(_) => None,
            TemplateSource::Jinja(jinja) => Some(sha256(&jinja.source)),
        }
    }

    /// Writes a conversation.
    ///
    /// Errors: a conversation that the template has no form for, a template that fails.
    pub fn write(&self, messages: &[Message], end: End) -> Result<WrittenChat, PromptError> {
        let (text, segments) = match &self.template {
            TemplateSource::Card(template) => {
                let segments = template.render(messages, end)?;
                (text(&segments), Some(segments))
            }
            TemplateSource::Jinja(jinja) => (jinja.render(messages, end)?, None),
        };
        Ok(WrittenChat { text, segments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompts::load;

    #[test]
    fn both_origins_write_the_same_conversation() {
        let templates = load(None).unwrap();
        let card = ChatFormat::of_card(&templates["vicuna-v1.1"]);
        let source = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}\
                      {% if add_generation_prompt %}[assistant]{% endif %}";
        let own = ChatTemplate { name: "default".into(), source: source.into() };
        let own = ChatFormat::of_checkpoint(&own, &[("bos_token", "<s>"), ("eos_token", "</s>")].into());
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
