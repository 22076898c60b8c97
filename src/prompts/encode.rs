//! Segments to token ids.
//!
//! A SentencePiece vocabulary puts a space (the dummy prefix) before a text, and where it does so changes
//! the ids: `</s>USER` is `</s>`, `▁USER` for the tokenizers of 2023 and `</s>`, `USER` for later ones.

use serde::Deserialize;

use super::error::PromptError;
use super::render::{Segment, Special};
use super::template::{BosRule, PromptTemplate};
use crate::tokenizer::Tokenizer;

/// Where texts get a dummy prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncodeMode {
    /// Every text segment is encoded by itself, also after a cut (Meta's code, BELLE, Ziya).
    PerSegment,
    /// Every text between special tokens gets one, cuts are ignored (transformers in 2023, `legacy=True`).
    Legacy,
    /// Only a text at the very start gets one, cuts are ignored (`legacy=False`).
    NonLegacy,
}

/// The ids of the segments; nothing is added.
///
/// Errors: a special token that the vocabulary lacks, a failure of the tokenizer.
pub fn encode(
    segments: &[Segment],
    tokenizer: &Tokenizer,
    mode: EncodeMode,
) -> Result<Vec<u32>, PromptError> {
    let joined;
    let segments = if mode == EncodeMode::PerSegment {
        segments
    } else {
        joined = join_texts(segments);
        &joined
    };
    let mut ids = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        match segment {
            Segment::Special(special) => ids.push(special_id(special, tokenizer)?),
            Segment::Text(text) if mode == EncodeMode::NonLegacy && i > 0 => {
                ids.extend(encode_without_prefix(text, tokenizer)?);
            }
            Segment::Text(text) => ids.extend(tokenizer.encode_raw(text)?),
        }
    }
    Ok(ids)
}

impl PromptTemplate {
    /// The ids of rendered segments in this template's mode, with the BOS that its rule asks for.
    ///
    /// Errors: as [`encode`].
    pub fn encode(&self, segments: &[Segment], tokenizer: &Tokenizer) -> Result<Vec<u32>, PromptError> {
        self.encode_as(segments, tokenizer, self.encode)
    }

    /// As [`PromptTemplate::encode`], in another mode.
    ///
    /// Errors: as [`encode`].
    pub fn encode_as(
        &self,
        segments: &[Segment],
        tokenizer: &Tokenizer,
        mode: EncodeMode,
    ) -> Result<Vec<u32>, PromptError> {
        let ids = encode(segments, tokenizer, mode)?;
        let bos = tokenizer.bos().filter(|_| self.adds_bos(segments) && tokenizer.adds_bos());
        Ok(bos.into_iter().chain(ids).collect())
    }

    /// Whether a tokenizer that adds a BOS by itself does so here. Never a second one.
    pub(super) fn adds_bos(&self, segments: &[Segment]) -> bool {
        self.bos == BosRule::Tokenizer && segments.first() != Some(&Segment::Special(Special::Bos))
    }
}

/// Neighbouring texts as one.
fn join_texts(segments: &[Segment]) -> Vec<Segment> {
    let mut joined: Vec<Segment> = Vec::with_capacity(segments.len());
    for segment in segments {
        match (joined.last_mut(), segment) {
            (Some(Segment::Text(last)), Segment::Text(text)) => last.push_str(text),
            _ => joined.push(segment.clone()),
        }
    }
    joined
}

/// The id of a special token.
pub(super) fn special_id(special: &Special, tokenizer: &Tokenizer) -> Result<u32, PromptError> {
    let missing = |token: &str| PromptError::NoToken { token: token.to_owned() };
    match special {
        Special::Bos => tokenizer.bos().ok_or_else(|| missing("BOS (<s>)")),
        Special::Eos => tokenizer.eos().ok_or_else(|| missing("EOS (</s>)")),
        Special::Token(text) => {
            let ids = tokenizer.encode(text, crate::tokenizer::AddSpecials::None)?;
            // A vocabulary that spells the token with several pieces, or in other words, does not have it.
            let id = ids.iter().copied().find(|&id| tokenizer.token_text(id).as_deref() == Some(text));
            id.filter(|_| ids.len() == 1).ok_or_else(|| missing(text))
        }
    }
}

/// The ids of a text that goes on after others: a line end is put before it, which takes the dummy prefix and is
/// its own token in every SentencePiece vocabulary of the family, and then taken away.
fn encode_without_prefix(text: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>, PromptError> {
    let anchor = tokenizer.encode_raw("\n")?;
    let prefixed = match anchor.as_slice() {
        [space, _] => tokenizer.token_text(*space).as_deref() == Some("▁"),
        _ => false,
    };
    if prefixed {
        let ids = tokenizer.encode_raw(&format!("\n{text}"))?;
        if let Some(rest) = ids.strip_prefix(anchor.as_slice()) {
            return Ok(rest.to_vec());
        }
    }
    Ok(tokenizer.encode_raw(text)?)
}
