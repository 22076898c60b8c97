//! Answers to documents whose right answers are not public, as the organisers of a benchmark take them in.
//!
//! A task names its place under `metadata.submission`. Tasks of one file stand in it side by side, each with the likeliest
//! choice of every document: `{"law": {"0": "B", "1": "D"}, …}`.

use serde_json::{Map, Value};

use super::TaskResult;
use crate::metrics::first_highest;
use crate::records::SampleLine;
use crate::tasks::PreparedDoc;

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

/// The files that the tasks of one model ask for, in order.
pub fn submissions(results: &[TaskResult]) -> Vec<SubmissionFile> {
    let mut files: Vec<SubmissionFile> = Vec::new();
    for TaskResult { asked, samples, .. } in results {
        let Some(place) = &asked.task.config.submission else { continue };
        let answer = |(doc, line): (&PreparedDoc, &SampleLine)| {
            let logprobs: Vec<f64> = line.choices.iter().map(|choice| choice.logprob).collect();
            // A document without choices has none to hand in.
            let choice = doc.choices.get(first_highest(&logprobs))?;
            let name =
                place.name_of(doc.doc_id, &doc.doc).expect("documents were named when they were prepared");
            Some((name, Value::from(choice.as_str())))
        };
        let answers: Map<String, Value> = asked.docs.iter().zip(samples).filter_map(answer).collect();
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
