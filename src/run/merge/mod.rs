//! Shards of a run become the run: the same files, from the same grader, as if one process had been asked everything.
//!
//! Nothing is averaged over shards. Their samples are put in the order of the documents and graded as one, so that means, standard
//! errors, bootstraps, groups and findings are those of one run. What only one process can know is a sum: tokens, requests and
//! times; `merged.yaml` has what each shard took, and where.

mod agree;
mod answers;
mod part;
mod place;
mod shards;
mod took;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::again::{protocol_of, tasks_of};
use super::error::During;
use super::folder::{self, SETTINGS_FILE};
use super::judge::{Code, Judge};
use super::session::{Finished, Grading, Session};
use super::settings;
use super::variants::{Preparer, Variant};
use super::{Options, Places, RunError, chat, find_suites};
use crate::base::atomic::write_atomically;
use crate::base::progress::Progress;
use crate::base::stop::Stop;
use crate::records::{
    RecordedOptions, RunRecord, RunSettings, SHARD, Timestamp, VerdictLedger, file_name, ledger,
};
use crate::registry::Registry;
use answers::Parts;
use place::Place;
use shards::Shards;
use took::took;

/// What of a merged run is each shard's own.
const MERGED_FILE: &str = "merged.yaml";

/// Puts the shards in `runs` together, into the folder that `places` names.
///
/// # Errors
/// Shards that are missing, there twice, or not of one run; documents that are not there once; tasks, data and templates that are
/// not those of the shards.
pub fn merge(runs: &[PathBuf], places: &Places, progress: &dyn Progress) -> Result<Finished, RunError> {
    let out = places.out.as_deref().expect("a merged run goes somewhere");
    let Shards { parts, record, options } = Shards::read(runs)?;
    let mut place = Place::beside(out, &parts.iter().map(|part| part.path.as_path()).collect::<Vec<_>>())?;
    let then = folder::settings(&parts[0].path)?.expect("they were compared");
    let then = RunSettings { options: without_shard(&then.options), ..then };
    let options = Options {
        fewshot_seed: record.fewshot_seed,
        system_instruction: record.system_instruction.clone(),
        places: Places {
            out: Some(place.path().to_owned()),
            log_samples: agree::is_set(&record, "log_samples"),
            no_texts: agree::is_set(&record, "no_texts"),
            ..places.clone()
        },
        ..options
    };
    let suites = find_suites(&places.include_path, &record.suites)?;
    let registry = Registry::load(places.own_cards.as_deref())
        .during(|| "the model cards cannot be loaded".to_owned())?;
    let mut preparer = Preparer::new(&options);
    let mut variants: Vec<(Parts<'_>, Variant)> = Vec::new();
    for (at, model) in record.models.iter().enumerate() {
        let protocol = protocol_of(Some(model), &options)?;
        let chat = model.chat.as_ref().map(|chat| chat::recorded(chat, model, &options)).transpose()?;
        let folder = record.samples_folder(&model.name, &protocol.name);
        let samples = parts[0].path.join("samples").join(file_name(&folder));
        let tasks = tasks_of(&record, &suites, &protocol, &options, &samples)?;
        let variant = preparer.variant(&Arc::new(protocol), &tasks, chat, (model.rotation, String::new()))?;
        let card = model.card.as_ref().and_then(|card| registry.find(card).ok());
        let published = card.map_or_else(Vec::new, |card| card.published.clone());
        variants.push((Parts { parts: &parts, at, folder, published }, variant));
    }
    refuse_other_tasks(&then, &variants)?;

    let paths: Vec<&Path> = parts.iter().map(|part| part.path.as_path()).collect();
    let started = parts.iter().map(|part| &part.started).min().expect("a run has shards").clone();
    let began = Timestamp::parse(&started);
    let began = began.ok_or_else(|| {
        RunError::room(format!("run.yaml, started: expected a time by RFC 3339, found {started:?}"))
    })?;
    let conditions = record.programs.clone();
    let left = record.missing_data.clone();
    let now = RunRecord {
        started,
        cpu: each_once(parts.iter().map(|part| part.cpu.as_str())),
        threads: parts.iter().map(|part| part.threads).max().unwrap_or_default(),
        options: without_shard(&record.options),
        models: Vec::new(),
        tasks: Vec::new(),
        findings: Vec::new(),
        missing_data: Vec::new(),
        programs: None,
        ..record
    };
    let seconds: f64 = parts.iter().map(|part| part.seconds).sum();
    let session = Session::new(&options, &suites, now, began);
    let mut session = session.that_took((seconds * 1000.0).round() / 1000.0);
    session.leave_out(left);
    let (stop, code) = (Stop::default(), Code::default());
    let mut judge = Judge::new(&code, progress, &stop).of_shards(&paths, conditions)?;
    for (mut answers, variant) in variants {
        let grading = if options.predict_only { Grading::Filter } else { Grading::Full(&mut judge) };
        session.ask(&mut answers, std::slice::from_ref(&variant), grading)?;
    }
    place.begin()?;
    for part in parts.iter().filter(|part| part.lacks_ledger()) {
        tracing::warn!(
            "{}: shard {} has no ledger, and the merged one lacks its scores; results do not need them, --reuse does",
            part.path.display(),
            part.shard
        );
    }
    for note in ledger::merge(&paths, place.path())? {
        tracing::warn!("{note}");
    }
    VerdictLedger::merge(&paths, place.path())?;
    let write = |name: &str, text: String| write_atomically(&place.path().join(name), text.as_bytes());
    write(SETTINGS_FILE, serde_yaml::to_string(&then)?)?;
    write(MERGED_FILE, took(&parts)?)?;
    let note = format!("merged from {} shards, whose scores are in one ledger\n", parts.len());
    let finished = session.finish(None, Some(note))?;
    let temporary = place.path().display().to_string();
    let folder = place.commit()?;
    let note = finished.note.replace(&temporary, &folder.display().to_string());
    Ok(Finished { note, folder: Some(folder), ..finished })
}

fn without_shard(options: &RecordedOptions) -> RecordedOptions {
    let mut options = options.clone();
    options.remove(SHARD);
    options
}

fn each_once<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for text in texts {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.join("; ")
}

/// Refuses tasks and data that are not those of the shards: their results would be of neither.
fn refuse_other_tasks(then: &RunSettings, variants: &[(Parts<'_>, Variant)]) -> Result<(), RunError> {
    let tasks = settings::tasks_of_variants(variants.iter().map(|(_, variant)| variant));
    let now = RunSettings { tasks, ..then.clone() };
    let differences = now.differences(then);
    if differences.is_empty() {
        return Ok(());
    }
    Err(RunError::Usage(format!(
        "tasks or data are not those of the shards any more:\n  {}\nput them back as they were (--data-dir, --include-path)",
        differences.join("\n  ")
    )))
}
