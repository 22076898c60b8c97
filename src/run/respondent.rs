//! Respondents: a model on this machine, a file of answers, a finished run.

use std::sync::Arc;
use std::time::Duration;

use super::RunError;
use super::variants::Variant;
use crate::engine::{Divergence, TokenCounts};
use crate::evaluate::harness::NamedSpecialTokens;
use crate::evaluate::{AnsweredTask, Answers};
use crate::kernels::Precision;
use crate::records::{ModelRecord, RequestRecord};
use crate::registry::Published;
use crate::tasks::PreparedTask;

/// Someone who is asked tasks and answers them. What comes back is graded in one way, whoever it was.
pub trait Respondent {
    /// Answers `tasks`, in their order.
    ///
    /// # Errors
    /// Questions that cannot be put, answers that are missing or of other questions, and whatever stops the work.
    fn answer(&mut self, tasks: &[Arc<PreparedTask>]) -> Result<Answered, RunError>;

    /// Who answers one variant of the questions.
    ///
    /// # Errors
    /// What of it cannot be read.
    fn about(&self, variant: &Variant) -> Result<About, RunError>;
}

/// Tasks with their answers.
#[derive(Debug)]
pub struct Answered {
    /// In the order in which they were asked.
    pub tasks: Vec<AnsweredTask>,
    /// What the answers took, where they were computed now.
    pub effort: Option<Effort>,
    /// The same in another arithmetic, if that was asked for.
    pub against: Option<Against>,
}

impl Answered {
    /// Answers that are there already.
    pub fn found(tasks: Vec<AnsweredTask>) -> Self {
        Self { tasks, effort: None, against: None }
    }
}

/// What the answers of one model took, all its variants together.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// What was asked and computed.
    pub tokens: TokenCounts,
    /// Requests, and who had answered them before.
    pub requests: RequestRecord,
    /// Reading the weights.
    pub loading: Duration,
    /// Computing the scores.
    pub scoring: Duration,
}

/// Answers of the same weights in another arithmetic.
#[derive(Debug)]
pub struct Against {
    /// The model's name, and both precisions, its own first.
    pub model: String,
    /// See `model`.
    pub precisions: [Precision; 2],
    /// The other answers, task by task.
    pub answers: Vec<Answers>,
    /// How far predictions are from each other.
    pub divergence: Divergence,
}

/// Who answers, for tables and files.
#[derive(Debug, Clone)]
pub struct About {
    /// The name in tables, before what the variant adds.
    pub name: String,
    /// Digest of the weights; empty where nobody knows which they were.
    pub weights_sha256: String,
    /// Published scores to put beside.
    pub published: Vec<Published>,
    /// What the run's description says of it.
    pub record: Option<ModelRecord>,
    /// For the files in the reference harness's shape; `None` where none are written.
    pub special_tokens: Option<NamedSpecialTokens>,
}
