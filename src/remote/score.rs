//! What is sent to learn log-probabilities, and the strict reading of what comes back.
//!
//! Three ways. *Echo*: the prompt with its continuation comes back with a log-probability for each token. *Together*: after a
//! context one token is written, with the log-probabilities of all answers that are asked for; a server's prefix cache is read.
//! *Forced*: token by token, each made certain by a bias while its log-probability stays what it is (llama-server).

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::completion::{Choice, Completion, Logprobs, id_of};
use super::identity::{Signature, Signed};
use super::job::Job;
use crate::engine::Score;

/// What servers say in place of minus infinity, which JSON cannot.
const MASKED: f64 = -9999.0;
/// Makes a token certain, whatever the others are.
const FORCE: f64 = 1e9;

/// What was expected, and what was found.
pub type Wrong = (String, String);

fn wrong<T>(expected: impl Into<String>, found: impl Into<String>) -> Result<T, Wrong> {
    Err((expected.into(), found.into()))
}

/// The question for a prompt with its continuation, by echo.
pub fn echo_body(model: &str, prompt: &[u32]) -> Value {
    json!({
        "model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0, "echo": true, "logprobs": 1,
        "return_tokens_as_token_ids": true,
    })
}

/// The score of the last `scored` tokens of a prompt that was echoed.
///
/// # Errors
/// Lists that are not as long as the prompt, tokens that are others, numbers that are none.
pub fn echoed(answer: Completion, prompt: &[u32], scored: usize) -> Result<Score, Wrong> {
    let Logprobs { tokens, token_logprobs, top_logprobs } = logprobs(answer)?;
    let n = prompt.len();
    let top = top_logprobs.unwrap_or_default();
    for (name, length) in
        [("tokens", tokens.len()), ("token_logprobs", token_logprobs.len()), ("top_logprobs", top.len())]
    {
        // One more was written after the prompt, unless the server takes that back.
        if length != n && length != n + 1 {
            return wrong(
                format!("{name} of the {n} tokens of the prompt, and one more"),
                length.to_string(),
            );
        }
    }
    let mut score = Score { logprob: 0.0, is_greedy: true };
    for at in n - scored..n {
        let id = prompt[at];
        let place = || format!("token {at} of the prompt");
        let found = id_of(&tokens[at]);
        if found != Some(id) {
            return wrong(format!("id {id} at {}", place()), format!("{:?}", tokens[at]));
        }
        let own = number(token_logprobs[at], &place)?;
        let best = best(top[at].as_ref(), &place)?;
        score.logprob += own;
        score.is_greedy &= is_best(id, own, best);
    }
    Ok(score)
}

/// The question for several answers of one token.
pub fn together_body(model: &str, job: &Job) -> Value {
    let ids: Vec<u32> = job.continuations.iter().map(|one| one[0]).collect();
    json!({
        "model": model, "prompt": job.context, "max_tokens": 1, "temperature": 0, "logprobs": 1,
        "logprob_token_ids": ids, "return_tokens_as_token_ids": true,
        // What the model's generation_config.json says must not choose the token that is written.
        "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0,
    })
}

/// The scores of one-token answers. The token that was written is the most probable one.
///
/// # Errors
/// An answer that is missing, and numbers that are none.
pub fn together(answer: Completion, ids: impl Iterator<Item = u32>) -> Result<Vec<Score>, Wrong> {
    let Logprobs { tokens, token_logprobs, top_logprobs } = logprobs(answer)?;
    let top = top_logprobs.unwrap_or_default();
    if tokens.len() != 1 || token_logprobs.len() != 1 || top.len() != 1 {
        return wrong("log-probabilities at one place", format!("{} of them", tokens.len()));
    }
    let place = || "the token that was written".to_owned();
    let Some(written) = id_of(&tokens[0]) else { return wrong("an id", format!("{:?}", tokens[0])) };
    let best = (Some(written), number(token_logprobs[0], &place)?);
    let known: HashMap<u32, f64> =
        top[0].iter().flatten().filter_map(|(token, value)| Some((id_of(token)?, *value))).collect();
    let score = |id: u32| {
        let place = || format!("the answer with the id {id}");
        let logprob = number(known.get(&id).copied(), &place)?;
        Ok(Score { logprob, is_greedy: is_best(id, logprob, best) })
    };
    ids.map(score).collect()
}

/// The question that forces one token after a context.
pub fn forced_body(context: &[u32], token: u32) -> Value {
    json!({
        "prompt": context, "n_predict": 1, "temperature": 0, "n_probs": 1, "cache_prompt": true,
        "logit_bias": [[token, FORCE]], "return_tokens": true,
    })
}

/// The same question for the most probable tokens beside the forced one, so many of them.
pub fn listed_body(context: &[u32], token: u32, most: usize) -> Value {
    let mut body = forced_body(context, token);
    body["n_probs"] = most.into();
    body
}

/// What llama-server says of the tokens that it writes.
#[derive(Debug, Deserialize)]
pub struct Native {
    /// What was written.
    #[serde(default)]
    pub content: String,
    /// Its ids.
    #[serde(default)]
    pub tokens: Vec<u32>,
    /// Why it ends: `eos`, `limit`, `word`.
    #[serde(default)]
    pub stop_type: Option<String>,
    /// Whether the prompt was cut.
    #[serde(default)]
    pub truncated: bool,
    /// One for each token.
    #[serde(default)]
    pub completion_probabilities: Vec<Chosen>,
    /// Which model answered, as a string.
    #[serde(default)]
    pub model: Option<Value>,
}

impl Signed for Native {
    fn signature(&self) -> Signature<'_> {
        Signature { fingerprint: None, model: self.model.as_ref().and_then(Value::as_str) }
    }
}

/// A token that was written, and the most probable ones at its place.
#[derive(Debug, Deserialize)]
pub struct Chosen {
    id: u32,
    logprob: Option<f64>,
    #[serde(default)]
    top_logprobs: Vec<Top>,
}

#[derive(Debug, Deserialize)]
struct Top {
    id: u32,
    logprob: Option<f64>,
}

/// The score of a token that is among the most probable ones beside a forced one; `None` if it is not.
///
/// # Errors
/// As [`forced`].
pub fn listed(answer: &Native, forced_token: u32, token: u32) -> Result<Option<Score>, Wrong> {
    forced(answer, forced_token)?;
    let place = || format!("token {token} among the most probable ones");
    let top = &answer.completion_probabilities[0].top_logprobs;
    let best = (Some(top[0].id), number(top[0].logprob, &place)?);
    let Some(own) = top.iter().find(|one| one.id == token) else { return Ok(None) };
    let logprob = number(own.logprob, &place)?;
    Ok(Some(Score { logprob, is_greedy: is_best(token, logprob, best) }))
}

/// Whether a server that was to write a token says nothing of it: llama-server keeps a token back that ends within a character, and
/// with it what it knows of it.
pub fn is_kept_back(answer: &Native) -> bool {
    answer.completion_probabilities.is_empty() && !answer.truncated
}

/// The score of a token that was forced.
///
/// # Errors
/// Another token, a prompt that was cut, and numbers that are none.
pub fn forced(answer: &Native, token: u32) -> Result<Score, Wrong> {
    let place = || format!("the forced token {token}");
    let [chosen] = &answer.completion_probabilities[..] else {
        let found = answer.completion_probabilities.len();
        return wrong("log-probabilities at one place", format!("{found} of them"));
    };
    if answer.truncated || chosen.id != token {
        let found = if answer.truncated { "a prompt that was cut".to_owned() } else { chosen.id.to_string() };
        return wrong(place(), found);
    }
    let logprob = number(chosen.logprob, &place)?;
    let Some(top) = chosen.top_logprobs.first() else { return wrong("the most probable token", "none") };
    let best = (Some(top.id), number(top.logprob, &place)?);
    Ok(Score { logprob, is_greedy: is_best(token, logprob, best) })
}

/// The lists of the only choice.
fn logprobs(answer: Completion) -> Result<Logprobs, Wrong> {
    let choice = only(answer)?;
    choice.logprobs.map_or_else(|| wrong("logprobs", "none"), Ok)
}

/// The answer to the only prompt.
///
/// # Errors
/// None, or several.
pub fn only(mut answer: Completion) -> Result<Choice, Wrong> {
    match (answer.choices.pop(), answer.choices.len()) {
        (Some(choice), 0) if choice.index == 0 => Ok(choice),
        (Some(choice), 0) => wrong("choice 0", format!("choice {}", choice.index)),
        (last, before) => wrong("one choice", (before + usize::from(last.is_some())).to_string()),
    }
}

/// A log-probability that a model can have given to a token.
fn number(value: Option<f64>, place: &dyn Fn() -> String) -> Result<f64, Wrong> {
    match value {
        Some(value) if value <= MASKED => wrong(
            format!("a log-probability of {}", place()),
            format!("{value}, which stands for minus infinity: something masks tokens on the server"),
        ),
        Some(value) if Score::can_be(value, 1) => Ok(value),
        Some(value) => wrong(format!("a log-probability of {}", place()), value.to_string()),
        None => wrong(format!("a log-probability of {}", place()), "none"),
    }
}

/// The most probable token of a list, by its id where that is said, and its log-probability.
fn best(top: Option<&HashMap<String, f64>>, place: &dyn Fn() -> String) -> Result<(Option<u32>, f64), Wrong> {
    let of = |(token, value): (&String, &f64)| (id_of(token), *value);
    // Of equal ones the lowest id.
    let better = |a: (Option<u32>, f64), b: (Option<u32>, f64)| match a.1.total_cmp(&b.1) {
        std::cmp::Ordering::Equal => (a.0.min(b.0), a.1),
        std::cmp::Ordering::Less => b,
        std::cmp::Ordering::Greater => a,
    };
    let best = top.and_then(|top| top.iter().map(of).reduce(better));
    let Some((id, value)) = best else {
        return wrong(format!("the most probable token at {}", place()), "none");
    };
    Ok((id, number(Some(value), place)?))
}

/// Whether a token is the most probable one: of equal ones the first, as on this machine.
fn is_best(id: u32, own: f64, (best, value): (Option<u32>, f64)) -> bool {
    own > value || (own == value && best.is_none_or(|best| id <= best))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(logprobs: Value) -> Completion {
        serde_json::from_value(json!({"choices": [{"index": 0, "text": "", "logprobs": logprobs}]})).unwrap()
    }

    fn lists(values: [f64; 3]) -> Value {
        json!({
            "tokens": ["token_id:5", "token_id:6", "token_id:7"], "token_logprobs": [null, values[0], values[1]],
            "top_logprobs": [null, {"token_id:6": values[0]}, {"token_id:7": values[1], "token_id:3": values[2]}],
        })
    }

    fn score(logprobs: Value, scored: usize) -> Result<Score, String> {
        echoed(completion(logprobs), &[5, 6, 7], scored)
            .map_err(|(expected, found)| format!("{expected}: {found}"))
    }

    #[test]
    fn a_continuation_is_what_stands_at_the_end_of_its_prompt() {
        let is_greedy = |values, scored| score(lists(values), scored).map(|s| (s.logprob, s.is_greedy));
        assert_eq!(is_greedy([-1.0, -0.5, -0.7], 2), Ok((-1.5, true)));
        assert_eq!(is_greedy([-1.0, -0.5, -0.25], 1), Ok((-0.5, false)));
        // Of two that are equal the first one is the best.
        assert_eq!(is_greedy([-1.0, -0.5, -0.5], 1), Ok((-0.5, false)));
    }

    #[test]
    fn nothing_is_read_of_lists_that_do_not_fit() {
        let refused = |change: fn(&mut Value), words: &str| {
            let mut all = lists([-1.0, -0.5, -0.7]);
            change(&mut all);
            let said = score(all, 2).unwrap_err();
            assert!(said.contains(words), "{said}");
        };
        refused(|all| all["token_logprobs"] = json!([null, -1.0]), "token_logprobs of the 3 tokens");
        refused(|all| all["tokens"] = json!(["token_id:5", "token_id:6"]), "tokens of the 3 tokens");
        refused(|all| all["top_logprobs"] = Value::Null, "top_logprobs of the 3 tokens");
        refused(|all| all["tokens"][2] = json!("token_id:8"), "id 7");
        refused(|all| all["tokens"][2] = json!("x"), "id 7");
        refused(|all| all["token_logprobs"][2] = json!(0.5), "0.5");
        refused(|all| all["token_logprobs"][2] = json!(-9999.0), "minus infinity");
        refused(|all| all["token_logprobs"][1] = Value::Null, "none");
        refused(|all| all["top_logprobs"][1] = json!({}), "none");
        // A token without context has no score.
        assert!(score(lists([-1.0, -0.5, -0.7]), 3).is_err());
        let two = json!({"choices": [{"index": 0, "text": ""}, {"index": 1, "text": ""}]});
        assert!(echoed(serde_json::from_value(two).unwrap(), &[5, 6, 7], 1).is_err());
    }

    #[test]
    fn answers_of_one_token_are_read_by_their_ids() {
        let answer = |top: Value| {
            completion(json!({"tokens": ["token_id:4"], "token_logprobs": [-0.25], "top_logprobs": [top]}))
        };
        let top = json!({"token_id:4": -0.25, "token_id:9": -3.0, "token_id:0": -9999.0});
        let scores = together(answer(top.clone()), [9, 4].into_iter()).unwrap();
        assert_eq!(
            scores.iter().map(|s| (s.logprob, s.is_greedy)).collect::<Vec<_>>(),
            [(-3.0, false), (-0.25, true)]
        );
        for (ids, words) in [([4, 8], "none"), ([4, 0], "minus infinity")] {
            let (_, found) = together(answer(top.clone()), ids.into_iter()).unwrap_err();
            assert!(found.contains(words), "{found}");
        }
    }

    #[test]
    fn a_forced_token_has_the_log_probability_that_it_would_have_had() {
        let answer = |id: u32, value: f64| -> Native {
            let top = json!([{"id": 7, "logprob": -0.1}]);
            let of = json!({"id": id, "logprob": value, "top_logprobs": top});
            serde_json::from_value(json!({"content": "", "completion_probabilities": [of]})).unwrap()
        };
        let read = |answer: &Native, token| forced(answer, token).map(|s| (s.logprob, s.is_greedy));
        assert_eq!(read(&answer(9, -15.25), 9), Ok((-15.25, false)));
        assert_eq!(read(&answer(7, -0.1), 7), Ok((-0.1, true)));
        assert!(read(&answer(7, -0.1), 9).is_err());
        assert!(read(&Native { truncated: true, ..answer(9, -1.0) }, 9).is_err());
    }
}
