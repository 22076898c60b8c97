//! A sample conversation as a template renders it, with its tokens where a tokenizer is at hand.

use super::conversation::{End, Message, text};
use super::error::PromptError;
use super::template::{PromptTemplate, TemplateKind};
use crate::tokenizer::Tokenizer;

/// A rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedSample {
    /// The text, special tokens spelled out.
    pub text: String,
    /// Whether a tokenizer that adds a BOS by itself puts one in front.
    pub adds_bos: bool,
    /// The tokens, BOS included, if a tokenizer was given: ids and their spelling in the vocabulary (`▁` for a space).
    pub tokens: Option<Vec<(u32, String)>>,
}

/// Renders two turns (one where the template knows no more) and encodes them if a tokenizer is given.
///
/// Errors: a vocabulary without the template's special tokens, a failure of the tokenizer.
pub fn sample(
    template: &PromptTemplate,
    tokenizer: Option<&Tokenizer>,
) -> Result<RenderedSample, PromptError> {
    let mut messages = vec![Message::user("Hello!")];
    if template.kind == TemplateKind::Chat {
        messages.extend([Message::assistant("Hi!"), Message::user("How are you?")]);
    }
    let segments = template.render(&messages, End::Answer)?;
    let spelled = |tokenizer: &Tokenizer| -> Result<Vec<(u32, String)>, PromptError> {
        let ids = template.encode(&segments, tokenizer)?.into_iter();
        Ok(ids
            .map(|id| (id, tokenizer.token_text(id).expect("a vocabulary has the ids that it gives")))
            .collect())
    };
    let tokens = tokenizer.map(spelled).transpose()?;
    Ok(RenderedSample { text: text(&segments), adds_bos: template.adds_bos(&segments), tokens })
}
