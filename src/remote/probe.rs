//! What a server is and can do, found out before the work: what it lacks is said then, and not after an hour.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::RemoteError;
use super::client::Client;
use super::completion::Completion;
use super::found::{Found, Kind, Scoring, Tokens};
use super::identity::MAX_NAME;
use super::job::Job;
use super::score::{Native, echo_body, echoed, forced, forced_body, only, together, together_body};
use crate::base::http::short;
use crate::engine::Score;
use crate::tokenizer::{AddSpecials, Tokenizer};

/// What is asked to learn how a server does: words, digits, spaces, lines, other scripts and signs, which tokenizers cut in
/// different ways.
const TEXT: &str = "The zoo opens at 10:45, and 12345 visitors don't wait:\n\n  tigers,\tbears (3.5 m²) and naïve über-penguins — \
                    动物园里有老虎。Зоопарк 🐧 #1?!";
/// Tokens of it that are scored.
const SCORED: usize = 8;
/// So many requests at once show what they do to each other.
const AT_ONCE: usize = 8;
/// How many models an error names.
const NAMED: usize = 12;
/// The most characters of a name in an error.
const SHOWN: usize = 80;

/// What a server says it serves.
#[derive(Debug, Deserialize)]
pub struct Models {
    data: Vec<Model>,
}

/// A model that is served.
#[derive(Debug, Deserialize)]
pub struct Model {
    id: String,
    #[serde(default)]
    owned_by: Option<String>,
    #[serde(default)]
    root: Option<String>,
    #[serde(default)]
    max_model_len: Option<usize>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Debug, Deserialize)]
struct Meta {
    #[serde(default)]
    n_ctx: Option<usize>,
    #[serde(default)]
    ftype: Option<String>,
}

/// Asks one server what it is and can do; `wanted` is the model's name, if somebody said one.
///
/// # Errors
/// A server that cannot be reached, has not the model, or makes other tokens of a text.
pub fn probe(
    client: &Arc<Client>,
    wanted: Option<&str>,
    tokenizer: &Tokenizer,
) -> Result<Found, RemoteError> {
    let models: Models = client.get("v1/models")?;
    let model = models.named(wanted).map_err(|reason| RemoteError::Unable { host: client.host(), reason })?;
    let Model { id, owned_by, root, max_model_len, meta } = model;
    let kind = match owned_by.as_deref() {
        Some("vllm") => Kind::Vllm,
        Some("llamacpp") => Kind::LlamaServer,
        _ => Kind::Other,
    };
    let mut found = Found {
        kind,
        version: None,
        fingerprint: None,
        model: id,
        root,
        dtype: meta.as_ref().and_then(|meta| meta.ftype.clone()),
        positions: max_model_len.or(meta.and_then(|meta| meta.n_ctx)),
        scoring: None,
        together: false,
        shown: None,
        tokens: Tokens::Unknown,
        repeated: 0.0,
        at_once: 0.0,
    };
    found.version = version(client, kind)?;
    let ids = tokenizer.encode(TEXT, AddSpecials::None).map_err(|error| RemoteError::Unable {
        host: client.host(),
        reason: format!("the text of the probe has no tokens: {error}"),
    })?;
    if ids.len() < SCORED + AT_ONCE {
        let reason = format!(
            "--tokenizer makes {} tokens of a text of {} characters, too few to see whether the server makes the same",
            ids.len(),
            TEXT.chars().count()
        );
        return Err(RemoteError::Unable { host: client.host(), reason });
    }
    if let Some(theirs) = theirs(client, &found)? {
        compare(client, tokenizer, &ids, &theirs)?;
        found.tokens = Tokens::Alike;
    }
    abilities(client, &mut found, &ids)?;
    Ok(found)
}

impl Models {
    /// The model that is served under a name; without one the only one.
    ///
    /// # Errors
    /// None, one of several, and names that are none, in words.
    pub fn named(self, wanted: Option<&str>) -> Result<Model, String> {
        let Self { mut data } = self;
        let names = data.iter().take(NAMED).map(|model| short(&model.id, SHOWN)).collect::<Vec<_>>();
        let more = data.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = names.join(", ") + &more;
        let model = match wanted {
            Some(wanted) => {
                let at = data.iter().position(|model| model.id == wanted);
                data.swap_remove(at.ok_or_else(|| format!("it serves no {wanted:?}, but {names}"))?)
            }
            None => match (data.pop(), data.is_empty()) {
                (Some(only), true) => only,
                (None, _) => return Err("it serves no model".to_owned()),
                _ => return Err(format!("it serves {names}; say which one is meant: remote:URL#MODEL")),
            },
        };
        let said =
            [Some(&model.id), model.root.as_ref(), model.meta.as_ref().and_then(|meta| meta.ftype.as_ref())];
        let longest = said.into_iter().flatten().map(String::len).max().unwrap_or_default();
        if longest > MAX_NAME {
            return Err(format!("expected names of at most {MAX_NAME} bytes, found one of {longest}"));
        }
        Ok(model)
    }
}

/// What a server says of itself, where it has something like that.
fn optional<T>(answer: Result<T, RemoteError>) -> Result<Option<T>, RemoteError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(RemoteError::Refused { status, .. }) if status != 401 && status != 403 => Ok(None),
        Err(RemoteError::Overloaded { status: 500 | 501, .. } | RemoteError::Answer { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn version(client: &Client, kind: Kind) -> Result<Option<String>, RemoteError> {
    let (path, key) = match kind {
        Kind::Vllm => ("version", "version"),
        Kind::LlamaServer => ("props", "build_info"),
        Kind::Other => return Ok(None),
    };
    let answer: Option<Value> = optional(client.get(path))?;
    Ok(answer.and_then(|answer| answer.get(key)?.as_str().map(|text| short(text, MAX_NAME))))
}

/// The tokens that a server makes of the probe's text, if it says them.
fn theirs(client: &Client, found: &Found) -> Result<Option<Vec<u32>>, RemoteError> {
    #[derive(Deserialize)]
    struct Tokenized {
        #[serde(default)]
        tokens: Vec<u32>,
    }
    let body = match found.kind {
        Kind::LlamaServer => json!({"content": TEXT, "add_special": false, "parse_special": true}),
        _ => json!({"model": found.model, "prompt": TEXT, "add_special_tokens": false}),
    };
    let answer: Option<Tokenized> = optional(client.post("tokenize", &body))?;
    if let Some(Tokenized { tokens }) = answer.filter(|answer| !answer.tokens.is_empty()) {
        return Ok(Some(tokens));
    }
    if found.kind == Kind::LlamaServer {
        return Ok(None);
    }
    let body = json!({
        "model": found.model, "prompt": TEXT, "max_tokens": 1, "temperature": 0, "add_special_tokens": false,
        "return_token_ids": true,
    });
    let answer: Option<Completion> = optional(client.complete("v1/completions", &body))?;
    Ok(answer.and_then(|answer| only(answer).ok()?.prompt_token_ids))
}

fn compare(client: &Client, tokenizer: &Tokenizer, own: &[u32], theirs: &[u32]) -> Result<(), RemoteError> {
    if own == theirs {
        return Ok(());
    }
    let same = own.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    let shown = |ids: &[u32]| {
        let few: Vec<String> = ids.iter().skip(same).take(3).map(u32::to_string).collect();
        format!(
            "{} (of {} tokens)",
            if few.is_empty() { "the end".to_owned() } else { few.join(" ") },
            ids.len()
        )
    };
    let before = tokenizer.decode(&own[..same]).unwrap_or_default();
    Err(RemoteError::Unable {
        host: client.host(),
        reason: format!(
            "it makes other tokens of a text than --tokenizer: after {before:?} it has {}, where the tokenizer has {}; name the \
             tokenizer of the model that is served",
            shown(theirs),
            shown(own)
        ),
    })
}

/// What the server scores, and how much alike.
fn abilities(client: &Arc<Client>, found: &mut Found, ids: &[u32]) -> Result<(), RemoteError> {
    if found.kind != Kind::LlamaServer {
        let answer: Option<Completion> =
            optional(client.complete("v1/completions", &echo_body(&found.model, ids)))?;
        if let Some(answer) = answer {
            found.fingerprint = answer.system_fingerprint.as_deref().map(|text| short(text, MAX_NAME));
            found.scoring = echoed(answer, ids, SCORED).ok().map(|_| Scoring::Echo);
        }
        let (context, last) = ids.split_at(ids.len() - 2);
        let continuations: Vec<Vec<u32>> = last.iter().map(|id| vec![*id]).collect();
        let job = Job { context: context.to_vec(), continuations, requests: vec![0, 1] };
        let answer: Option<Completion> =
            optional(client.complete("v1/completions", &together_body(&found.model, &job)))?;
        found.together = answer.is_some_and(|answer| together(answer, last.iter().copied()).is_ok());
    } else {
        let (context, last) = ids.split_at(ids.len() - 1);
        let answer: Option<Native> = optional(client.complete("completion", &forced_body(context, last[0])))?;
        found.shown = answer.filter(|answer| forced(answer, last[0]).is_ok()).map(|_| last[0]);
        found.scoring = found.shown.map(|_| Scoring::Forced);
    }
    if found.scoring.is_none() {
        return Ok(());
    }
    let first = score(client, found, ids)?;
    let far = |score: Score| (score.logprob - first.logprob).abs();
    found.repeated = far(score(client, found, ids)?);
    let model = &*found;
    let at_once: Vec<Result<Score, RemoteError>> = std::thread::scope(|scope| {
        let one =
            |cut: usize| scope.spawn(move || score(client, model, &ids[cut..]).map(|score| (cut, score)));
        // The same request among others, which are of other lengths.
        let asked: Vec<_> =
            (0..AT_ONCE).map(|number| one(if number % 2 == 0 { 0 } else { number })).collect();
        let answers = asked.into_iter().map(|one| one.join().expect("a request does not panic"));
        answers
            .filter_map(|answer| match answer {
                Ok((0, score)) => Some(Ok(score)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
            .collect()
    });
    for score in at_once {
        found.at_once = found.at_once.max(far(score?));
    }
    Ok(())
}

/// The score of the last tokens of a prompt.
fn score(client: &Client, found: &Found, prompt: &[u32]) -> Result<Score, RemoteError> {
    let (context, scored) = prompt.split_at(prompt.len() - SCORED);
    let job = Job { context: context.to_vec(), continuations: vec![scored.to_vec()], requests: vec![0] };
    job.ask(client, found).map(|scores| scores[0])
}
