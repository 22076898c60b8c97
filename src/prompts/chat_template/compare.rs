//! A card's template against a checkpoint's own: a few conversations by both, and where the texts part.

use std::fmt;

use super::super::conversation::{End, Message, Role, spelled_with};
use super::super::template::{PromptTemplate, TemplateKind};
use super::Jinja;
use crate::tokenizer::SpecialNames;

/// Characters shown before and after the first difference.
const AROUND: usize = 20;

/// One conversation, rendered by both templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateComparison {
    /// What the conversation tries out.
    pub probe: &'static str,
    /// The text by the card's template, or why it renders none.
    pub card: Result<String, String>,
    /// The text by the checkpoint's template, or why it renders none.
    pub checkpoint: Result<String, String>,
}

impl TemplateComparison {
    /// Whether both give the same text, or both refuse.
    pub fn agrees(&self) -> bool {
        match (&self.card, &self.checkpoint) {
            (Ok(card), Ok(checkpoint)) => card == checkpoint,
            (Err(_), Err(_)) => true,
            _ => false,
        }
    }

    /// Characters before the first difference of two texts; `None` if they agree or one is missing.
    pub fn first_difference(&self) -> Option<usize> {
        let (Ok(card), Ok(checkpoint)) = (&self.card, &self.checkpoint) else { return None };
        let common = card.chars().zip(checkpoint.chars()).take_while(|(a, b)| a == b).count();
        (card != checkpoint).then_some(common)
    }
}

impl fmt::Display for TemplateComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.probe)?;
        match (&self.card, &self.checkpoint, self.first_difference()) {
            (Ok(card), Ok(checkpoint), Some(at)) => {
                let (card, checkpoint) = (around(card, at), around(checkpoint, at));
                write!(f, "differs after {at} characters: card {card:?}, checkpoint {checkpoint:?}")
            }
            (Ok(_), Ok(_), None) => f.write_str("the same"),
            (Err(_), Err(_), _) => f.write_str("refused by both"),
            (Ok(_), Err(why), _) => write!(f, "only the card's template renders it; the checkpoint's: {why}"),
            (Err(why), Ok(_), _) => write!(f, "only the checkpoint's template renders it; the card's: {why}"),
        }
    }
}

fn around(text: &str, at: usize) -> String {
    let from = at.saturating_sub(AROUND);
    text.chars().skip(from).take(at - from + AROUND).collect()
}

/// Renders a few conversations with a card's template and with a checkpoint's Jinja text.
///
/// Both texts hold all special tokens: the BOS that a tokenizer would add stands in the card's text too, as the
/// checkpoint's template writes its own.
pub fn compare(template: &PromptTemplate, source: &str, specials: &SpecialNames) -> Vec<TemplateComparison> {
    let jinja = Jinja { source: source.to_owned(), specials: specials.clone() };
    let text = |name: &str| specials.text(name).unwrap_or_default();
    let (bos, eos) = (text("bos_token"), text("eos_token"));
    let compared = probes(template).into_iter().map(|(probe, messages)| {
        let asked = messages.last().is_some_and(|last| last.role == Role::User);
        let end = if asked { End::Answer } else { End::Closed };
        let card = template.render(&messages, end).map(|segments| {
            let added = if template.adds_bos(&segments) { bos } else { "" };
            format!("{added}{}", spelled_with(&segments, bos, eos))
        });
        let checkpoint = jinja.render(&messages, end).map_err(|error| error.to_string());
        TemplateComparison { probe, card: card.map_err(|error| error.to_string()), checkpoint }
    });
    compared.collect()
}

/// The conversations that a template of this kind can be asked.
fn probes(template: &PromptTemplate) -> Vec<(&'static str, Vec<Message>)> {
    let hello = || Message::user("Hello!");
    let mut probes = vec![("one message", vec![hello()])];
    if template.kind != TemplateKind::Completion {
        probes.push(("one answered message", vec![hello(), Message::assistant("Hi!")]));
    }
    if template.kind == TemplateKind::Chat {
        let turns = || vec![hello(), Message::assistant("Hi!"), Message::user("How are you?")];
        let system = || Message::system("Be brief.");
        probes.push(("two turns", turns()));
        probes.push(("a system message", vec![system(), hello()]));
        probes.push(("a system message and two turns", [vec![system()], turns()].concat()));
    }
    probes.push(("white space around a message", vec![Message::user(" Hello! \n")]));
    probes
}
