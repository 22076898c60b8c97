//! Documents whose prompts do not fit into a model's context.
//!
//! The reference harness cuts tokens from the left, so that BOS and the description go first. That is the
//! default here, since numbers are compared; the other policies keep whole what is left.

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::EvaluateError;
use super::encode::{EncodedDoc, EncodedTask};
use super::sanity::{SanityCheck, SanityFinding};
use crate::base::names::name_of;
use crate::tasks::{OutputType, PreparedDoc, PreparedTask};
use crate::tokenizer::Tokenizer;

/// How many documents an error names.
const NAMED: usize = 5;

/// What to do with a document that is too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlong {
    /// Cut tokens from the left, as the reference harness does.
    #[default]
    Left,
    /// Leave out examples from the front until it fits; what still does not fit is cut from the left.
    DropShots,
    /// Leave the document out.
    Skip,
    /// Compute nothing.
    Error,
}

impl Overlong {
    /// The name as `--overlong` takes it.
    pub fn name(self) -> &'static str {
        name_of(&self)
    }
}

/// Applies a policy to the documents of `task` that lose tokens with `max_length` positions. `encoded` holds their
/// tokens and changes with them. What was done comes back.
///
/// # Errors
/// With [`Overlong::Error`] the documents that are too long; with [`Overlong::DropShots`] prompts whose examples cannot be
/// told apart.
pub(super) fn fit(
    tokenizer: &Tokenizer,
    task: &mut Arc<PreparedTask>,
    encoded: &mut EncodedTask,
    max_length: usize,
    policy: Overlong,
) -> Result<Option<SanityFinding>, EvaluateError> {
    if task.task.config.output_type == OutputType::LoglikelihoodRolling {
        return Ok(None);
    }
    let long = |(index, doc): (usize, &EncodedDoc)| (doc.truncated(max_length) > 0).then_some(index);
    let long: Vec<usize> = encoded.docs.iter().enumerate().filter_map(long).collect();
    if long.is_empty() {
        return Ok(None);
    }
    let of = task.docs.len();
    let (check, documents) = match policy {
        Overlong::Left => return Ok(None),
        Overlong::Error => return Err(too_long(task, encoded, &long, max_length)),
        Overlong::Skip => (SanityCheck::Skipped, skip(Arc::make_mut(task), encoded, &long)),
        Overlong::DropShots => {
            let changed = drop_examples(tokenizer, Arc::make_mut(task), encoded, &long, max_length)?;
            (SanityCheck::DroppedExamples, changed)
        }
    };
    Ok(SanityFinding::new(&task.task.name, check, of, documents))
}

fn too_long(task: &PreparedTask, encoded: &EncodedTask, long: &[usize], max_length: usize) -> EvaluateError {
    let shown = long.iter().take(NAMED).map(|&index| {
        let inputs = encoded.docs[index].requests.iter().map(|pair| pair.request.inputs());
        let longest = inputs.max().expect("a document that is too long asks something");
        format!("{} ({longest} tokens)", task.docs[index].doc_id)
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    let reason = format!(
        "{} of {} documents do not fit into {max_length} positions, such as {shown}; nothing was computed. Take \
         --overlong left, drop-shots or skip, fewer --num-fewshot, or a larger --max-length",
        long.len(),
        task.docs.len()
    );
    EvaluateError::of_task(task, reason)
}

/// Leaves documents out; their numbers come back.
fn skip(task: &mut PreparedTask, encoded: &mut EncodedTask, long: &[usize]) -> Vec<usize> {
    fn retain<T>(items: &mut Vec<T>, long: &[usize]) {
        let mut index = 0..items.len();
        items.retain(|_| long.binary_search(&index.next().expect("an index for each item")).is_err());
    }
    let ids = long.iter().map(|&index| task.docs[index].doc_id).collect();
    retain(&mut task.docs, long);
    retain(&mut encoded.docs, long);
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
    let shorter =
        |&index: &usize| shortened(tokenizer, task, &task.docs[index], &encoded.docs[index], max_length);
    let shorter: Vec<_> = long.par_iter().map(shorter).collect::<Result<_, _>>()?;
    let mut changed = Vec::new();
    for (&index, shorter) in long.iter().zip(shorter) {
        if let Some((doc, tokens)) = shorter {
            changed.push(doc.doc_id);
            (task.docs[index], encoded.docs[index]) = (doc, tokens);
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
        let reason = "--overlong drop-shots cannot tell the examples of its prompt apart (a chat template wrote it); take \
                      --overlong left or skip";
        return Err(EvaluateError::of(task, doc, reason));
    };
    let mut best = None;
    for count in 1..=parts.examples() {
        let candidate = without_examples(doc, count);
        let own = EncodedTask::document(tokenizer, task, &candidate, max_length)?;
        let lost = own.truncated(max_length);
        best = (lost < tokens.truncated(max_length)).then_some((candidate, own));
        if lost == 0 {
            break;
        }
    }
    Ok(best)
}

/// A document without its first `count` examples; as it is where they cannot be told apart.
pub(super) fn without_examples(doc: &PreparedDoc, count: usize) -> PreparedDoc {
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
    shorter.dropped_examples = count;
    shorter
}
