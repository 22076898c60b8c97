//! Outcome of one respondent in a run.

use super::rows::ModelIdentity;
use crate::evaluate::harness::NamedSpecialTokens;
use crate::evaluate::{SanityFinding, TaskResult};
use crate::records::ModelRecord;

/// One respondent's part of a run, in one variant.
pub struct Outcome {
    /// Who.
    pub identity: ModelIdentity,
    /// The name of its folder of samples.
    pub folder: String,
    /// Its tasks, graded.
    pub tasks: Vec<TaskResult>,
    /// What is to be known of their documents.
    pub findings: Vec<SanityFinding>,
    /// What the run's description says of a model that was asked now, with the special tokens of its tokenizer; `None` for
    /// answers that were there before the run.
    pub asked: Option<(ModelRecord, NamedSpecialTokens)>,
}
