//! A finished run, asked again: its samples answer, and the tasks as they are now grade them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::complete::read_record;
use super::error::During;
use super::respondent::{About, Answered, Respondent};
use super::session::{Finished, Session};
use super::variants::{Preparer, Variant, distinct};
use super::{Options, RunError, chat, find_suites};
use crate::evaluate::{AnsweredTask, grade, recorded};
use crate::records::{GradedRecord, ModelRecord, RunRecord, Timestamp, file_name, read_samples};
use crate::registry::Registry;
use crate::tasks::protocol::{DEFAULT_PROTOCOL, Protocol, find_protocol};
use crate::tasks::{Index, PreparedTask, Suite, Task};

/// Grades the answers of the finished run in `folder` again. Of `options` the places and the suites count: none means those of
/// the run. What was asked is what the run's description says.
///
/// # Errors
/// A folder without a finished run, prompts that are not the same any more, and what the grading itself refuses.
pub fn score_run(folder: &Path, options: &Options) -> Result<Finished, RunError> {
    let record = read_record(folder)?;
    let index = Index::load(&options.places.include_path)?;
    let names = if options.suite.is_empty() { &record.suites } else { &options.suite };
    let suites = find_suites(&index, names)?;
    let then = Options::from_record(&record.options).during(|| {
        format!("{}: the run was made with options that this zoo does not know", folder.display())
    })?;
    let then = Options {
        fewshot_seed: record.fewshot_seed,
        system_instruction: record.system_instruction.clone(),
        places: options.places.clone(),
        ..then
    };
    let registry = Registry::load(options.places.own_cards.as_deref())
        .during(|| "the model cards cannot be loaded".to_owned())?;
    let mut preparer = Preparer::new(&then);
    let mut answered: Vec<(Samples, Variant)> = Vec::new();
    for (name, model) in respondents(&record) {
        let protocol = model.map_or(DEFAULT_PROTOCOL, |model| model.protocol.as_str());
        let protocol = find_protocol(protocol).during(|| folder.display().to_string())?;
        let chat = model.and_then(|model| Some((model.chat.as_ref()?, model)));
        let chat = chat.map(|(chat, model)| chat::recorded(chat, model, &then)).transpose()?;
        let samples = folder.join("samples").join(file_name(&record.samples_folder(&name, &protocol.name)));
        let tasks = tasks_of(&record, &suites, &protocol, &then, &samples);
        let variant = preparer.variant(&Arc::new(protocol), &tasks, chat, String::new())?;
        let card = model.and_then(|model| registry.find(model.card.as_ref()?).ok());
        let about = About {
            name,
            weights_sha256: model.map_or_else(String::new, |model| model.weights_sha256.clone()),
            published: card.map_or_else(Vec::new, |card| card.published.clone()),
            record: model.cloned(),
            special_tokens: None,
        };
        answered.push((Samples { folder: samples, about }, variant));
    }
    let asked = || answered.iter().flat_map(|(_, variant)| &variant.tasks);
    // A group may hold tasks that could not be run; what is asked for by name must be there.
    let missing = suites
        .iter()
        .find(|suite| matches!(suite, Suite::Task(_)) && asked().all(|task| task.task.name != suite.name()));
    if let Some(suite) = missing.filter(|_| !options.suite.is_empty()) {
        let known: Vec<&str> = record.tasks.iter().map(|task| task.task.as_str()).collect();
        let folder = folder.display();
        let name = suite.name();
        let known = known.join(", ");
        return Err(RunError::Usage(format!("{folder}: the run has no task {name}; it has {known}")));
    }
    if asked().next().is_none() {
        let folder = folder.display();
        return Err(RunError::Usage(format!("{folder}: the run has none of the tasks that were asked for")));
    }
    asked().for_each(|task| warn_of_other_data(task, &record));
    let mut graded = record.graded.clone();
    graded.push(GradedRecord { path: folder.display().to_string(), model: None, sha256: None });
    let now = RunRecord { suites: names.clone(), models: Vec::new(), tasks: Vec::new(), graded, ..record };
    let mut session = Session::new(&then, &suites, now, Timestamp::now());
    for (mut samples, variant) in answered {
        session.ask(&mut samples, std::slice::from_ref(&variant), grade)?;
    }
    session.finish(None, Some(format!("graded again from {}\n", folder.display())))
}

/// Who answered: the models of the run, or whoever wrote the answers that were graded in it.
fn respondents(record: &RunRecord) -> Vec<(String, Option<&ModelRecord>)> {
    if record.models.is_empty() {
        let writers = record.graded.iter().filter_map(|graded| graded.model.clone());
        return writers.take(1).map(|name| (name, None)).collect();
    }
    record.models.iter().map(|model| (model.name.clone(), Some(model))).collect()
}

/// The tasks that a variant had of those that are asked for. The description names those of the first variant; another one
/// may have had what the first one's protocol left out.
fn tasks_of(
    record: &RunRecord,
    suites: &[Suite],
    protocol: &Protocol,
    options: &Options,
    samples: &Path,
) -> Vec<Task> {
    let was_asked = |task: &Arc<Task>| {
        record.tasks.iter().any(|then| then.task == task.name)
            || samples.join(file_name(&task.name) + ".jsonl").exists()
    };
    let asked = distinct(suites).into_iter().filter(was_asked);
    asked.filter_map(|task| protocol.apply(&task, &options.metrics).ok()).collect()
}

fn warn_of_other_data(task: &PreparedTask, record: &RunRecord) {
    let then = record.tasks.iter().find(|then| then.task == task.task.name);
    if let Some(then) = then.filter(|then| then.data_sha256 != task.data_sha256) {
        tracing::warn!(
            "task {}: the data are not those of the run (sha256 {}, then {}); where a prompt is the same, its answer is \
             graded by the data as they are now",
            task.task.name,
            task.data_sha256,
            then.data_sha256
        );
    }
}

/// The samples of one variant as a respondent.
struct Samples {
    folder: PathBuf,
    about: About,
}

impl Samples {
    fn read(&self, task: &Arc<PreparedTask>) -> Result<AnsweredTask, RunError> {
        let path = self.folder.join(file_name(&task.task.name) + ".jsonl");
        let (expected, lines) =
            read_samples(&path).during(|| "cannot read the samples of the run".to_owned())?;
        if lines.len() != expected {
            let path = path.display();
            let found = lines.len();
            return Err(RunError::room(format!(
                "{path}: expected {expected} lines of samples, found {found}; the file was cut or added to"
            )));
        }
        recorded(task, &lines).during(|| path.display().to_string())
    }
}

impl Respondent for Samples {
    fn answer(&mut self, tasks: &[Arc<PreparedTask>]) -> Result<Answered, RunError> {
        Ok(Answered::found(tasks.iter().map(|task| self.read(task)).collect::<Result<_, _>>()?))
    }

    fn about(&self, _: &Variant) -> Result<About, RunError> {
        Ok(self.about.clone())
    }
}
