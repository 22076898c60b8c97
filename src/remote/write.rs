//! What is sent to have a text written, and the reading of what comes back.
//!
//! Where a server gives the ids that it has written, they become text here as everywhere, and any number of stops end it; the
//! server knows a few of them so that it does not write for nothing. Where it gives text alone, that is the answer.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::{Value, json};

use super::RemoteError;
use super::client::Client;
use super::completion::{Choice, Completion};
use super::found::{Found, Kind};
use super::score::{Native, Wrong, only};
use crate::engine::Sampling;
use crate::prompts::Writing;
use crate::tokenizer::Tokenizer;

/// The most stops that every server takes.
const MOST_STOPS: usize = 4;

/// A text that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteJob {
    /// The tokens that are there.
    pub prompt: Arc<[u32]>,
    /// Tokens to write, at most.
    pub most: usize,
    /// The ids that end every text.
    pub ends: Arc<[u32]>,
    /// Texts that end it.
    pub stops: Vec<String>,
    /// How tokens are drawn; `None` for the most probable ones.
    pub sampling: Option<Sampling>,
    /// Which of several answers it is.
    pub stream: u64,
}

/// What was written, stop and all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    /// The text.
    pub text: String,
    /// Its tokens.
    pub tokens: usize,
}

/// What a server has written.
#[derive(Debug)]
pub(super) struct Written {
    text: String,
    ids: Option<Vec<u32>>,
    tokens: usize,
    /// Whether it ends because there were enough tokens.
    is_cut: bool,
    /// Whether it ends with a stop.
    has_stop: bool,
}

impl WriteJob {
    /// Has a server write it.
    ///
    /// # Errors
    /// What the server refuses, and an answer that is not what was asked for.
    pub fn ask(
        &self,
        client: &Client,
        found: &Found,
        tokenizer: &Tokenizer,
    ) -> Result<Continuation, RemoteError> {
        let wrong = |(expected, found)| RemoteError::Answer { host: client.host(), expected, found };
        let written = self.written(client, found, true)?;
        if let Some(told) = self.told(&written, tokenizer).map_err(wrong)? {
            return Ok(told);
        }
        // The server has found a stop where there is none here: it goes on without.
        let written = self.written(client, found, false)?;
        let told = self.told(&written, tokenizer).map_err(wrong)?;
        told.ok_or_else(|| {
            wrong(("a text without a stop".to_owned(), "one that a stop has ended".to_owned()))
        })
    }

    fn written(&self, client: &Client, found: &Found, stops: bool) -> Result<Written, RemoteError> {
        let wrong = |(expected, found)| RemoteError::Answer { host: client.host(), expected, found };
        let written = match found.kind {
            Kind::LlamaServer => {
                let native: Native = client.complete("completion", &self.native_body(stops))?;
                native_written(native)
            }
            Kind::Vllm | Kind::Other => {
                let answer: Completion = client.complete("v1/completions", &self.body(found, stops))?;
                let written = answer.usage.map(|usage| usage.completion_tokens);
                only(answer).and_then(|choice| openai_written(choice, written))
            }
        };
        let written = written.map_err(wrong)?;
        if written.tokens > self.most || (written.is_cut && written.tokens < self.most) {
            return Err(wrong((
                format!("{} tokens, or an answer that the model has ended", self.most),
                format!("{} tokens: the server has no room for more", written.tokens),
            )));
        }
        Ok(written)
    }

    /// The text; `None` where the server has ended it at a stop that it does not have.
    fn told(&self, written: &Written, tokenizer: &Tokenizer) -> Result<Option<Continuation>, Wrong> {
        let Some(ids) = &written.ids else {
            return Ok(Some(Continuation { text: written.text.clone(), tokens: written.tokens }));
        };
        let mut writing = Writing::new(tokenizer, &self.stops);
        let mut has_ended = false;
        for id in ids {
            if self.ends.contains(id) {
                has_ended = true;
                break;
            }
            if writing.push(*id) == ControlFlow::Break(()) {
                has_ended = true;
                break;
            }
        }
        if written.has_stop && !has_ended {
            return Ok(None);
        }
        let finished = writing.finish();
        let (text, tokens) =
            finished.map_err(|error| ("tokens of the vocabulary".to_owned(), error.to_string()))?;
        Ok(Some(Continuation { text, tokens }))
    }

    /// Those that the server is told; short ones come up first.
    fn told_stops(&self, wanted: bool) -> Vec<&String> {
        let mut stops: Vec<&String> = self.stops.iter().filter(|stop| wanted && !stop.is_empty()).collect();
        stops.sort_by_key(|stop| stop.len());
        stops.truncate(MOST_STOPS);
        stops
    }

    /// Each of several answers is drawn from numbers of its own.
    fn seed(&self, sampling: &Sampling) -> u64 {
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        (sampling.seed ^ self.stream.wrapping_mul(MIX)) >> 33
    }

    fn body(&self, found: &Found, stops: bool) -> Value {
        let mut body = json!({
            "model": found.model, "prompt": self.prompt[..], "max_tokens": self.most, "temperature": 0,
            "stop": self.told_stops(stops),
        });
        if let Some(sampling) = &self.sampling {
            body["temperature"] = sampling.temperature.into();
            body["top_p"] = sampling.top_p.into();
            body["seed"] = self.seed(sampling).into();
        }
        if found.kind == Kind::Vllm {
            // What is left out may come from the model's generation_config.json.
            let own = Sampling { temperature: 0.0, ..Sampling::default() };
            let sampling = self.sampling.as_ref().unwrap_or(&own);
            body["top_k"] = if self.sampling.is_some() { sampling.top_k.into() } else { 0.into() };
            body["top_p"] = sampling.top_p.into();
            body["min_p"] = sampling.min_p.into();
            body["repetition_penalty"] = sampling.repetition_penalty.into();
            body["presence_penalty"] = 0.into();
            body["frequency_penalty"] = 0.into();
            body["stop_token_ids"] = self.ends[..].into();
            body["return_token_ids"] = true.into();
        }
        body
    }

    fn native_body(&self, stops: bool) -> Value {
        let mut body = json!({
            "prompt": self.prompt[..], "n_predict": self.most, "temperature": 0, "cache_prompt": true,
            "stop": self.told_stops(stops), "return_tokens": true,
        });
        if let Some(sampling) = &self.sampling {
            body["temperature"] = sampling.temperature.into();
            body["top_p"] = sampling.top_p.into();
            body["top_k"] = sampling.top_k.into();
            body["min_p"] = sampling.min_p.into();
            body["repeat_penalty"] = sampling.repetition_penalty.into();
            body["repeat_last_n"] = (-1).into();
            body["seed"] = self.seed(sampling).into();
        }
        body
    }
}

/// A text as the OpenAI-style interface tells it.
pub(super) fn openai_written(choice: Choice, tokens: Option<usize>) -> Result<Written, Wrong> {
    let Choice { text, finish_reason, stop_reason, token_ids, .. } = choice;
    let reason = finish_reason.unwrap_or_default();
    if !matches!(reason.as_str(), "stop" | "length") {
        return Err(("an answer that ends with stop or length".to_owned(), format!("{reason:?}")));
    }
    let count = token_ids.as_ref().map(Vec::len).or(tokens);
    let Some(tokens) = count else { return Err(("the number of tokens".to_owned(), "none".to_owned())) };
    let has_stop = stop_reason.is_some_and(|reason| reason.is_string());
    Ok(Written { text, ids: token_ids, tokens, is_cut: reason == "length", has_stop })
}

/// A text as llama-server tells it.
pub(super) fn native_written(native: Native) -> Result<Written, Wrong> {
    let Native { content, tokens, stop_type, truncated, .. } = native;
    let reason = stop_type.unwrap_or_default();
    if truncated || !matches!(reason.as_str(), "eos" | "limit" | "word") {
        let found = if truncated { "a prompt that was cut".to_owned() } else { format!("{reason:?}") };
        return Err(("an answer that ends with eos, limit or word".to_owned(), found));
    }
    let (count, is_cut, has_stop) = (tokens.len(), reason == "limit", reason == "word");
    Ok(Written { text: content, ids: Some(tokens), tokens: count, is_cut, has_stop })
}
