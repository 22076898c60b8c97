//! The token requests of one task, document by document.

use std::sync::Arc;

use rayon::prelude::*;

use super::EvaluateError;
use super::scored::recut;
use super::segments::encode_segments;
use crate::engine::{EncodedPair, PairEncoder, ScoreRequest, windows};
use crate::prompts::{PromptError, PromptTemplate};
use crate::tasks::protocol::AddSpecialTokens;
use crate::tasks::{OutputType, PreparedDoc, PreparedTask, TextRequest};
use crate::tokenizer::Tokenizer;

/// What to do where a protocol does not fit a document.
const OTHER_PROTOCOL: &str = "; choose another --protocol for this task";

/// Tokens of one document: its requests, then its unconditional ones.
#[derive(Debug, Clone)]
pub struct EncodedDoc {
    /// One per choice; of a whole text one per window.
    pub requests: Vec<EncodedPair>,
    /// One per choice if the task asks for mutual information, else none.
    pub unconditional: Vec<EncodedPair>,
}

impl EncodedDoc {
    /// How many tokens the request that loses most loses on the left.
    pub fn truncated(&self, max_length: usize) -> usize {
        self.requests.iter().map(|pair| pair.request.truncated(max_length)).max().unwrap_or(0)
    }
}

/// All documents of a task in tokens.
#[derive(Debug, Clone)]
pub struct EncodedTask {
    /// In the order of the prepared documents.
    pub docs: Vec<EncodedDoc>,
}

impl EncodedTask {
    /// Encodes the documents of `task` for a model with `max_length` positions. Where answers are written, continuations are
    /// empty.
    ///
    /// # Errors
    /// Texts that cannot be encoded, and choices that the task's protocol cannot compare.
    pub fn new(tokenizer: &Tokenizer, task: &PreparedTask, max_length: usize) -> Result<Self, EvaluateError> {
        let one = |doc: &PreparedDoc| Self::document(tokenizer, task, doc, max_length);
        Ok(Self { docs: task.docs.par_iter().map(one).collect::<Result<_, _>>()? })
    }

    /// Encodes one document of a task, by the rules of its protocol.
    pub(super) fn document(
        tokenizer: &Tokenizer,
        task: &PreparedTask,
        doc: &PreparedDoc,
        max_length: usize,
    ) -> Result<EncodedDoc, EvaluateError> {
        let encoder = match task.rules.add_special_tokens {
            AddSpecialTokens::Tokenizer => PairEncoder::new(tokenizer),
            AddSpecialTokens::None => PairEncoder::new(tokenizer).without_special_tokens(),
        };
        let refuse = |error| match error {
            PromptError::Tokenizer(source) => EvaluateError::of(task, doc, source),
            source => EvaluateError::of(task, doc, source),
        };
        if task.task.config.output_type == OutputType::LoglikelihoodRolling {
            return encode_whole(encoder, tokenizer, doc, max_length).map_err(refuse);
        }
        let template = task.chat.as_ref().and_then(|chat| chat.format.template());
        if task.task.config.output_type == OutputType::GenerateUntil {
            return encode_prompt(encoder, template, tokenizer, doc).map_err(refuse);
        }
        let mut encoded =
            encode_doc(encoder, template.map(|template| (template, tokenizer)), doc).map_err(refuse)?;
        let pairs = recut(encoded.requests, task.rules.scored, max_length);
        encoded.requests = pairs.map_err(|reason| EvaluateError::of(task, doc, reason + OTHER_PROTOCOL))?;
        Ok(encoded)
    }

    /// The requests in the order in which scores come back.
    pub fn requests(&self) -> impl Iterator<Item = &ScoreRequest> {
        self.docs
            .iter()
            .flat_map(|doc| doc.requests.iter().chain(&doc.unconditional))
            .map(|pair| &pair.request)
    }
}

/// A whole text in windows that predict each of its tokens once.
fn encode_whole(
    encoder: PairEncoder<'_>,
    tokenizer: &Tokenizer,
    doc: &PreparedDoc,
    max_length: usize,
) -> Result<EncodedDoc, PromptError> {
    let mut requests = Vec::new();
    for request in &doc.requests {
        let tokens = encoder.encode_text(&request.continuation)?;
        let pair = |request| EncodedPair { request, n_context_tokens: 0, cut: 0 };
        requests.extend(windows(&tokens, tokenizer.prefix_token(), max_length).into_iter().map(pair));
    }
    Ok(EncodedDoc { requests, unconditional: Vec::new() })
}

/// A prompt that is to be gone on from: as it is, with white space at its end. An empty one is the prefix token.
fn encode_prompt(
    encoder: PairEncoder<'_>,
    template: Option<&PromptTemplate>,
    tokenizer: &Tokenizer,
    doc: &PreparedDoc,
) -> Result<EncodedDoc, PromptError> {
    let encode = |request: &TextRequest| {
        let mut tokens = match (template, &request.segments) {
            (Some(template), Some(segments)) => template.encode(&segments.context, tokenizer)?,
            _ => encoder.encode_text(&request.context)?,
        };
        if tokens.is_empty() {
            tokens.extend(tokenizer.prefix_token());
        }
        let n_context_tokens = tokens.len();
        let request = ScoreRequest { context: tokens.into(), continuation: Vec::new() };
        Ok(EncodedPair { request, n_context_tokens, cut: 0 })
    };
    let requests = doc.requests.iter().map(encode).collect::<Result<_, PromptError>>()?;
    Ok(EncodedDoc { requests, unconditional: Vec::new() })
}

/// Texts as texts, and what a card's template wrote in its segments.
fn encode_doc(
    encoder: PairEncoder<'_>,
    template: Option<(&PromptTemplate, &Tokenizer)>,
    doc: &PreparedDoc,
) -> Result<EncodedDoc, PromptError> {
    let encode = |requests: &[TextRequest]| -> Result<Vec<EncodedPair>, PromptError> {
        let mut pairs = Vec::with_capacity(requests.len());
        for same_context in requests.chunk_by(|a, b| Arc::ptr_eq(&a.context, &b.context)) {
            let segments: Option<Vec<_>> = same_context.iter().map(|r| r.segments.as_ref()).collect();
            if let (Some((template, tokenizer)), Some(segments)) = (template, segments) {
                for segments in segments {
                    pairs.push(encode_segments(template, tokenizer, segments)?);
                }
                continue;
            }
            let continuations: Vec<&str> = same_context.iter().map(|r| r.continuation.as_str()).collect();
            pairs.extend(encoder.encode(&same_context[0].context, &continuations)?);
        }
        Ok(pairs)
    };
    Ok(EncodedDoc { requests: encode(&doc.requests)?, unconditional: encode(&doc.unconditional)? })
}
