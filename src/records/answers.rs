//! Files of written answers: one JSON object per line, in the forms that programs write.
//!
//! | who writes it | answers | prompt |
//! |---|---|---|
//! | `zoo`, and files made by hand | `text`, or `texts` for several answers to one prompt | `prompt_sha256` |
//! | lm-evaluation-harness, `samples_<task>_<time>.jsonl` | `resps`: `[["…"]]`, one line per filter | `prompt_hash` |
//!
//! Every line has `doc_id` and may have `task`; a line `{"kind": "header", "task": …, "model": …}` speaks for all.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::MAX_BYTES;
use crate::base::digest;
use crate::base::recognise::without_mark;
use crate::base::whole;

/// The answers to one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Line of the file, from 1.
    pub line: usize,
    /// The task, as far as the file names it.
    pub task: Option<String>,
    /// Row of the evaluation split.
    pub doc_id: usize,
    /// SHA-256 of the prompt that was answered, if it was kept.
    pub prompt_sha256: Option<String>,
    /// As many texts as were written, at least one.
    pub texts: Vec<String>,
}

/// A file of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFile {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Who answered, if the file says so.
    pub model: Option<String>,
    /// In the order of the file; a document that has one line per filter comes once.
    pub answers: Vec<Answer>,
}

/// Why a file of answers cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum AnswersError {
    /// The file itself.
    #[error("{}: cannot read the answers: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A line.
    #[error("{}, line {line}: {reason}", path.display())]
    Line {
        path: PathBuf,
        /// From 1.
        line: usize,
        reason: String,
    },
}

/// Reads a file of answers.
///
/// # Errors
/// A file that cannot be read, lines in no known form, and two different answers to one document.
pub fn read_answers(path: &Path) -> Result<AnswerFile, AnswersError> {
    let bytes = whole::read(path, MAX_BYTES)
        .map_err(|source| AnswersError::Read { path: path.to_owned(), source })?;
    let sha256 = digest::sha256(&bytes);
    let mut file = AnswerFile { path: path.to_owned(), sha256, model: None, answers: Vec::new() };
    let mut task = task_of_name(path);
    for (number, line) in (1..).zip(without_mark(&bytes).split(|&byte| byte == b'\n')) {
        let fail = |reason| AnswersError::Line { path: path.to_owned(), line: number, reason };
        if line.trim_ascii().is_empty() {
            continue;
        }
        let object: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| fail(format!("expected a JSON object: {error}")))?;
        if object.get("kind").is_some_and(|kind| kind == "header") {
            let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
            file.model = text("model").or(file.model);
            task = text("task").or(task);
            continue;
        }
        let answer = answer(&object, number, task.as_deref()).map_err(fail)?;
        file.answers.push(answer);
    }
    merge(file)
}

/// The task in the name that the reference harness gives to its files.
fn task_of_name(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let (task, _) = stem.strip_prefix("samples_")?.rsplit_once("_20")?;
    Some(task.to_owned())
}

fn answer(object: &Map<String, Value>, line: usize, task: Option<&str>) -> Result<Answer, String> {
    let doc_id = object.get("doc_id").and_then(Value::as_u64).and_then(|id| usize::try_from(id).ok());
    let doc_id = doc_id.ok_or("expected doc_id, a whole number: the row of the evaluation split")?;
    let text = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("{key}: expected a text, found {other}")),
    };
    let prompt_sha256 = text("prompt_sha256")?.or(text("prompt_hash")?);
    let texts = match (object.get("text"), object.get("texts"), object.get("resps")) {
        (Some(Value::String(text)), None, _) => Some(vec![text.clone()]),
        (None, Some(texts), _) => list(texts),
        // One list per request, of which a written answer has one.
        (None, None, Some(Value::Array(requests))) => match requests.as_slice() {
            [only] => list(only),
            _ => None,
        },
        _ => None,
    };
    let texts = texts.ok_or_else(|| {
        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
        format!(
            "expected text (a text), texts (a list of them) or resps ([[text]], as the reference harness writes it); \
             found {}",
            keys.join(", ")
        )
    })?;
    let task = text("task")?.or(task.map(str::to_owned));
    Ok(Answer { line, task, doc_id, prompt_sha256, texts })
}

/// A list of at least one text.
fn list(value: &Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
    texts.collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty())
}

/// Lines that differ by their filter alone are one answer.
fn merge(mut file: AnswerFile) -> Result<AnswerFile, AnswersError> {
    let mut known = std::collections::HashMap::new();
    let mut merged: Vec<Answer> = Vec::with_capacity(file.answers.len());
    for answer in file.answers {
        let first = known.entry((answer.task.clone(), answer.doc_id)).or_insert(merged.len());
        match merged.get(*first) {
            None => merged.push(answer),
            Some(first) if first.texts == answer.texts && first.prompt_sha256 == answer.prompt_sha256 => {}
            Some(first) => {
                let reason = format!(
                    "document {} has another answer than in line {}; keep one of them",
                    answer.doc_id, first.line
                );
                return Err(AnswersError::Line { path: file.path, line: answer.line, reason });
            }
        }
    }
    file.answers = merged;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(name: &str, text: &str) -> Result<AnswerFile, AnswersError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        read_answers(&path)
    }

    #[test]
    fn both_forms_say_the_same() {
        let own = "{\"kind\": \"header\", \"task\": \"gsm8k\", \"model\": \"m\"}\n\
                   {\"doc_id\": 3, \"prompt_sha256\": \"ab\", \"text\": \"4\"}\n";
        let marked = read("answers.jsonl", &format!("\u{feff}{own}")).unwrap();
        let own = read("answers.jsonl", own).unwrap();
        let line = |filter: &str| {
            format!(
                "{{\"doc_id\": 3, \"resps\": [[\"4\"]], \"filter\": \"{filter}\", \"prompt_hash\": \"ab\"}}\n"
            )
        };
        let name = "samples_gsm8k_2024-05-01T10-00-00.123456.jsonl";
        let theirs = read(name, &(line("strict") + &line("flexible"))).unwrap();
        let said = |file: &AnswerFile| {
            let one = |a: &Answer| (a.task.clone(), a.doc_id, a.prompt_sha256.clone(), a.texts.clone());
            file.answers.iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(said(&own), said(&theirs));
        assert_eq!(said(&own), said(&marked), "a byte order mark is no content");
        assert_eq!(said(&own), [(Some("gsm8k".to_owned()), 3, Some("ab".to_owned()), vec!["4".to_owned()])]);
        assert_eq!((own.model.as_deref(), theirs.model), (Some("m"), None));
    }

    #[test]
    fn several_answers_stay_together() {
        let file = read("a.jsonl", "{\"doc_id\": 0, \"texts\": [\"1\", \"2\"]}\n\n").unwrap();
        assert_eq!(file.answers[0].texts, ["1", "2"]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (line, words) in [
            ("[]", "expected a JSON object"),
            ("{\"doc_id\": -1, \"text\": \"\"}", "expected doc_id"),
            ("{\"doc_id\": 1, \"text\": 7}", "expected text"),
            ("{\"doc_id\": 1, \"resps\": [[\"a\"], [\"b\"]]}", "expected text"),
            ("{\"doc_id\": 1, \"texts\": []}", "found doc_id, texts"),
            ("{\"doc_id\": 1, \"text\": \"\", \"prompt_sha256\": 1}", "prompt_sha256: expected a text"),
            ("{\"doc_id\": 0, \"text\": \"other\"}", "another answer than in line 1"),
        ] {
            let error = read("a.jsonl", &format!("{{\"doc_id\": 0, \"text\": \"one\"}}\n{line}\n"));
            let error = error.unwrap_err().to_string();
            assert!(error.contains("line 2") && error.contains(words), "{line}: {error}");
        }
    }
}
