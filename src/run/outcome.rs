//! Outcome of one respondent in a run.

use super::rows::ModelIdentity;
use crate::evaluate::harness::NamedSpecialTokens;
use crate::evaluate::{LeftOut, SanityFinding, TaskResult, summary};
use crate::records::ModelRecord;

/// One respondent's part of a run, in one variant.
pub struct Outcome {
    /// Who.
    pub identity: ModelIdentity,
    /// The name of its folder of samples.
    pub folder: String,
    /// By how many places the options were moved on.
    pub rotation: usize,
    /// Its tasks, graded.
    pub tasks: Vec<TaskResult>,
    /// What is to be known of their documents.
    pub findings: Vec<SanityFinding>,
    /// What the run's description says of a model that was asked now, with the special tokens of its tokenizer; `None` for
    /// answers that were there before the run.
    pub asked: Option<(ModelRecord, NamedSpecialTokens)>,
}

impl Outcome {
    /// A line for each metric that could not be computed, and why; tasks with the same share one.
    pub fn left_out(&self) -> Vec<String> {
        let mut found: Vec<(&LeftOut, Vec<&str>)> = Vec::new();
        let all = self.tasks.iter().flat_map(|task| task.left_out.iter().map(move |own| (task, own)));
        for (task, own) in all {
            match found.iter_mut().find(|(known, _)| *known == own) {
                Some((_, names)) => names.push(task.name()),
                None => found.push((own, vec![task.name()])),
            }
        }
        let line = |(LeftOut { metric, reason }, names): (&LeftOut, Vec<&str>)| {
            let names = match names[..] {
                [first, _, _, _, ..] => format!("{first} and {} more", names.len() - 1),
                _ => names.join(", "),
            };
            format!("{}: metric {metric} of {names} is LEFT OUT: {reason}", self.identity.name)
        };
        found.into_iter().map(line).collect()
    }

    /// What is to be known of its documents, in few lines.
    pub fn notes(&self) -> Vec<String> {
        let name = &self.identity.name;
        summary(&self.findings).into_iter().map(|line| format!("{name}: {line}")).collect()
    }
}
