//! Prepared tasks × a model → graded documents, task results and the rows of the tables.
//!
//! The middle of `zoo eval`: texts become tokens ([`encode`]), the engine answers them all in one go so
//! that every task shares its prefixes with every other, answers become metrics (`grade`), and results
//! are summed up along the tree of a suite (`rows`). Answers that were written are graded from their texts
//! ([`grade_generation`]). It knows neither flags nor files.

mod collect;
mod encode;
mod error;
mod grade;
pub mod harness;
mod overlong;
mod regrade;
mod rows;
mod sanity;
mod scored;
mod segments;
mod submission;
mod written;

use std::sync::Arc;

use rayon::prelude::*;

use crate::base::progress::Progress;
use crate::engine::{Journal, LanguageModel, TokenCounts};
use crate::metrics::Aggregate;
use crate::records::SampleLine;
use crate::tasks::{PreparedTask, Task};
use crate::tokenizer::Tokenizer;

pub use collect::TaskMetric;
pub use encode::{EncodedDoc, EncodedTask};
pub use error::EvaluateError;
pub use overlong::{Fitted, Overlong, fit};
pub use regrade::grade_samples;
pub use rows::{ModelIdentity, place_rows, suite_rows};
pub use sanity::{Check, Cut, Finding, inspect, summary, unparsed};
pub use submission::{SubmissionFile, submissions};
pub use written::{filter_answers, filter_generation, grade_generation};

pub use crate::tasks::filters::NO_FILTER;

/// One task, graded.
#[derive(Debug, Clone)]
pub struct TaskResult {
    /// The task.
    pub task: Arc<Task>,
    /// Few-shot examples per prompt.
    pub num_fewshot: usize,
    /// Documents there are, scored or not.
    pub total_documents: usize,
    /// Digest of the data.
    pub data_sha256: String,
    /// Each metric over all documents, filter by filter, in the task file's order.
    pub metrics: Vec<TaskMetric>,
    /// One line per document.
    pub samples: Vec<SampleLine>,
}

impl TaskResult {
    /// The value of a metric after a filter.
    pub fn metric(&self, name: &str, filter: &str) -> Option<Aggregate> {
        self.metrics.iter().find(|m| m.metric == name && m.filter == filter).map(|m| m.value)
    }
}

/// All tasks of a run for one model.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// In the order of the prepared tasks.
    pub tasks: Vec<TaskResult>,
    /// What was asked and computed.
    pub tokens: TokenCounts,
    /// Requests over all tasks.
    pub requests: usize,
    /// How many of them were known before.
    pub known: usize,
}

impl Evaluated {
    /// Takes the first `count` tasks out, with the tokens of all: what shares a pass cannot be told apart.
    pub fn take_first(&mut self, count: usize) -> Self {
        let others = self.tasks.split_off(count.min(self.tasks.len()));
        let tasks = std::mem::replace(&mut self.tasks, others);
        let tokens = std::mem::take(&mut self.tokens);
        let (requests, known) = (std::mem::take(&mut self.requests), std::mem::take(&mut self.known));
        Self { tasks, tokens, requests, known }
    }
}

/// Encodes every text of `tasks` for a model with `max_length` positions, in parallel over documents.
///
/// # Errors
/// Metrics that cannot be computed, tasks whose answers are written, and texts that cannot be encoded.
pub fn encode(
    tokenizer: &Tokenizer,
    tasks: &[PreparedTask],
    max_length: usize,
) -> Result<Vec<EncodedTask>, EvaluateError> {
    tasks.iter().try_for_each(grade::check)?;
    tasks.iter().map(|task| EncodedTask::new(tokenizer, task, max_length)).collect()
}

/// Scores and grades tasks with their encoded documents, [`encode`]'s result for each; `journal` answers what it knows
/// and takes in what is new.
pub fn evaluate(
    model: &dyn LanguageModel,
    tasks: &[(&PreparedTask, &EncodedTask)],
    journal: &mut dyn Journal,
    progress: &dyn Progress,
) -> Result<Evaluated, EvaluateError> {
    let requests: Vec<_> = tasks.iter().flat_map(|(_, encoded)| encoded.requests()).cloned().collect();
    let scored = model
        .score(&requests, journal, progress)
        .map_err(|error| EvaluateError::from_engine(error, tasks))?;
    drop(requests);

    let mut rest = scored.scores.as_slice();
    let mut with_scores = Vec::with_capacity(tasks.len());
    for (task, encoded) in tasks {
        let (own, others) = rest.split_at(encoded.len().min(rest.len()));
        with_scores.push((task, encoded, own));
        rest = others;
    }
    let max_length = model.max_length();
    let results: Result<Vec<_>, _> = with_scores
        .into_par_iter()
        .map(|(task, encoded, scores)| grade::grade(task, encoded, scores, max_length))
        .collect();
    let (requests, known) = (scored.scores.len(), scored.known);
    Ok(Evaluated { tasks: results?, tokens: scored.tokens, requests, known })
}
