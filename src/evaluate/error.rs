//! Why an evaluation stops, said in terms of tasks and documents.

use crate::engine::EngineError;
use crate::metrics::Aggregation;
use crate::tasks::{PreparedDoc, PreparedTask, TaskError};

/// What another room says, or a reason in words.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum EvaluateError {
    /// A document whose text cannot be encoded, whose choices a protocol cannot compare, or whose answers cannot be graded.
    #[error("task {task}, document {doc_id}: {source}")]
    Document {
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
        source: Cause,
    },
    /// A request that cannot be answered.
    #[error("task {task}, document {doc_id}, choice {choice}: {reason}")]
    Request {
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
        /// Index of the choice.
        choice: usize,
        reason: String,
    },
    /// The engine failed as a whole.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A metric that this output type does not have.
    #[error("task {task}: metric {metric:?} cannot be computed for {output_type} tasks; known are {known}")]
    UnknownMetric { task: String, metric: String, output_type: String, known: String },
    /// An aggregation without an implementation.
    #[error(
        "task {task}, metric {metric}: aggregation {aggregation:?} is not known or does not fit the metric; known are {}",
        Aggregation::NAMES.join(", ")
    )]
    UnknownAggregation { task: String, metric: String, aggregation: String },
    /// A function or a filter of the task file that cannot be used.
    #[error(transparent)]
    Task(#[from] Box<TaskError>),
    /// Documents that do not fit, where that is not to happen.
    #[error(
        "task {task}: {documents} of {of} documents do not fit into {max_length} positions, such as {shown}; nothing was \
         computed. Take --overlong left, drop-shots or skip, fewer --num-fewshot, or a larger --max-length"
    )]
    TooLong {
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
    /// Tasks that ask the model to write.
    #[error(
        "{tasks}: the model is asked to write answers (generate_until), and generating comes with a later version; \
         suites of the types multiple_choice, loglikelihood and loglikelihood_rolling work today, see `zoo suites`"
    )]
    Generates { tasks: String },
    /// A metric that runs the programs that a model wrote.
    #[error(
        "task {task}: metric {metric:?} runs programs that the model wrote, which comes with a later version; the programs \
         themselves can be put together and looked at"
    )]
    RunsPrograms { task: String, metric: String },
    /// Answers that are not one list per document.
    #[error(
        "task {task}: expected answers to {expected} documents, each with {repeats} or more, found {found}"
    )]
    Answers {
        task: String,
        /// Documents of the task.
        expected: usize,
        /// Answers to each that the task asks for.
        repeats: usize,
        found: String,
    },
    /// A task without documents.
    #[error("task {task}: there are no documents to score; check --limit and the data")]
    NoDocuments { task: String },
}

impl EvaluateError {
    /// What is wrong with a document.
    pub(super) fn of(task: &PreparedTask, doc: &PreparedDoc, source: impl Into<Cause>) -> Self {
        Self::Document { task: task.task.name.clone(), doc_id: doc.doc_id, source: source.into() }
    }
}
