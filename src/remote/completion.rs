//! The answer of `/v1/completions`, as far as it is read; all else in it is passed by.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::identity::{Signature, Signed};

/// An answer.
#[derive(Debug, Deserialize)]
pub struct Completion {
    /// One for each prompt.
    pub choices: Vec<Choice>,
    /// Which server in which configuration answered.
    #[serde(default)]
    pub system_fingerprint: Option<String>,
    /// Which model answered, as a string.
    #[serde(default)]
    pub model: Option<Value>,
    /// What it took.
    #[serde(default)]
    pub usage: Option<Usage>,
}

impl Signed for Completion {
    fn signature(&self) -> Signature<'_> {
        let model = self.model.as_ref().and_then(Value::as_str);
        Signature { fingerprint: self.system_fingerprint.as_deref(), model }
    }
}

/// What an answer took.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Usage {
    /// Tokens that were written.
    #[serde(default)]
    pub completion_tokens: usize,
}

/// The answer to one prompt.
#[derive(Debug, Deserialize)]
pub struct Choice {
    /// Of which prompt, from 0.
    #[serde(default)]
    pub index: usize,
    /// What was written.
    pub text: String,
    /// Why it ends: `stop`, `length`.
    #[serde(default)]
    pub finish_reason: Option<String>,
    /// The stop string or the id that ended it.
    #[serde(default)]
    pub stop_reason: Option<Value>,
    /// Log-probabilities of the tokens of the text.
    #[serde(default)]
    pub logprobs: Option<Logprobs>,
    /// The ids of a prompt that was sent as text.
    #[serde(default)]
    pub prompt_token_ids: Option<Vec<u32>>,
    /// The ids that were written.
    #[serde(default)]
    pub token_ids: Option<Vec<u32>>,
}

/// Lists with an entry for each token.
#[derive(Debug, Default, Deserialize)]
pub struct Logprobs {
    /// The tokens: `token_id:N` where ids were asked for.
    #[serde(default)]
    pub tokens: Vec<String>,
    /// Their log-probabilities; `null` for a token without context.
    #[serde(default)]
    pub token_logprobs: Vec<Option<f64>>,
    /// The most probable tokens at their places, or those that were asked for.
    #[serde(default)]
    pub top_logprobs: Option<Vec<Option<HashMap<String, f64>>>>,
}

/// The id that `token_id:N` names.
pub fn id_of(token: &str) -> Option<u32> {
    token.strip_prefix("token_id:")?.parse().ok()
}
