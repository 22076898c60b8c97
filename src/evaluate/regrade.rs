//! Lines of samples → metrics again, without the model that answered.

use super::encode::EncodedDoc;
use super::grade::grade;
use super::{EncodedTask, EvaluateError, TaskResult, grade_generation};
use crate::engine::{EncodedPair, Score, ScoreRequest};
use crate::records::{ChoiceLine, SampleLine};
use crate::tasks::{OutputType, PreparedDoc, PreparedTask};

/// Grades the documents of `task` by what earlier `lines` say of them, in the order of the documents.
///
/// # Errors
/// Lines that are not of these documents or not of these prompts, and what the grading itself refuses.
pub fn grade_samples(task: &PreparedTask, lines: Vec<SampleLine>) -> Result<TaskResult, EvaluateError> {
    let refuse =
        |doc_id: usize, reason: String| EvaluateError::Grade { task: task.task.name.clone(), doc_id, reason };
    if lines.len() != task.docs.len() {
        return Err(EvaluateError::Answers {
            task: task.task.name.clone(),
            expected: task.docs.len(),
            repeats: 1,
            found: format!("{} lines of samples", lines.len()),
        });
    }
    let written = task.task.config.output_type == OutputType::GenerateUntil;
    for (doc, line) in task.docs.iter().zip(&lines) {
        check(doc, line, written).map_err(|reason| refuse(doc.doc_id, reason))?;
    }
    let mut result = if written {
        let answers: Vec<Vec<String>> =
            lines.iter().map(|line| line.text.iter().cloned().collect()).collect();
        grade_generation(task, &answers)?
    } else {
        let docs = lines.iter().map(of_line).collect();
        let scores: Vec<Score> = lines.iter().flat_map(scores).collect();
        grade(task, &EncodedTask { docs }, &scores, usize::MAX)?
    };
    for (new, old) in result.samples.iter_mut().zip(lines) {
        let contexts = |line: &SampleLine| -> Vec<Option<String>> {
            line.choices.iter().map(|choice| choice.prompt_sha256.clone()).collect()
        };
        if new.prompt_sha256 != old.prompt_sha256 || contexts(new) != contexts(&old) {
            let reason = format!(
                "the prompt is not the one that was answered (sha256 {}, then {}); the task file, the data or the \
                 options have changed since, so that the model has to be asked again",
                new.prompt_sha256, old.prompt_sha256
            );
            return Err(refuse(old.doc_id, reason));
        }
        // What was asked and answered stays as it was written; what follows from it is new.
        *new = SampleLine {
            metrics: std::mem::take(&mut new.metrics),
            filtered: std::mem::take(&mut new.filtered),
            target: std::mem::take(&mut new.target),
            ..old
        };
    }
    Ok(result)
}

fn check(doc: &PreparedDoc, line: &SampleLine, written: bool) -> Result<(), String> {
    if line.doc_id != doc.doc_id {
        return Err(format!("expected its line of samples here, found that of document {}", line.doc_id));
    }
    if written {
        let expected = || "expected a written answer (text) in its line of samples, found none".to_owned();
        return line.text.as_ref().map(|_| ()).ok_or_else(expected);
    }
    let (expected, found) = (doc.requests.len(), line.choices.len());
    if expected != found {
        return Err(format!("expected {expected} choices in its line of samples, found {found}"));
    }
    let (expected, found) = (doc.unconditional.len(), line.unconditional.len());
    if expected != found {
        return Err(format!(
            "expected {expected} choices by themselves (unconditional) in its line of samples, found {found}"
        ));
    }
    Ok(())
}

/// The requests behind a line, as far as it tells: their contexts were not kept.
fn of_line(line: &SampleLine) -> EncodedDoc {
    let pair = |choice: &ChoiceLine| EncodedPair {
        request: ScoreRequest { context: [].into(), continuation: choice.tokens.clone() },
        n_context_tokens: choice.n_ctx_tokens.unwrap_or_default(),
        cut: 0,
    };
    let pairs = |choices: &[ChoiceLine]| choices.iter().map(pair).collect();
    EncodedDoc { requests: pairs(&line.choices), unconditional: pairs(&line.unconditional) }
}

/// The scores of a line in the order of its requests.
fn scores(line: &SampleLine) -> impl Iterator<Item = Score> {
    let all = line.choices.iter().chain(&line.unconditional);
    all.map(|choice| Score { logprob: choice.logprob, is_greedy: choice.is_greedy })
}
