//! Why an evaluation stops, said in terms of tasks and documents.

use super::EncodedTask;
use crate::engine::EngineError;
use crate::metrics::Aggregation;
use crate::prompts::PromptError;
use crate::tasks::{PreparedTask, TaskError};
use crate::tokenizer::TokenizerError;

/// An error of an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// A text that cannot be encoded.
    #[error("task {task}, document {doc_id}: {source}")]
    Tokenizer {
        /// The task.
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
        /// The tokenizer's reason.
        source: Box<TokenizerError>,
    },
    /// A prompt in segments that cannot be encoded.
    #[error("task {task}, document {doc_id}: {source}")]
    Prompt {
        /// The task.
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
        /// What the template and the vocabulary disagree about.
        source: Box<PromptError>,
    },
    /// Choices that a protocol cannot compare.
    #[error("task {task}, document {doc_id}: {reason}; choose another --protocol for this task")]
    Protocol {
        /// The task.
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
        /// What was expected and found.
        reason: String,
    },
    /// A request that cannot be answered.
    #[error("task {task}, document {doc_id}, choice {choice}: {reason}")]
    Request {
        /// The task.
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
        /// Index of the choice.
        choice: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine failed as a whole.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A metric that this output type does not have.
    #[error("task {task}: metric {metric:?} cannot be computed for {output_type} tasks; known are {known}")]
    UnknownMetric {
        /// The task.
        task: String,
        /// The metric.
        metric: String,
        /// The task's output type.
        output_type: String,
        /// The metrics that work.
        known: String,
    },
    /// An aggregation without an implementation.
    #[error(
        "task {task}, metric {metric}: aggregation {aggregation:?} is not known or does not fit the metric; known are {}",
        Aggregation::NAMES.join(", ")
    )]
    UnknownAggregation {
        /// The task.
        task: String,
        /// The metric.
        metric: String,
        /// The aggregation.
        aggregation: String,
    },
    /// A function or a filter of the task file that cannot be used.
    #[error(transparent)]
    Task(#[from] Box<TaskError>),
    /// A document that a metric, a filter or a native function cannot grade.
    #[error("task {task}, document {doc_id}: {reason}")]
    Grade {
        /// The task.
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
        /// What is wrong.
        reason: String,
    },
    /// Documents that do not fit, where that is not to happen.
    #[error(
        "task {task}: {documents} of {of} documents do not fit into {max_length} positions, such as {shown}; nothing was \
         computed. Take --overlong left, drop-shots or skip, fewer --num-fewshot, or a larger --max-length"
    )]
    TooLong {
        /// The task.
        task: String,
        /// How many.
        documents: usize,
        /// Of how many.
        of: usize,
        /// Positions.
        max_length: usize,
        /// Some of them with their lengths.
        shown: String,
    },
    /// A prompt that is one piece.
    #[error(
        "task {task}, document {doc_id}: --overlong drop-shots cannot tell the examples of its prompt apart (a chat \
         template wrote it); take --overlong left or skip"
    )]
    NoParts {
        /// The task.
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
    },
    /// Tasks that ask the model to write.
    #[error(
        "{tasks}: the model is asked to write answers (generate_until), and generating comes with a later version; \
         suites of the types multiple_choice, loglikelihood and loglikelihood_rolling work today, see `zoo suites`"
    )]
    Generates {
        /// The tasks.
        tasks: String,
    },
    /// A metric that runs the programs that a model wrote.
    #[error(
        "task {task}: metric {metric:?} runs programs that the model wrote, which comes with a later version; the programs \
         themselves can be put together and looked at"
    )]
    RunsPrograms {
        /// The task.
        task: String,
        /// The metric.
        metric: String,
    },
    /// Answers that are not one list per document.
    #[error(
        "task {task}: expected answers to {expected} documents, each with {repeats} or more, found {found}"
    )]
    Answers {
        /// The task.
        task: String,
        /// Documents of the task.
        expected: usize,
        /// Answers to each that the task asks for.
        repeats: usize,
        /// What was given.
        found: String,
    },
    /// A task without documents.
    #[error("task {task}: there are no documents to score; check --limit and the data")]
    NoDocuments {
        /// The task.
        task: String,
    },
}

impl EvaluateError {
    /// Names the document that the engine refused.
    pub(super) fn from_engine(error: EngineError, tasks: &[(&PreparedTask, &EncodedTask)]) -> Self {
        let (mut request, reason) = match &error {
            EngineError::EmptyContinuation { request } => (
                *request,
                "the continuation is empty once encoded after its context (an empty choice, or a token spans \
                 the join)"
                    .to_owned(),
            ),
            EngineError::EmptyContext { request } => {
                (*request, "the context is empty and the vocabulary has neither BOS nor EOS".to_owned())
            }
            EngineError::ContinuationTooLong { request, found, max_length } => (
                *request,
                format!("the continuation alone has {found} tokens; the model has {max_length} positions"),
            ),
            EngineError::UnknownToken { request, token, vocab_size } => (
                *request,
                format!(
                    "token id {token} is beyond the {vocab_size} rows of the embedding; tokenizer and weights do \
                     not belong together"
                ),
            ),
            EngineError::NotFinite { request } => (
                *request,
                "the logits are not finite; the weights are damaged or not a model by themselves (a delta, \
                 perhaps)"
                    .to_owned(),
            ),
            EngineError::NotRecorded { request } => (*request, "no score of it was recorded".to_owned()),
            EngineError::Journal(_) | EngineError::Model { .. } => return Self::Engine(error),
        };
        for (task, encoded) in tasks {
            if let Some((doc, choice)) = encoded.place(request) {
                let doc_id = task.docs.get(doc).map_or(doc, |doc| doc.doc_id);
                return Self::Request { task: task.task.name.clone(), doc_id, choice, reason };
            }
            request -= encoded.len();
        }
        Self::Engine(error)
    }
}
