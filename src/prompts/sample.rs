//! A sample conversation as a template renders it, with its tokens where a tokenizer is at hand.

use super::encode::special_id;
use super::error::PromptError;
use super::render::{Message, RenderOptions, Segment, Special, text};
use super::template::{Kind, PromptTemplate};
use crate::tokenizer::Tokenizer;

/// A rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The conversation.
    pub messages: Vec<Message>,
    /// Its segments.
    pub segments: Vec<Segment>,
    /// The segments as text, special tokens spelled out.
    pub text: String,
    /// Whether a tokenizer that adds a BOS by itself puts one in front.
    pub adds_bos: bool,
    /// The tokens, BOS included, if a tokenizer was given.
    pub tokens: Option<Vec<SampleToken>>,
}

/// One token of a [`Sample`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleToken {
    /// Its id.
    pub id: u32,
    /// Its spelling in the vocabulary (`▁` for a space).
    pub text: String,
    /// Whether it is a special token and not text.
    pub special: bool,
}

/// Renders two turns (one where the template knows no more) and encodes them if a tokenizer is given.
///
/// Errors: a vocabulary without the template's special tokens, a failure of the tokenizer.
pub fn sample(template: &PromptTemplate, tokenizer: Option<&Tokenizer>) -> Result<Sample, PromptError> {
    let mut messages = vec![Message::user("Hello!")];
    if template.kind == Kind::Chat {
        messages.extend([Message::assistant("Hi!"), Message::user("How are you?")]);
    }
    let segments = template.render(&messages, RenderOptions::default())?;
    let tokens = tokenizer.map(|tokenizer| tokens(template, &segments, tokenizer)).transpose()?;
    Ok(Sample { messages, text: text(&segments), adds_bos: template.adds_bos(&segments), segments, tokens })
}

fn tokens(
    template: &PromptTemplate,
    segments: &[Segment],
    tokenizer: &Tokenizer,
) -> Result<Vec<SampleToken>, PromptError> {
    let ids = template.encode(segments, tokenizer)?;
    let mut specials = vec![tokenizer.bos(), tokenizer.eos()];
    for segment in segments {
        if let Segment::Special(special @ Special::Token(_)) = segment {
            specials.push(Some(special_id(special, tokenizer)?));
        }
    }
    let token = |id: u32| SampleToken {
        id,
        text: tokenizer.token_text(id).unwrap_or_default(),
        special: specials.contains(&Some(id)),
    };
    Ok(ids.into_iter().map(token).collect())
}
