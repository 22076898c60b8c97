//! Texts that were written elsewhere, graded here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::folder;
use super::judge::Judge;
use super::respondent::{About, Answered, Respondent};
use super::session::{Finished, Grading, Session, new_record};
use super::variants::{Preparer, Variant, by_answer};
use super::{Options, RunError, find_suites};
use crate::base::digest::sha256;
use crate::base::progress::Progress;
use crate::base::stop::Stop;
use crate::evaluate::{AnsweredTask, Answers, check_metrics};
use crate::records::{Answer, AnswerFile, GradedRecord, RunRecord, Timestamp, read_answers};
use crate::tasks::protocol::{DEFAULT_PROTOCOL, find_protocol};
use crate::tasks::{PreparedDoc, PreparedTask, Suite, Task};

/// Files of written answers, and what is done with them.
#[derive(Debug, Clone)]
pub struct WrittenAnswers {
    /// Files of JSON lines; all answer the same suites.
    pub files: Vec<PathBuf>,
    /// Who wrote them; `None` for what the files say.
    pub model: Option<String>,
    /// Whether documents without an answer are left out.
    pub skip_missing: bool,
    /// Whether answers are cut and filtered alone.
    pub predict_only: bool,
}

/// Grades answers to the tasks of `options`.
///
/// # Errors
/// Files that cannot be read, answers that are missing or of other prompts, and what the grading itself refuses.
pub fn score_answers(
    written: &WrittenAnswers,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Finished, RunError> {
    options.places.out.as_deref().map_or(Ok(()), folder::refuse_foreign)?;
    let files: Vec<AnswerFile> =
        written.files.iter().map(|path| read_answers(path)).collect::<Result<_, _>>()?;
    let suites = find_suites(&options.places.include_path, &options.suite)?;
    let tasks = written_tasks(&suites)?;
    check_tasks(&files, &tasks)?;
    let tasks: Vec<Task> = tasks.iter().map(|task| (**task).clone()).collect();
    let protocol = find_protocol(DEFAULT_PROTOCOL).expect("the default protocol is embedded");
    let variant = Preparer::new(options).variant(&Arc::new(protocol), &tasks, None, (0, String::new()))?;
    let said = files.iter().find_map(|file| file.model.as_deref());
    let name = written.model.as_deref().or(said.and_then(|name| name.rsplit('/').next()));
    let name = name.unwrap_or("answers").to_owned();
    let of_file = |file: &AnswerFile| GradedRecord {
        path: file.path.display().to_string(),
        model: Some(name.clone()),
        sha256: Some(file.sha256.clone()),
    };
    let graded = files.iter().map(of_file).collect();
    let started = Timestamp::now();
    let record = RunRecord { graded, ..new_record(options, started)? };
    let mut session = Session::new(options, &suites, record, started);
    let stop = Stop::default();
    let mut judge = Judge::new(&options.code, progress, &stop);
    if !written.predict_only {
        tasks.iter().try_for_each(|task| check_metrics(task, options.code.allow))?;
        judge.prepare(&tasks)?;
    }
    let grading = if written.predict_only { Grading::Filter } else { Grading::Full(&mut judge) };
    let mut writer = Writer { name, files, skip_missing: written.skip_missing, documents: 0 };
    session.ask(&mut writer, &[variant], grading)?;
    let (documents, name) = (writer.documents, writer.name);
    let note = if written.predict_only {
        format!("{documents} answers were cut and filtered, and nothing was graded (--predict-only)\n")
    } else {
        format!("{documents} answers of {name} were graded\n")
    };
    session.finish(None, Some(note))
}

/// The tasks whose answers are written; the others are left out, and it is said.
fn written_tasks(suites: &[Suite]) -> Result<Vec<Arc<Task>>, RunError> {
    let (tasks, others) = by_answer(suites);
    let others: Vec<&str> = others.iter().map(|task| task.name.as_str()).collect();
    let text =
        format!("{}: not tasks whose answers are written (generate_until); use zoo eval", others.join(", "));
    if tasks.is_empty() {
        return Err(RunError::Usage(text));
    }
    if !others.is_empty() {
        tracing::warn!("{text}");
    }
    Ok(tasks)
}

/// Refuses answers to tasks that were not asked for, and answers that do not say to which of several.
fn check_tasks(files: &[AnswerFile], tasks: &[Arc<Task>]) -> Result<(), RunError> {
    let names = || tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>().join(", ");
    for (file, answer) in files.iter().flat_map(|file| file.answers.iter().map(move |answer| (file, answer)))
    {
        let place = place(file, answer);
        match &answer.task {
            Some(name) if tasks.iter().all(|task| task.name != *name) => {
                let text = format!("{place}: an answer to task {name}, but --suite asks for {}", names());
                return Err(RunError::Usage(text));
            }
            None if tasks.len() > 1 => {
                return Err(RunError::Usage(format!("{place}: expected \"task\", one of {}", names())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn place(file: &AnswerFile, answer: &Answer) -> String {
    format!("{}, line {}", file.path.display(), answer.line)
}

/// Whoever wrote the answers, as a respondent.
struct Writer {
    name: String,
    files: Vec<AnswerFile>,
    skip_missing: bool,
    /// Documents answered.
    documents: usize,
}

impl Respondent for Writer {
    fn answer(&mut self, tasks: &[Arc<PreparedTask>]) -> Result<Answered, RunError> {
        // Answers without a task's name are meant for the only one.
        let only = tasks.len() == 1;
        let found: Vec<AnsweredTask> =
            tasks.iter().map(|task| self.of_task(task, only)).collect::<Result<_, _>>()?;
        self.documents = found.iter().map(|own| own.task.docs.len()).sum();
        Ok(Answered::found(found))
    }

    fn about(&self, _: &Variant) -> Result<About, RunError> {
        Ok(About {
            name: self.name.clone(),
            weights_sha256: String::new(),
            published: Vec::new(),
            record: None,
            special_tokens: None,
        })
    }
}

impl Writer {
    /// A task with the documents that are graded, and the answers to each of them, cut at the task's stops.
    fn of_task(&self, task: &Arc<PreparedTask>, only: bool) -> Result<AnsweredTask, RunError> {
        let fail = |text| Err(RunError::room(text));
        let name = &task.task.name;
        let mut known: BTreeMap<usize, (&AnswerFile, &Answer)> = BTreeMap::new();
        let all = self.files.iter().flat_map(|file| file.answers.iter().map(move |answer| (file, answer)));
        for (file, answer) in all {
            if !answer.task.as_ref().map_or(only, |own| own == name) {
                continue;
            }
            let here = place(file, answer);
            let id = answer.doc_id;
            let documents = task.total_docs;
            if id >= documents {
                return fail(format!(
                    "{here}: task {name} has {documents} documents, and none of the number {id}"
                ));
            }
            if let Some((other, first)) = known.insert(id, (file, answer)) {
                let there = place(other, first);
                return fail(format!(
                    "{here}: document {id} of task {name} is answered in {there} too; keep one of them"
                ));
            }
        }
        let documents = task.docs.len();
        let missing: Vec<usize> =
            task.docs.iter().map(|doc| doc.doc_id).filter(|id| !known.contains_key(id)).collect();
        if let Some(first) = missing.first() {
            let answered = documents - missing.len();
            if !self.skip_missing || answered == 0 {
                return fail(format!(
                    "task {name}: answers to {answered} of {documents} documents; the first without one is document \
                     {first}. Give the missing ones, grade only the first documents (--limit), or those there are \
                     (--skip-missing)"
                ));
            }
            tracing::warn!(
                "task {name}: {} of {documents} documents have no answer and are left out",
                missing.len()
            );
        }
        let beyond = known.keys().filter(|id| **id >= documents).count();
        if beyond > 0 {
            tracing::warn!(
                "task {name}: {beyond} answers are to documents beyond the limit and are not graded"
            );
        }
        let mut task = Arc::clone(task);
        if !missing.is_empty() {
            Arc::make_mut(&mut task).docs.retain(|doc| known.contains_key(&doc.doc_id));
        }
        let cut = |text: &String| {
            task.generation.as_ref().map_or(text.as_str(), |generation| generation.cut(text)).to_owned()
        };
        let of_doc = |doc: &PreparedDoc| {
            let (file, answer) = known[&doc.doc_id];
            check_prompt(name, doc, file, answer)?;
            Ok(answer.texts.iter().map(cut).collect())
        };
        let answers = task.docs.iter().map(of_doc).collect::<Result<_, RunError>>()?;
        Ok(AnsweredTask::new(Arc::clone(&task), Answers::Written(answers)))
    }
}

/// Refuses an answer to another prompt than the one of this document.
fn check_prompt(task: &str, doc: &PreparedDoc, file: &AnswerFile, answer: &Answer) -> Result<(), RunError> {
    let Some(asked) = &answer.prompt_sha256 else { return Ok(()) };
    let context = &doc.requests.first().expect("something is asked of every document").context;
    let own = sha256(context.as_bytes());
    if *asked == own {
        return Ok(());
    }
    Err(RunError::room(format!(
        "{}: task {task}, document {}: an answer to another prompt (sha256 {asked}, here {own}); check --num-fewshot, \
         --fewshot-seed, --system-instruction and the data",
        place(file, answer),
        doc.doc_id
    )))
}
