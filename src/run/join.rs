//! Answers and documents, joined by task and number.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::digest::sha256;
use crate::cli::exit::Usage;
use crate::records::{Answer, AnswerFile};
use crate::tasks::{PreparedDoc, PreparedTask, Task};

/// Refuses answers to tasks that were not asked for, and answers that do not say to which of several.
pub fn check_tasks(files: &[AnswerFile], tasks: &[Arc<Task>]) -> anyhow::Result<()> {
    let names = || tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>().join(", ");
    for file in files {
        for answer in &file.answers {
            let place = || format!("{}, line {}", file.path.display(), answer.line);
            match &answer.task {
                Some(name) if tasks.iter().all(|task| task.name != *name) => {
                    let text = format!("{}: an answer to task {name}, but --suite asks for", place());
                    return Err(Usage(format!("{text} {}", names())).into());
                }
                None if tasks.len() > 1 => {
                    let text = format!("{}: expected \"task\", one of {}", place(), names());
                    return Err(Usage(text).into());
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// A task with the documents that are graded, and the answers to each of them, cut at the task's stops.
///
/// `only` says that answers without a task's name are meant for this one.
pub fn of_task(
    mut task: PreparedTask,
    files: &[AnswerFile],
    only: bool,
    skip_missing: bool,
) -> anyhow::Result<(PreparedTask, Vec<Vec<String>>)> {
    let name = task.task.name.clone();
    let mut known: BTreeMap<usize, (&AnswerFile, &Answer)> = BTreeMap::new();
    for file in files {
        for answer in &file.answers {
            if !answer.task.as_ref().map_or(only, |own| *own == name) {
                continue;
            }
            let place =
                |file: &AnswerFile, answer: &Answer| format!("{}, line {}", file.path.display(), answer.line);
            if answer.doc_id >= task.total_docs {
                anyhow::bail!(
                    "{}: task {name} has {} documents, and none of the number {}",
                    place(file, answer),
                    task.total_docs,
                    answer.doc_id
                );
            }
            if let Some((other, first)) = known.insert(answer.doc_id, (file, answer)) {
                anyhow::bail!(
                    "{}: document {} of task {name} is answered in {} too; keep one of them",
                    place(file, answer),
                    answer.doc_id,
                    place(other, first)
                );
            }
        }
    }
    let documents = task.docs.len();
    let missing: Vec<usize> =
        task.docs.iter().map(|doc| doc.doc_id).filter(|id| !known.contains_key(id)).collect();
    if let Some(first) = missing.first() {
        let answered = documents - missing.len();
        if !skip_missing || answered == 0 {
            anyhow::bail!(
                "task {name}: answers to {answered} of {documents} documents; the first without one is document \
                 {first}. Give the missing ones, grade only the first documents (--limit), or those there are \
                 (--skip-missing)"
            );
        }
        tracing::warn!(
            "task {name}: {} of {documents} documents have no answer and are left out",
            missing.len()
        );
    }
    let beyond = known.keys().filter(|id| **id >= documents).count();
    if beyond > 0 {
        tracing::warn!("task {name}: {beyond} answers are to documents beyond the limit and are not graded");
    }
    task.docs.retain(|doc| known.contains_key(&doc.doc_id));
    let mut answers = Vec::with_capacity(task.docs.len());
    for doc in &task.docs {
        let Some((file, answer)) = known.get(&doc.doc_id) else { continue };
        check_prompt(&name, doc, file, answer)?;
        let cut = |text: &String| {
            task.generation.as_ref().map_or(text.as_str(), |generation| generation.cut(text)).to_owned()
        };
        answers.push(answer.texts.iter().map(cut).collect());
    }
    Ok((task, answers))
}

/// Refuses an answer to another prompt than the one of this document.
fn check_prompt(task: &str, doc: &PreparedDoc, file: &AnswerFile, answer: &Answer) -> anyhow::Result<()> {
    let Some(asked) = &answer.prompt_sha256 else { return Ok(()) };
    let context = doc.requests.first().map_or("", |request| &request.context);
    let own = sha256(context);
    anyhow::ensure!(
        *asked == own,
        "{}, line {}: task {task}, document {}: an answer to another prompt (sha256 {asked}, here {own}); check \
         --num-fewshot, --fewshot-seed, --system-instruction and the data",
        file.path.display(),
        answer.line,
        doc.doc_id
    );
    Ok(())
}
