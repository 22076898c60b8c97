//! `zoo score RUN`: the samples of a run, graded by the tasks as they are now.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;

use super::complete::read_record;
use super::output::Run;
use crate::cli::eval;
use crate::cli::exit::Usage;
use crate::cli::score::Args;
use crate::cli::{Global, models};
use crate::evaluate::{ModelIdentity, TaskResult, grade_samples};
use crate::records::{GradedRecord, ModelRecord, RunRecord, file_name, read_samples};
use crate::tasks::protocol::DEFAULT_PROTOCOL;
use crate::tasks::{DataStore, Index, PrepareOptions, PreparedTask, Suite, prepare};

pub fn run(folder: &Path, args: &Args, global: &Global) -> anyhow::Result<()> {
    let record = read_record(folder)?;
    refuse_other_prompts(folder, &record)?;
    let index = Index::load(&args.include_path)?;
    let names = if args.suite.is_empty() { record.suites.clone() } else { args.suite.clone() };
    let suites = eval::find_suites(&index, &names)?;
    let tasks = prepare_as_recorded(&suites, &record, folder, args)?;
    let mut graded = record.graded.clone();
    graded.push(GradedRecord { path: folder.display().to_string(), model: None, sha256: None });
    let answered = answered(&record);
    let (models, recorded) = (Vec::new(), Vec::new());
    let protocol = record.protocol.clone();
    let mut run = Run::graded(
        args.out.as_deref(),
        RunRecord { suites: names, models, tasks: recorded, graded, ..record },
    );
    run.note(&format!("graded again from {}\n", folder.display()));
    let registry = models::registry(global)?;
    for (name, model) in answered {
        let samples = folder.join("samples").join(file_name(&name));
        let one = |task: &Recorded| task.grade(&samples);
        let graded = tasks.iter().map(one).collect::<anyhow::Result<_>>()?;
        let card = model.as_ref().and_then(|model| registry.find(model.card.as_ref()?).ok());
        let identity = ModelIdentity {
            name,
            weights_sha256: model.as_ref().map(|model| model.weights_sha256.clone()).unwrap_or_default(),
            protocol: protocol.clone(),
            metrics: Vec::new(),
            published: card.map(|card| card.published.clone()).unwrap_or_default(),
        };
        run.add_graded(identity, model, &suites, graded);
    }
    run.finish(args.shown(), &suites, global)
}

/// Prompts are made again as the default protocol makes them, and without chat templates.
fn refuse_other_prompts(folder: &Path, record: &RunRecord) -> anyhow::Result<()> {
    let chat = record.models.iter().find_map(|model| model.chat.as_ref());
    let found = match chat {
        Some(chat) => format!("prompts by the chat template {}", chat.template),
        None if record.protocol != DEFAULT_PROTOCOL => format!("protocol {}", record.protocol),
        None => return Ok(()),
    };
    Err(Usage(format!(
        "{}: expected a run by protocol {DEFAULT_PROTOCOL} without chat templates, found {found}; only such runs can be \
         graded again: run it once more with --resume or --reuse, which asks the model nothing that is known",
        folder.display()
    ))
    .into())
}

/// Who answered: the models of the run, or whoever wrote the answers that were graded in it.
fn answered(record: &RunRecord) -> Vec<(String, Option<ModelRecord>)> {
    if record.models.is_empty() {
        let writers = record.graded.iter().filter_map(|graded| graded.model.clone());
        return writers.take(1).map(|name| (name, None)).collect();
    }
    record.models.iter().map(|model| (model.name.clone(), Some(model.clone()))).collect()
}

/// A task as it is now, of a run that was.
struct Recorded {
    task: PreparedTask,
    /// Documents that the run had of it.
    documents: usize,
}

impl Recorded {
    /// Grades the task by its lines in the folder `samples`.
    fn grade(&self, samples: &Path) -> anyhow::Result<TaskResult> {
        let path = samples.join(file_name(&self.task.task.name) + ".jsonl");
        let lines = read_samples(&path).context("cannot read the samples of the run")?;
        anyhow::ensure!(
            lines.len() == self.documents,
            "{}: expected {} lines of samples, found {}; the file was cut or added to",
            path.display(),
            self.documents,
            lines.len()
        );
        let mut task = Cow::Borrowed(&self.task);
        if lines.len() < task.docs.len() {
            // Documents without an answer had been left out.
            let ids: BTreeSet<usize> = lines.iter().map(|line| line.doc_id).collect();
            task.to_mut().docs.retain(|doc| ids.contains(&doc.doc_id));
        }
        grade_samples(&task, lines).with_context(|| path.display().to_string())
    }
}

/// The tasks of the suites with the documents and examples that the run had.
fn prepare_as_recorded(
    suites: &[Suite],
    record: &RunRecord,
    folder: &Path,
    args: &Args,
) -> anyhow::Result<Vec<Recorded>> {
    let data = DataStore::from_env(args.data_dir.as_deref());
    let asked = eval::Args::from_options(&record.options)
        .with_context(|| {
            format!("{}: the run was made with options that this zoo does not know", folder.display())
        })?
        .prepare_options();
    let mut tasks: Vec<Recorded> = Vec::new();
    for task in suites.iter().flat_map(Suite::tasks) {
        if tasks.iter().any(|known| known.task.task.name == task.name) {
            continue;
        }
        let Some(then) = record.tasks.iter().find(|then| then.task == task.name) else {
            // A group may hold tasks that could not be run; what was asked for by name must be there.
            if args.suite.contains(&task.name) {
                let known: Vec<&str> = record.tasks.iter().map(|task| task.task.as_str()).collect();
                let text = format!("{}: the run has no task {}", folder.display(), task.name);
                return Err(Usage(format!("{text}; it has {}", known.join(", "))).into());
            }
            continue;
        };
        let options = PrepareOptions {
            fewshot_seed: record.fewshot_seed,
            system_instruction: record.system_instruction.clone(),
            ..asked.clone()
        };
        let prepared = prepare(&task, &data, &options)?;
        if prepared.data_sha256 != then.data_sha256 {
            tracing::warn!(
                "task {}: the data are not those of the run (sha256 {}, then {}); where a prompt is the same, its \
                 answer is graded by the data as they are now",
                task.name,
                prepared.data_sha256,
                then.data_sha256
            );
        }
        tasks.push(Recorded { task: prepared, documents: then.documents });
    }
    if tasks.is_empty() {
        return Err(Usage(format!(
            "{}: the run has none of the tasks that were asked for",
            folder.display()
        ))
        .into());
    }
    Ok(tasks)
}
