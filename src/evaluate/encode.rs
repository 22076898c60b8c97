//! The token requests of one task, document by document.

use std::sync::Arc;

use rayon::prelude::*;

use super::EvaluateError;
use crate::engine::{EncodedPair, PairEncoder, ScoreRequest, windows};
use crate::tasks::{OutputType, PreparedDoc, PreparedTask, TextRequest};
use crate::tokenizer::{Tokenizer, TokenizerError};

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
    /// Encodes the documents of `task` for a model with `max_length` positions.
    ///
    /// # Errors
    /// A task whose answers are written, and texts that cannot be encoded.
    pub fn new(tokenizer: &Tokenizer, task: &PreparedTask, max_length: usize) -> Result<Self, EvaluateError> {
        let encoder = PairEncoder::new(tokenizer);
        let whole = match task.task.config.output_type {
            OutputType::GenerateUntil => {
                return Err(EvaluateError::Generates { tasks: task.task.name.clone() });
            }
            kind => kind == OutputType::LoglikelihoodRolling,
        };
        let docs: Result<Vec<_>, _> = task
            .docs
            .par_iter()
            .map(|doc| {
                let encoded =
                    if whole { encode_whole(tokenizer, doc, max_length) } else { encode_doc(encoder, doc) };
                encoded.map_err(|source| EvaluateError::Tokenizer {
                    task: task.task.name.clone(),
                    doc_id: doc.doc_id,
                    source: Box::new(source),
                })
            })
            .collect();
        Ok(Self { docs: docs? })
    }

    /// Encodes one document of a task with contexts.
    pub(super) fn document(
        tokenizer: &Tokenizer,
        task: &PreparedTask,
        doc: &PreparedDoc,
    ) -> Result<EncodedDoc, EvaluateError> {
        encode_doc(PairEncoder::new(tokenizer), doc).map_err(|source| EvaluateError::Tokenizer {
            task: task.task.name.clone(),
            doc_id: doc.doc_id,
            source: Box::new(source),
        })
    }

    /// The requests in the order in which scores come back.
    pub fn requests(&self) -> impl Iterator<Item = &ScoreRequest> {
        self.docs
            .iter()
            .flat_map(|doc| doc.requests.iter().chain(&doc.unconditional))
            .map(|pair| &pair.request)
    }

    /// The number of requests.
    pub fn len(&self) -> usize {
        self.docs.iter().map(|doc| doc.requests.len() + doc.unconditional.len()).sum()
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The document and choice of the task's `request`-th request.
    pub fn place(&self, mut request: usize) -> Option<(usize, usize)> {
        for (index, doc) in self.docs.iter().enumerate() {
            let own = doc.requests.len() + doc.unconditional.len();
            if request < own {
                return Some((index, request % doc.requests.len().max(1)));
            }
            request -= own;
        }
        None
    }
}

/// A whole text in windows that predict each of its tokens once.
fn encode_whole(
    tokenizer: &Tokenizer,
    doc: &PreparedDoc,
    max_length: usize,
) -> Result<EncodedDoc, TokenizerError> {
    let mut requests = Vec::new();
    for request in &doc.requests {
        let tokens = tokenizer.encode_for_model(&request.continuation)?;
        let pair = |request| EncodedPair { request, n_context_tokens: 0 };
        requests.extend(windows(&tokens, tokenizer.prefix_token(), max_length).into_iter().map(pair));
    }
    Ok(EncodedDoc { requests, unconditional: Vec::new() })
}

fn encode_doc(encoder: PairEncoder, doc: &PreparedDoc) -> Result<EncodedDoc, TokenizerError> {
    let encode = |requests: &[TextRequest]| -> Result<Vec<EncodedPair>, TokenizerError> {
        let mut pairs = Vec::with_capacity(requests.len());
        for same_context in requests.chunk_by(|a, b| Arc::ptr_eq(&a.context, &b.context)) {
            let continuations: Vec<&str> = same_context.iter().map(|r| r.continuation.as_str()).collect();
            pairs.extend(encoder.encode(&same_context[0].context, &continuations)?);
        }
        Ok(pairs)
    };
    Ok(EncodedDoc { requests: encode(&doc.requests)?, unconditional: encode(&doc.unconditional)? })
}
