//! What happens to documents whose prompts do not fit into a model's positions.
//!
//! The reference harness cuts tokens from the left, so that BOS and the description go first. That is the
//! default here, since numbers are compared; the other policies keep whole what is left.

use std::sync::Arc;

use rayon::prelude::*;

use super::EvaluateError;
use super::encode::{EncodedDoc, EncodedTask};
use super::sanity::{Check, Finding};
use crate::tasks::{OutputType, PreparedDoc, PreparedTask};
use crate::tokenizer::Tokenizer;

/// How many documents an error names.
const NAMED: usize = 5;

/// What to do with a document that is too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overlong {
    /// Cut tokens from the left, as the reference harness does.
    #[default]
    Left,
    /// Leave out examples from the front until it fits; what still does not fit is cut from the left.
    DropExamples,
    /// Leave the document out.
    Skip,
    /// Compute nothing.
    Error,
}

/// Tasks after a policy.
#[derive(Debug, Default)]
pub struct Fitted {
    /// The tasks, where any changed.
    pub tasks: Option<Vec<PreparedTask>>,
    /// What was done, by task.
    pub findings: Vec<Finding>,
}

/// Applies a policy to the documents of `tasks` that lose tokens with `max_length` positions. `encoded` holds their
/// tokens and changes with them.
///
/// # Errors
/// With [`Overlong::Error`] the documents that are too long; with [`Overlong::DropExamples`] prompts whose
/// examples cannot be told apart.
pub fn fit(
    tokenizer: &Tokenizer,
    tasks: &[PreparedTask],
    encoded: &mut [EncodedTask],
    max_length: usize,
    policy: Overlong,
) -> Result<Fitted, EvaluateError> {
    let mut fitted = Fitted::default();
    if policy == Overlong::Left {
        return Ok(fitted);
    }
    for (at, own) in encoded.iter_mut().enumerate() {
        let Some(task) = tasks.get(at) else { continue };
        let whole = task.task.config.output_type == OutputType::LoglikelihoodRolling;
        let is_long = |doc: &EncodedDoc| !whole && doc.truncated(max_length) > 0;
        let long: Vec<usize> =
            own.docs.iter().enumerate().filter(|(_, doc)| is_long(doc)).map(|(index, _)| index).collect();
        if long.is_empty() {
            continue;
        }
        if policy == Overlong::Error {
            return Err(too_long(task, own, &long, max_length));
        }
        let changed = fitted.tasks.get_or_insert_with(|| tasks.to_vec());
        let Some(task) = changed.get_mut(at) else { continue };
        let of = task.docs.len();
        let (check, documents) = if policy == Overlong::Skip {
            (Check::Skipped, skip(task, own, &long))
        } else {
            (Check::DroppedExamples, drop_examples(tokenizer, task, own, &long, max_length)?)
        };
        fitted.findings.extend(Finding::new(&task.task.name, check, of, documents));
    }
    Ok(fitted)
}

fn too_long(task: &PreparedTask, encoded: &EncodedTask, long: &[usize], max_length: usize) -> EvaluateError {
    let shown = long.iter().take(NAMED).filter_map(|index| {
        let (doc, tokens) = (task.docs.get(*index)?, encoded.docs.get(*index)?);
        let longest = tokens.requests.iter().map(|pair| pair.request.inputs()).max()?;
        Some(format!("{} ({longest} tokens)", doc.doc_id))
    });
    EvaluateError::TooLong {
        task: task.task.name.clone(),
        documents: long.len(),
        of: task.docs.len(),
        max_length,
        shown: shown.collect::<Vec<_>>().join(", "),
    }
}

/// Leaves documents out; their numbers come back.
fn skip(task: &mut PreparedTask, encoded: &mut EncodedTask, long: &[usize]) -> Vec<usize> {
    let ids = long.iter().filter_map(|index| task.docs.get(*index)).map(|doc| doc.doc_id).collect();
    let keep = |index: usize| long.binary_search(&index).is_err();
    let mut index = 0usize..;
    task.docs.retain(|_| index.next().is_some_and(keep));
    let mut index = 0usize..;
    encoded.docs.retain(|_| index.next().is_some_and(keep));
    ids
}

/// Takes out as few examples as are needed; the numbers of the documents that lost some come back.
fn drop_examples(
    tokenizer: &Tokenizer,
    task: &mut PreparedTask,
    encoded: &mut EncodedTask,
    long: &[usize],
    max_length: usize,
) -> Result<Vec<usize>, EvaluateError> {
    let shorter = |index: &usize| -> Result<Option<(usize, PreparedDoc, EncodedDoc)>, EvaluateError> {
        let found = task.docs.get(*index).zip(encoded.docs.get(*index));
        let Some((doc, tokens)) = found else { return Ok(None) };
        let shorter = shortened(tokenizer, task, doc, tokens, max_length)?;
        Ok(shorter.map(|(doc, tokens)| (*index, doc, tokens)))
    };
    let shorter: Vec<_> = long.par_iter().map(shorter).collect::<Result<_, _>>()?;
    let mut changed = Vec::new();
    for (index, doc, tokens) in shorter.into_iter().flatten() {
        changed.push(doc.doc_id);
        if let (Some(old), Some(old_tokens)) = (task.docs.get_mut(index), encoded.docs.get_mut(index)) {
            (*old, *old_tokens) = (doc, tokens);
        }
    }
    Ok(changed)
}

/// A document without the fewest examples that suffice; if none do, without all. `None` if it has none to lose.
fn shortened(
    tokenizer: &Tokenizer,
    task: &PreparedTask,
    doc: &PreparedDoc,
    tokens: &EncodedDoc,
    max_length: usize,
) -> Result<Option<(PreparedDoc, EncodedDoc)>, EvaluateError> {
    let Some(parts) = &doc.parts else {
        return Err(EvaluateError::NoParts { task: task.task.name.clone(), doc_id: doc.doc_id });
    };
    let mut best = None;
    for count in 1..=parts.examples() {
        let mut candidate = without(doc, count);
        let own = EncodedTask::document(tokenizer, task, &candidate, max_length)?;
        let lost = own.truncated(max_length);
        candidate.dropped_examples = count;
        best = (lost < tokens.truncated(max_length)).then_some((candidate, own));
        if lost == 0 {
            break;
        }
    }
    Ok(best)
}

/// A document without its first `count` examples.
fn without(doc: &PreparedDoc, count: usize) -> PreparedDoc {
    let mut shorter = doc.clone();
    let Some(parts) = &mut shorter.parts else { return shorter };
    let mut last: Option<(Arc<str>, Arc<str>)> = None;
    for request in &mut shorter.requests {
        // Requests that shared a context go on sharing it: it is encoded once.
        let context = match &last {
            Some((from, to)) if Arc::ptr_eq(from, &request.context) => to.clone(),
            _ => parts.without_first(&request.context, count).into(),
        };
        last = Some((std::mem::replace(&mut request.context, context.clone()), context));
    }
    parts.drop_first(count);
    shorter
}
