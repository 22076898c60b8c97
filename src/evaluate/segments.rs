//! Prompts in segments → token requests.
//!
//! The rule is that of texts: context and answer are encoded together and cut after as many tokens as the
//! context has by itself, after white space at its end has moved over. Special tokens are ids from the start, and the
//! template's mode says where a dummy prefix goes.

use std::sync::Arc;

use crate::engine::{EncodedPair, ScoreRequest};
use crate::prompts::{PromptError, PromptSegment, PromptTemplate};
use crate::python::text::is_space;
use crate::tasks::ChatSegments;
use crate::tokenizer::Tokenizer;

/// Encodes a prompt and its answer.
///
/// # Errors
/// Special tokens that the vocabulary lacks, and texts that cannot be encoded.
pub(super) fn encode_segments(
    template: &PromptTemplate,
    tokenizer: &Tokenizer,
    segments: &ChatSegments,
) -> Result<EncodedPair, PromptError> {
    let (context, whole) = both(segments);
    let own = template.encode(&context, tokenizer)?;
    let mut whole = template.encode(&whole, tokenizer)?;
    let n_context_tokens = own.len();
    // A token may span the join, so that the whole has fewer tokens than the context alone.
    let continuation = whole.split_off(n_context_tokens.min(whole.len()));
    let context: Arc<[u32]> = whole.into();
    Ok(EncodedPair { request: ScoreRequest { context, continuation }, n_context_tokens, cut: 0 })
}

/// The context without the white space that moves over, and context and answer together.
fn both(segments: &ChatSegments) -> (Vec<PromptSegment>, Vec<PromptSegment>) {
    let mut context = segments.context.to_vec();
    let mut whole = context.clone();
    let mut answer = segments.answer.as_slice();
    if segments.joined
        && let (Some(PromptSegment::Text(last)), Some((PromptSegment::Text(first), rest))) =
            (whole.last_mut(), answer.split_first())
    {
        last.push_str(first);
        answer = rest;
        if let Some(PromptSegment::Text(text)) = context.last_mut() {
            text.truncate(text.trim_end_matches(is_space).len());
            if text.is_empty() {
                context.pop();
            }
        }
    }
    whole.extend_from_slice(answer);
    (context, whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompts::Special;

    fn text(text: &str) -> PromptSegment {
        PromptSegment::Text(text.into())
    }

    #[test]
    fn joined_answers_take_white_space_over_and_others_do_not() {
        let context: Arc<[PromptSegment]> =
            [text("a"), PromptSegment::Special(Special::Eos), text("Response:\n")].into();
        let joined =
            ChatSegments { context: Arc::clone(&context), joined: true, answer: vec![text("b"), text("c")] };
        let (short, whole) = both(&joined);
        assert_eq!(short, [text("a"), PromptSegment::Special(Special::Eos), text("Response:")]);
        assert_eq!(whole, [text("a"), PromptSegment::Special(Special::Eos), text("Response:\nb"), text("c")]);
        let apart = ChatSegments { joined: false, answer: vec![text("b")], context };
        let (short, whole) = both(&apart);
        assert_eq!((short.last(), whole.len()), (Some(&text("Response:\n")), 4));
    }
}
