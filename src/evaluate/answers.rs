//! Answers: the waist between asking and grading.
//!
//! Whoever answers (a model on this machine, a file of answers, a finished run) knows tokens, weights or files; whoever
//! grades knows this alone.

use std::sync::Arc;

use super::SanityFinding;
use crate::records::Choice;
use crate::tasks::PreparedTask;

/// The answers to a document whose continuations are scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices {
    /// One per request of the document, in order.
    pub choices: Vec<Choice>,
    /// One per unconditional request.
    pub unconditional: Vec<Choice>,
}

/// The answers to a task, in the order of its documents.
#[derive(Debug, Clone, PartialEq)]
pub enum Answers {
    /// Continuations that were scored.
    Scored(Vec<Choices>),
    /// Texts that were written, of each document as many as its prompt was put; cut at the task's stops.
    Written(Vec<Vec<String>>),
}

/// A task as it was asked, and what was answered.
#[derive(Debug, Clone)]
pub struct AnsweredTask {
    /// The task with the documents that were answered, and the prompts that were put.
    pub task: Arc<PreparedTask>,
    /// The answers to these documents.
    pub answers: Answers,
    /// What is to be known of the documents.
    pub findings: Vec<SanityFinding>,
}

impl AnsweredTask {
    /// Answers without findings.
    pub fn new(task: Arc<PreparedTask>, answers: Answers) -> Self {
        Self { task, answers, findings: Vec::new() }
    }
}
