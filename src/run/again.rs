//! A finished run, asked again: its samples answer, and the tasks as they are now grade them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::During;
use super::folder;
use super::judge::Judge;
use super::respondent::{About, Answered, Respondent};
use super::session::{Finished, Grading, Session};
use super::settings::definition;
use super::variants::{Preparer, Variant, distinct, with_gen_kwargs};
use super::{Options, RunError, chat, find_suites};
use crate::base::progress::Progress;
use crate::base::stop::Stop;
use crate::base::yaml;
use crate::evaluate::{AnsweredTask, check_metrics, continuations_sha256, recorded};
use crate::finished::read_record;
use crate::records::{
    GradedRecord, ModelRecord, RunRecord, RunSettings, Timestamp, file_name, own_file_name, read_samples,
};
use crate::registry::Registry;
use crate::tasks::protocol::{DEFAULT_PROTOCOL, Protocol, find_protocol};
use crate::tasks::{PreparedTask, Suite, Task};

/// Grades the answers of the finished run in `folder` again. Of `options` the places and the suites count: none means those of
/// the run. What was asked is what the run's description says.
///
/// # Errors
/// A folder without a finished run, prompts that are not the same any more, and what the grading itself refuses.
pub fn score_run(folder: &Path, options: &Options, progress: &dyn Progress) -> Result<Finished, RunError> {
    options.places.out.as_deref().map_or(Ok(()), folder::refuse_foreign)?;
    let record = read_record(folder)?;
    if let Some(shard) = record.shard() {
        let folder = folder.display();
        return Err(RunError::Usage(format!(
            "{folder}: this is shard {shard} of a run, which has results when all are merged: zoo merge RUN… --out DIR"
        )));
    }
    let names = if options.suite.is_empty() { &record.suites } else { &options.suite };
    let suites = find_suites(&options.places.include_path, names)?;
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
        let protocol = protocol_of(model, &then).during(|| folder.display().to_string())?;
        let chat = model.and_then(|model| Some((model.chat.as_ref()?, model)));
        let chat = chat.map(|(chat, model)| chat::recorded(chat, model, &then)).transpose()?;
        let rotation = model.map_or(0, |model| model.rotation);
        let samples = folder.join("samples").join(file_name(&record.samples_folder(&name, &protocol.name)));
        let tasks = tasks_of(&record, &suites, &protocol, &then, &samples)?;
        let variant = preparer.variant(&Arc::new(protocol), &tasks, chat, (rotation, String::new()))?;
        let card = model.and_then(|model| registry.find(model.card.as_ref()?).ok());
        let about = About {
            name,
            weights_sha256: model.map_or_else(String::new, |model| model.weights_sha256.clone()),
            published: card.map_or_else(Vec::new, |card| card.published.clone()),
            record: model.cloned(),
            special_tokens: None,
        };
        // The description has tasks as the first variant had them; another one may have had fewer of their documents.
        let documents = record.tasks.iter().map(|then| (then.task.clone(), then.documents));
        let documents = if answered.is_empty() { documents.collect() } else { BTreeMap::new() };
        answered.push((Samples { folder: samples, documents, about }, variant));
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
    if let Some(settings) = folder::settings(folder)? {
        asked().for_each(|task| warn_of_other_task(task, &settings));
    }
    let mut graded = record.graded.clone();
    graded.push(GradedRecord { path: folder.display().to_string(), model: None, sha256: None });
    let of_suites = distinct(&suites);
    let mut missing_data = record.missing_data.clone();
    missing_data.retain(|own| of_suites.iter().any(|task| task.name == own.task));
    let judged = record.programs.clone();
    let now = RunRecord {
        suites: names.clone(),
        models: Vec::new(),
        tasks: Vec::new(),
        missing_data,
        graded,
        programs: None,
        ..record
    };
    let mut session = Session::new(&then, &suites, now, Timestamp::now());
    let stop = Stop::default();
    let mut judge = Judge::new(&options.code, progress, &stop).of_run(folder, judged)?;
    for (mut samples, variant) in answered {
        session.ask(&mut samples, std::slice::from_ref(&variant), Grading::Full(&mut judge))?;
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

/// The protocol by which a model was asked. One of the user's own is in the file that the run was told, which has to say the
/// same still.
pub fn protocol_of(model: Option<&ModelRecord>, then: &Options) -> Result<Protocol, RunError> {
    let Some(model) = model else { return Ok(find_protocol(DEFAULT_PROTOCOL).expect("it is built in")) };
    // A protocol has the name of its file.
    let told = then.protocol.iter().find(|told| yaml::stem(told) == model.protocol);
    let told = told.unwrap_or(&model.protocol);
    let protocol = find_protocol(told)
        .during(|| format!("the run was made by protocol {told}, which has to be there to grade it again"))?;
    if protocol.file_sha256 != model.protocol_sha256 {
        let digest = |sha256: &Option<String>| sha256.clone().unwrap_or_else(|| "not recorded".to_owned());
        return Err(RunError::room(format!(
            "{told}: the protocol is not the one of the run (sha256 {}, then {}); put that file back, or run the model \
             again, which is asked only what is not known (zoo eval --reuse)",
            digest(&protocol.file_sha256),
            digest(&model.protocol_sha256)
        )));
    }
    Ok(protocol)
}

/// The tasks that a variant had of those that are asked for: those whose answers it left, and those that its protocol does not
/// leave out, whose answers have to be there.
pub fn tasks_of(
    record: &RunRecord,
    suites: &[Suite],
    protocol: &Protocol,
    options: &Options,
    samples: &Path,
) -> Result<Vec<Task>, RunError> {
    let mut tasks = Vec::new();
    for task in distinct(suites) {
        let file = samples.join(own_file_name(&task.name) + ".jsonl");
        if !file.exists() && record.tasks.iter().all(|then| then.task != task.name) {
            continue;
        }
        match protocol.apply(&task, &options.metrics) {
            Ok(task) if file.exists() || check_metrics(&task, record.programs.is_some()).is_ok() => {
                tasks.push(with_gen_kwargs(task, options))
            }
            Err(reason) if file.exists() => {
                let (file, name) = (file.display(), &protocol.name);
                return Err(RunError::room(format!(
                    "{file}: protocol {name} does not apply to the task any more: {reason}; the task file or the \
                     protocol has changed since"
                )));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(tasks)
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

fn warn_of_other_task(task: &PreparedTask, then: &RunSettings) {
    // Under several protocols a task has several definitions; any of them may be this one.
    let own = format!("{} (", task.task.name);
    let of_task = then.tasks.iter().filter(|t| t.task == task.task.name || t.task.starts_with(&own));
    let definitions: Vec<_> = of_task.filter_map(|then| then.definition.as_ref()).collect();
    let now = definition(&task.task);
    let Some(then) = definitions.first().filter(|_| !definitions.contains(&&now)) else { return };
    let keys: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let changed: Vec<&str> =
        keys.into_iter().filter(|key| now.get(*key) != then.get(*key)).map(String::as_str).collect();
    tracing::warn!(
        "task {}: the task file is not that of the run (other are {}); the answers are graded by it as it is now",
        task.task.name,
        changed.join(", ")
    );
}

/// The samples of one variant as a respondent.
struct Samples {
    folder: PathBuf,
    /// Documents of each task, where the run's description says how many there were.
    documents: BTreeMap<String, usize>,
    about: About,
}

impl Samples {
    fn read(&self, task: &Arc<PreparedTask>) -> Result<AnsweredTask, RunError> {
        let path = self.folder.join(own_file_name(&task.task.name) + ".jsonl");
        let (header, lines) =
            read_samples(&path).during(|| "cannot read the samples of the run".to_owned())?;
        let described = self.documents.get(&task.task.name).copied();
        if let Some(expected) = [Some(header.n), described].into_iter().flatten().find(|n| *n != lines.len())
        {
            let path = path.display();
            let found = lines.len();
            return Err(RunError::room(format!(
                "{path}: expected {expected} lines of samples, found {found}; the file was cut or added to"
            )));
        }
        let incomplete = described.is_none() && lines.len() < task.docs.len();
        if incomplete {
            let missing = task.docs.len() - lines.len();
            tracing::warn!("{}: {missing} of {} documents have no line", path.display(), task.docs.len());
        }
        let answered = recorded(task, &lines).during(|| path.display().to_string())?;
        let now = continuations_sha256(&answered.task);
        // Files of earlier versions do not say, and the digest is one of all documents.
        if !incomplete && header.continuations_sha256.is_some() && header.continuations_sha256 != now {
            return Err(RunError::room(format!(
                "{}: the continuations are not those that were scored (sha256 {}, then {}); the choices in the task file or \
                 the data have changed since, so that the model has to be asked again",
                path.display(),
                now.as_deref().unwrap_or("none"),
                header.continuations_sha256.as_deref().unwrap_or("none")
            )));
        }
        Ok(answered)
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
