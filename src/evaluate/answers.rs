//! Answers: the waist between asking and grading.
//!
//! Whoever answers (a model on this machine, a file of answers, a finished run) knows tokens, weights or files; whoever
//! grades knows this alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::EvaluateError;
use super::sanity::SanityFinding;
use crate::records::Choice;
use crate::tasks::{PreparedDoc, PreparedTask};

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
    /// Texts that were written, of each document as many as its prompt was put, or one for each turn of its conversation; cut
    /// at the task's stops.
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

    /// What is asked after these answers, if anything is.
    ///
    /// # Errors
    /// As [`PreparedTask::next_turn`].
    pub fn next_turn(&self) -> Result<Option<PreparedTask>, EvaluateError> {
        match &self.answers {
            Answers::Scored(_) => Ok(None),
            Answers::Written(texts) => Ok(self.task.next_turn(texts).map_err(Box::new)?),
        }
    }

    /// Takes in the answers to the turn that was `asked` after these. Documents that could not be asked for it are left out.
    pub fn go_on(&mut self, asked: &PreparedTask, answered: Self) {
        let Self { task, answers, findings } = answered;
        let (Answers::Written(before), Answers::Written(texts)) = (&mut self.answers, answers) else {
            unreachable!("conversations are written")
        };
        let mut more: BTreeMap<usize, Vec<String>> =
            task.docs.iter().map(|doc| doc.doc_id).zip(texts).collect();
        let were_asked: BTreeSet<usize> = asked.docs.iter().map(|doc| doc.doc_id).collect();
        let is_lost = |doc: &PreparedDoc| were_asked.contains(&doc.doc_id) && !more.contains_key(&doc.doc_id);
        let kept: Vec<bool> = self.task.docs.iter().map(|doc| !is_lost(doc)).collect();
        if kept.contains(&false) {
            let mut kept = kept.iter();
            before.retain(|_| *kept.next().expect("one for each document"));
            Arc::make_mut(&mut self.task).docs.retain(|doc| !is_lost(doc));
        }
        for (doc, own) in self.task.docs.iter().zip(before) {
            if were_asked.contains(&doc.doc_id) {
                own.extend(more.remove(&doc.doc_id).expect("those without an answer were left out"));
            }
        }
        assert!(more.is_empty(), "answers are of documents that were asked");
        self.findings
            .extend(findings.into_iter().map(|finding| SanityFinding { turn: asked.turn, ..finding }));
    }
}
