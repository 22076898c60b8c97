//! Errors that stop an evaluation, in terms of tasks and documents.

use crate::engine::EngineError;
use crate::tasks::{PreparedDoc, PreparedTask, TaskError};

/// What another room says, or a reason in words.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum EvaluateError {
    /// A task, a document or a request that cannot be asked or graded.
    #[error("{place}: {source}")]
    At { place: String, source: Cause },
    /// The engine failed as a whole.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A function or a filter of the task file that cannot be used.
    #[error(transparent)]
    Task(#[from] Box<TaskError>),
    /// Texts, where log-likelihoods are to be compared.
    #[error(
        "--against {against} compares log-likelihoods, and answers to task {task} are written (generate_until); leave the task \
         out, or --against"
    )]
    ComparesTexts { task: String, against: String },
    /// A metric that runs the programs that a model wrote, and nobody has allowed it.
    #[error(
        "task {task}: metric {metric:?} runs programs that the model wrote; --allow-code runs them in a sandbox, --predict-only \
         writes the programs and puts them together, and grades nothing"
    )]
    RunsPrograms { task: String, metric: String },
}

impl EvaluateError {
    /// What is wrong with a task.
    pub(super) fn of_task(task: &PreparedTask, reason: String) -> Self {
        Self::At { place: format!("task {}", task.task.name), source: reason.into() }
    }

    /// What is wrong with a document.
    pub(super) fn of(task: &PreparedTask, doc: &PreparedDoc, source: impl Into<Cause>) -> Self {
        let place = format!("task {}, document {}", task.task.name, doc.doc_id);
        Self::At { place, source: source.into() }
    }
}
