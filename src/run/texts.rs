//! What a run's models were asked, in words: written once for all that were asked in one way.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::chat_record;
use super::outcome::Outcome;
use crate::evaluate::TaskResult;
use crate::records::{SampleLine, TextLine, Way, texts_path, write_texts};
use crate::tasks::{OutputType, PreparedDoc};

/// Writes the texts of all tasks of all models.
pub fn write(folder: &Path, models: &[Outcome]) -> io::Result<()> {
    let mut files: BTreeMap<PathBuf, Vec<&TaskResult>> = BTreeMap::new();
    for model in models {
        for task in &model.tasks {
            let chat = task.asked.chat.as_ref().map(chat_record);
            let way =
                Way { protocol: &model.identity.protocol, chat: chat.as_ref(), rotation: model.rotation };
            let path = texts_path(folder, way, task.name());
            let known = files.entry(path).or_default();
            // Most models are asked the very same.
            if known.iter().all(|own| !Arc::ptr_eq(&own.asked, &task.asked)) {
                known.push(task);
            }
        }
    }
    for (path, tasks) in files {
        let mut seen = HashSet::new();
        let all = tasks.iter().flat_map(|task| {
            let written = task.asked.task.config.output_type == OutputType::GenerateUntil;
            task.asked.docs.iter().zip(&task.samples).map(move |(doc, line)| (written, doc, line))
        });
        let new = all.filter(|(_, _, line)| seen.insert((line.doc_id, &line.prompt_sha256)));
        let mut new: Vec<_> = new.collect();
        new.sort_by_key(|(_, doc, _)| doc.doc_id);
        write_texts(&path, new.into_iter().map(|(written, doc, line)| text_line(written, doc, line)))?;
    }
    Ok(())
}

fn text_line(written: bool, doc: &PreparedDoc, line: &SampleLine) -> TextLine {
    let first = &doc.requests.first().expect("something is asked of every document").context;
    let differ = doc.requests.iter().any(|request| request.context != *first);
    let contexts = doc.requests.iter().filter(|_| differ);
    let continuations = doc.requests.iter().map(|request| &request.continuation);
    TextLine {
        doc_id: doc.doc_id,
        prompt_sha256: line.prompt_sha256.clone(),
        prompt: first.to_string(),
        question_from: doc.parts.as_ref().map(|parts| parts.before_question(first).len()),
        prompts: contexts.map(|request| request.context.to_string()).collect(),
        choices: continuations.filter(|text| !text.is_empty()).cloned().collect(),
        target: Some(doc.target_text.clone()).filter(|text| written && !text.is_empty()),
        turns: doc.later_turns().to_vec(),
    }
}
