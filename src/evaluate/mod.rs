//! Prepared tasks → what a model is asked → answers → graded documents and the results of tasks.
//!
//! The waist is [`Answers`]. Before it, [`Questions`] and [`WrittenQuestions`] put texts into the tokens of a model, and say what
//! its scores or its texts answer;
//! [`recorded`] reads answers back from lines of samples. After it, [`grade`] knows neither tokens nor models; results of tasks
//! become those of groups ([`group_values`]). Flags and files are not known here.

mod answers;
mod encode;
mod error;
mod grade;
mod groups;
pub mod harness;
mod instructions;
mod metric;
mod overlong;
mod programs;
mod questions;
mod recorded;
mod sanity;
mod scored;
mod segments;
mod shards;
mod submission;
mod tally;
mod writing;

use std::sync::Arc;

use crate::metrics::{Aggregate, Aggregation, DocValue};
use crate::records::SampleLine;
use crate::tasks::PreparedTask;

pub use answers::{AnsweredTask, Answers, Choices};
pub use encode::{EncodedDoc, EncodedTask};
pub use error::EvaluateError;
pub use grade::{filter, grade, grade_part, grade_programs, programs};
pub use groups::{GroupValue, group_extracted, group_values, other_averages};
pub use instructions::{JudgedFile, judged_files};
pub use metric::check_metrics;
pub use overlong::Overlong;
pub use programs::{Verdicts, runs_programs};
pub use questions::{AskedTask, Questions};
pub use recorded::{continuations_sha256, continuations_sha256_of, recorded};
pub use sanity::{Cut, SanityCheck, SanityFinding, ordered, repeated_questions, summary, unparsed};
pub use shards::merged_findings;
pub use submission::{SubmissionFile, submissions};
pub use tally::Tally;
pub use writing::{ToWrite, WrittenQuestions};

pub use crate::tasks::filters::NO_FILTER;

/// What rows and files call the part of the answers in which a filter found something.
pub const EXTRACTED: &str = "extracted";

/// One task, graded.
#[derive(Debug, Clone)]
pub struct TaskResult {
    /// The task as it was asked.
    pub asked: Arc<PreparedTask>,
    /// Each metric over all documents, filter by filter, in the task file's order.
    pub metrics: Vec<TaskMetric>,
    /// In which part of the answers each filter that looks for something found it; beside the metrics, since the reference harness
    /// does not count it.
    pub extracted: Vec<TaskMetric>,
    /// The metrics that could not be computed.
    pub left_out: Vec<LeftOut>,
    /// One line per document.
    pub samples: Vec<SampleLine>,
}

/// A metric of a task that could not be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name, with the filter where there are several.
    pub metric: String,
    /// Why, in words.
    pub reason: String,
}

/// A metric of a task after one filter.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskMetric {
    /// The name in task files: `acc`, `exact_match`, …
    pub metric: String,
    /// The filter; `none` where there is nothing to filter.
    pub filter: String,
    /// How the values of the documents become one.
    pub aggregation: Aggregation,
    /// Its value over all documents.
    pub value: Aggregate,
    /// Its values of the documents, in their order.
    pub documents: Vec<DocValue>,
}

impl TaskMetric {
    /// `acc,none`.
    pub fn key(&self) -> String {
        format!("{},{}", self.metric, self.filter)
    }

    /// Whether the value is the share of documents that are right: a mean of zeros and ones.
    pub fn is_share(&self) -> bool {
        let zero_or_one = |value: &DocValue| matches!(value, DocValue::Number(x) if *x == 0.0 || *x == 1.0);
        let is_mean = matches!(self.aggregation, Aggregation::Mean | Aggregation::NanMean);
        is_mean && self.documents.iter().all(zero_or_one)
    }
}

impl TaskResult {
    /// The name of the task.
    pub fn name(&self) -> &str {
        &self.asked.task.name
    }

    /// The value of a metric after a filter; [`EXTRACTED`] is one.
    pub fn metric(&self, name: &str, filter: &str) -> Option<Aggregate> {
        self.metrics
            .iter()
            .chain(&self.extracted)
            .find(|m| m.metric == name && m.filter == filter)
            .map(|m| m.value)
    }
}
