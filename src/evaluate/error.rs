//! Why an evaluation stops, said in terms of tasks and documents.

use crate::engine::EngineError;
use crate::metrics::Aggregation;
use crate::tasks::TaskError;

/// An error of an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum EvaluateError {
    /// A text that cannot be encoded.
    #[error("task {task}, document {doc_id}: {source}")]
    Text {
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
        /// The reason of the tokenizer, or what template and vocabulary disagree about.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Choices that a protocol cannot compare.
    #[error("task {task}, document {doc_id}: {reason}; choose another --protocol for this task")]
    Protocol {
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
        reason: String,
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
    /// A document that a metric, a filter or a native function cannot grade.
    #[error("task {task}, document {doc_id}: {reason}")]
    Grade {
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
        reason: String,
    },
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
    /// A prompt that is one piece.
    #[error(
        "task {task}, document {doc_id}: --overlong drop-shots cannot tell the examples of its prompt apart (a chat \
         template wrote it); take --overlong left or skip"
    )]
    NoParts {
        task: String,
        /// Row of the evaluation split.
        doc_id: usize,
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
