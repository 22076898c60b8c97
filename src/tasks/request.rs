//! Requests to a model, as text.

use std::sync::Arc;

use super::chat::{ChatSegments, Context};

/// One request: how likely is `continuation` after `context`?
///
/// Of a text that is scored whole (`loglikelihood_rolling`) the context is empty. Where the model is to write
/// (`generate_until`) the context is the prompt, and the continuation is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRequest {
    /// The whole prompt; the requests of one document share it where it is the same.
    pub context: Arc<str>,
    /// What is scored after it, delimiter included.
    pub continuation: String,
    /// Both in segments, where a card's template wrote them; they then decide the tokens.
    pub segments: Option<ChatSegments>,
}

impl TextRequest {
    /// Bytes of the prompt and what is scored after it.
    pub(super) fn bytes(&self) -> usize {
        self.context.len() + self.continuation.len()
    }

    /// A prompt that the model is to answer.
    pub(super) fn to_answer(context: &Context) -> Self {
        let text = Arc::clone(&context.text);
        Self { context: text, continuation: String::new(), segments: context.asked() }
    }
}
