//! Answers to instructions, in the forms that those who judge them read.

use serde_json::{Value, json};

use super::TaskResult;
use crate::base::digest::sha256;
use crate::python::print::dumps;
use crate::records::SampleLine;
use crate::tasks::{AnswerForm, Judged, PreparedDoc, PreparedTask};

/// Characters of an `answer_id`, as many as FastChat's have.
const ID_CHARS: usize = 22;

/// A file of answers: JSON lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedFile {
    /// Its folder, with `/` between several.
    pub folder: String,
    /// An answer each, with what it answers.
    pub lines: Vec<String>,
}

/// The files of a model's tasks, in order. `model` is the name that it has there, `tstamp` the time in seconds since 1970.
pub fn judged_files(results: &[TaskResult], model: &str, tstamp: f64) -> Vec<JudgedFile> {
    let mut files: Vec<JudgedFile> = Vec::new();
    for TaskResult { asked, samples, .. } in results {
        let Some(judged) = &asked.task.config.judged else { continue };
        let line = |(doc, sample): (&PreparedDoc, &SampleLine)| {
            let said: Vec<&str> = texts(sample).map(|text| asked.spoken(text)).collect();
            dumps(&answer(judged, asked, doc, &said, (model, tstamp)), None)
        };
        let lines = asked.docs.iter().zip(samples).map(line);
        // Tasks of one folder are one set of instructions.
        match files.iter_mut().find(|file| file.folder == judged.folder) {
            Some(file) => file.lines.extend(lines),
            None => files.push(JudgedFile { folder: judged.folder.clone(), lines: lines.collect() }),
        }
    }
    files
}

fn texts(sample: &SampleLine) -> impl Iterator<Item = &String> {
    sample.text.iter().chain(&sample.turns)
}

fn answer(
    judged: &Judged,
    task: &PreparedTask,
    doc: &PreparedDoc,
    said: &[&str],
    (model, tstamp): (&str, f64),
) -> Value {
    let id = judged.id_of(doc.doc_id, &doc.doc).expect("documents were named when they were prepared");
    match judged.form {
        AnswerForm::Fastchat => {
            // The same answer has the same name again, so that a run that is graded again writes the same file.
            let digest = sha256(json!([task.task.name, model, id, said]).to_string());
            json!({
                "question_id": id,
                "answer_id": digest[..ID_CHARS],
                "model_id": model,
                "choices": [{"index": 0, "turns": said}],
                "tstamp": tstamp,
            })
        }
        AnswerForm::Lines => {
            let column = |name: &Option<String>| name.as_ref().and_then(|name| doc.doc.get(name)).cloned();
            json!({
                "id": id,
                "instruction": column(&judged.instruction),
                "input": column(&judged.input).unwrap_or_else(|| "".into()),
                "output": said.first(),
                "model": model,
            })
        }
    }
}
