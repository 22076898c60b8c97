//! What servers of models answer: good, and wrong in the ways that were thought of.

use serde_json::{Value, json};

use super::Seeds;

/// The answer of `/v1/completions` with these log-probabilities.
fn completion(logprobs: Value) -> Value {
    json!({
        "id": "cmpl-1", "object": "text_completion", "model": "tiny", "system_fingerprint": "fp",
        "choices": [{"index": 0, "text": " a", "finish_reason": "length", "stop_reason": null, "logprobs": logprobs}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    })
}

pub(super) fn answers() -> Seeds {
    let echo = completion(json!({
        "tokens": ["token_id:5", "token_id:6", "token_id:7", "token_id:1"], "token_logprobs": [null, -1.0, -0.5, -2.0],
        "top_logprobs": [null, {"token_id:6": -1.0}, {"token_id:7": -0.5, "token_id:3": -0.25}, {"token_id:1": -2.0}],
    }));
    let together = completion(json!({
        "tokens": ["token_id:6"], "token_logprobs": [-0.25],
        "top_logprobs": [{"token_id:6": -0.25, "token_id:7": -3.0, "token_id:0": -9999.0}],
    }));
    let forced = json!({
        "content": " a", "tokens": [6], "stop_type": "limit", "truncated": false,
        "completion_probabilities": [{"id": 6, "logprob": -1.5, "top_logprobs": [{"id": 3, "logprob": -0.5}]}],
    });
    let written =
        json!({"choices": [{"index": 0, "text": "one two", "finish_reason": "stop", "token_ids": [1, 2]}]});
    let models = json!({
        "object": "list", "data": [{"id": "tiny", "owned_by": "vllm", "root": "/models/tiny", "max_model_len": 512}],
    });
    let mut seeds: Seeds = [
        ("good-echo", &echo),
        ("good-together", &together),
        ("good-forced", &forced),
        ("good-written", &written),
        ("good-models", &models),
    ]
    .map(|(name, answer)| (name, answer.to_string().into_bytes()))
    .into();
    // A score above 0; as a text it does not say why it ends.
    let high = json!({"completion_probabilities": [{"id": 6, "logprob": 0.5, "top_logprobs": [{"id": 3, "logprob": -0.5}]}]});
    // Each is wrong to every question.
    let all = |answer: &Value, from: &str, to: &str| answer.to_string().replace(from, to).into_bytes();
    seeds.extend([
        ("bad-empty", Vec::new()),
        ("bad-choices", all(&written, "\"index\":0", "\"index\":1")),
        ("bad-reason", all(&written, "\"stop\"", "\"\u{1b}[2J\"")),
        ("bad-cut", echo.to_string().as_bytes()[..200].to_vec()),
        ("bad-depth", "[".repeat(4000).into_bytes()),
        ("bad-high", high.to_string().into_bytes()),
        ("bad-number", all(&models, "512", "-512")),
        ("bad-name", all(&models, "tiny", &"x".repeat(2000))),
        ("bad-page", b"<html>".to_vec()),
    ]);
    seeds
}
