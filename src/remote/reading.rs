//! An answer read in every way in which servers are asked for scores, for texts and for their models: what fuzzers look at.

use super::RemoteError;
use super::client::read;
use super::completion::Completion;
use super::probe::Models;
use super::score::{Native, Wrong, echoed, forced, only, together};
use super::write::{native_written, openai_written};
use crate::engine::Score;

/// What an answer says to somebody who asked for the last `scored` tokens of a prompt: by echo, all at once, by force, for a text
/// and for a list of models, whose readings have no scores.
pub fn readings(body: &[u8], prompt: &[u32], scored: usize) -> [Result<Vec<Score>, RemoteError>; 6] {
    let host = "server";
    let wrong = |(expected, found): Wrong| RemoteError::Answer { host: host.to_owned(), expected, found };
    let completion = || read::<Completion>(host, body);
    let native = || read::<Native>(host, body);
    let asked = &prompt[prompt.len() - scored..];
    let text = |answer: Completion| {
        let tokens = answer.usage.map(|usage| usage.completion_tokens);
        only(answer).and_then(|choice| openai_written(choice, tokens))
    };
    let models = |models: Models| {
        let reason = |reason| RemoteError::Unable { host: host.to_owned(), reason };
        models.named(None).map(|_| Vec::new()).map_err(reason)
    };
    [
        completion().and_then(|answer| echoed(answer, prompt, scored).map(|one| vec![one]).map_err(wrong)),
        completion().and_then(|answer| together(answer, asked.iter().copied()).map_err(wrong)),
        native().and_then(|answer| forced(&answer, asked[0]).map(|one| vec![one]).map_err(wrong)),
        completion().and_then(|answer| text(answer).map(|_| Vec::new()).map_err(wrong)),
        native().and_then(|answer| native_written(answer).map(|_| Vec::new()).map_err(wrong)),
        read::<Models>(host, body).and_then(models),
    ]
}
