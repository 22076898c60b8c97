//! Answers to documents whose right answers are not public, as the organisers of a benchmark take them in.
//!
//! A task names its place under `metadata.submission`. Tasks of one file stand in it side by side, each with the likeliest
//! choice of every document: `{"law": {"0": "B", "1": "D"}, …}`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::TaskResult;
use crate::metrics::first_highest;
use crate::records::SampleLine;
use crate::tasks::{PreparedDoc, PreparedTask};

/// A file of answers.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmissionFile {
    /// Its name without ending, as the tasks give it.
    pub name: String,
    /// By task and document, in the order of the run.
    pub content: Map<String, Value>,
    /// Documents answered.
    pub answers: usize,
}

/// The files that the tasks of one model ask for, in order. `prepared` are the tasks that were asked; their documents
/// were named when they were prepared.
pub fn submissions(prepared: &[PreparedTask], results: &[TaskResult]) -> Vec<SubmissionFile> {
    let mut files: Vec<SubmissionFile> = Vec::new();
    for result in results {
        let Some(place) = &result.task.config.submission else { continue };
        let Some(task) = prepared.iter().find(|task| task.task.name == result.task.name) else { continue };
        let docs: HashMap<usize, &PreparedDoc> = task.docs.iter().map(|doc| (doc.doc_id, doc)).collect();
        let answer = |line: &SampleLine| {
            let doc = docs.get(&line.doc_id)?;
            let logprobs: Vec<f64> = line.choices.iter().map(|choice| choice.logprob).collect();
            let choice = doc.choices.get(first_highest(&logprobs))?;
            Some((place.name_of(doc.doc_id, &doc.doc).ok()?, Value::from(choice.as_str())))
        };
        let answers: Map<String, Value> = result.samples.iter().filter_map(answer).collect();
        let count = answers.len();
        let own = (place.key.clone(), Value::Object(answers));
        match files.iter_mut().find(|file| file.name == place.file) {
            Some(file) => {
                file.content.extend([own]);
                file.answers += count;
            }
            None => {
                let name = place.file.clone();
                files.push(SubmissionFile { name, content: Map::from_iter([own]), answers: count });
            }
        }
    }
    files
}
