//! The token requests of one task, document by document.

use std::sync::Arc;

use rayon::prelude::*;

use super::EvaluateError;
use crate::engine::{EncodedPair, PairEncoder, ScoreRequest};
use crate::tasks::{PreparedDoc, PreparedTask, TextRequest};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// Tokens of one document: its requests, then its unconditional ones.
#[derive(Debug, Clone)]
pub struct EncodedDoc {
    /// One per choice.
    pub requests: Vec<EncodedPair>,
    /// One per choice if the task asks for mutual information, else none.
    pub unconditional: Vec<EncodedPair>,
}

/// All documents of a task in tokens.
#[derive(Debug, Clone)]
pub struct EncodedTask {
    /// In the order of the prepared documents.
    pub docs: Vec<EncodedDoc>,
}

impl EncodedTask {
    /// Encodes the documents of `task`.
    pub fn new(tokenizer: &Tokenizer, task: &PreparedTask) -> Result<Self, EvaluateError> {
        let encoder = PairEncoder::new(tokenizer);
        let docs: Result<Vec<_>, _> = task
            .docs
            .par_iter()
            .map(|doc| {
                encode_doc(encoder, doc).map_err(|source| EvaluateError::Tokenizer {
                    task: task.task.name.clone(),
                    doc_id: doc.doc_id,
                    source: Box::new(source),
                })
            })
            .collect();
        Ok(Self { docs: docs? })
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
