//! Lines of samples → the answers that they hold, without whoever answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::grade::{Contexts, Prompts, other_answers};
use super::overlong::without_examples;
use super::{AnsweredTask, Answers, Choices, EvaluateError};
use crate::base::digest::{Digest as _, Sha256, hex};
use crate::engine::Score;
use crate::records::{Choice, SampleLine};
use crate::tasks::{OutputType, PreparedDoc, PreparedTask};

/// The answers that earlier `lines` hold, in their order. Documents of `task` without a line had been left out, and examples
/// that had been left out of a prompt are left out again.
///
/// # Errors
/// Lines that are not of these documents or not of these prompts.
pub fn recorded(task: &Arc<PreparedTask>, lines: &[SampleLine]) -> Result<AnsweredTask, EvaluateError> {
    let mut task = Arc::clone(task);
    if lines.len() < task.docs.len() {
        let ids: BTreeSet<usize> = lines.iter().map(|line| line.doc_id).collect();
        Arc::make_mut(&mut task).docs.retain(|doc| ids.contains(&doc.doc_id));
    }
    if lines.len() != task.docs.len() {
        return Err(other_answers(&task, 1, &format!("{} lines of samples", lines.len())));
    }
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.dropped_examples > 0) {
        let doc = &mut Arc::make_mut(&mut task).docs[at];
        *doc = without_examples(doc, line.dropped_examples);
    }
    let written = task.task.config.output_type == OutputType::GenerateUntil;
    let mut prompts = Prompts::default();
    for (doc, line) in task.docs.iter().zip(lines) {
        let checked = check(doc, line, written).and_then(|()| same_prompt(&prompts.of(doc), line));
        checked.map_err(|reason| EvaluateError::of(&task, doc, reason))?;
    }
    let answers = if written {
        let texts =
            |line: &SampleLine| line.text.iter().chain(&line.turns).chain(&line.repeats).cloned().collect();
        Answers::Written(lines.iter().map(texts).collect())
    } else {
        Answers::Scored(lines.iter().map(choices).collect())
    };
    Ok(AnsweredTask::new(task, answers))
}

/// The digest of all continuations of a task that are scored; `None` for a task whose answers are written. With the prompts'
/// it says what was asked.
pub fn continuations_sha256(task: &PreparedTask) -> Option<String> {
    continuations_sha256_of(task, task.docs.iter())
}

/// The same of some of its documents.
pub fn continuations_sha256_of<'d>(
    task: &PreparedTask,
    docs: impl Iterator<Item = &'d PreparedDoc>,
) -> Option<String> {
    if task.task.config.output_type == OutputType::GenerateUntil {
        return None;
    }
    let mut hasher = Sha256::new();
    for request in docs.flat_map(|doc| doc.requests.iter().chain(&doc.unconditional)) {
        // Lengths keep two texts from running into each other.
        hasher.update((request.continuation.len() as u64).to_le_bytes());
        hasher.update(&request.continuation);
    }
    Some(hex(hasher.finalize()))
}

fn check(doc: &PreparedDoc, line: &SampleLine, written: bool) -> Result<(), String> {
    if line.doc_id != doc.doc_id {
        return Err(format!("expected its line of samples here, found that of document {}", line.doc_id));
    }
    if written {
        let expected = || "expected a written answer (text) in its line of samples, found none".to_owned();
        return line.text.as_ref().map(|_| ()).ok_or_else(expected);
    }
    for (expected, found, what) in [
        (doc.requests.len(), line.choices.len(), ""),
        (doc.unconditional.len(), line.unconditional.len(), " by themselves (unconditional)"),
    ] {
        if expected != found {
            return Err(format!("expected {expected} choices{what} in its line of samples, found {found}"));
        }
    }
    for Choice { logprob, n_tokens, .. } in line.choices.iter().chain(&line.unconditional) {
        if !Score::can_be(*logprob, *n_tokens) {
            return Err(format!(
                "expected logarithms of probabilities in its line of samples, none of them above 0, found {logprob}"
            ));
        }
    }
    Ok(())
}

fn same_prompt(asked: &Contexts, line: &SampleLine) -> Result<(), String> {
    let own = || line.choices.iter().map(|choice| &choice.prompt_sha256);
    if asked.first == line.prompt_sha256 && own().zip(&asked.own).all(|(then, now)| then == now) {
        return Ok(());
    }
    Err(format!(
        "the prompt is not the one that was answered (sha256 {}, then {}); the task file, the data or the options have \
         changed since, so that the model has to be asked again",
        asked.first, line.prompt_sha256
    ))
}

fn choices(line: &SampleLine) -> Choices {
    let choice = |choice: &Choice| Choice {
        n_ctx_tokens: choice.n_ctx_tokens.or(line.n_prompt_tokens),
        prompt_sha256: None,
        ..choice.clone()
    };
    Choices {
        choices: line.choices.iter().map(choice).collect(),
        unconditional: line.unconditional.iter().map(choice).collect(),
    }
}
