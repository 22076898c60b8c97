//! What the runs of a folder hold, in a line each; those that are not finished too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::{During, FinishedError, chain};
use super::find::{has_run_file, runs_below};
use super::record::{MAX_RUN_BYTES, PARTIAL_FILE, read_record};
use super::run::{About, Run};
use crate::base::yaml;
use crate::records::{RunRecord, RunSettings, shard_of};

/// A run in a line.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// The folder, or the file.
    pub path: PathBuf,
    /// Which shard of a run it is, as `3/7`.
    pub shard: Option<String>,
    /// `finished`, `unfinished`, `shard` for one that is finished, `lm-eval` for a results file of the reference harness, or `unreadable`.
    pub state: &'static str,
    /// When it began, UTC, RFC 3339.
    pub started: Option<String>,
    /// The models' names, each once.
    pub models: Vec<String>,
    /// What was asked for.
    pub suites: Vec<String>,
    /// Whose rules.
    pub protocol: Option<String>,
    /// The arithmetic.
    pub precision: Option<String>,
    /// Tasks that were scored.
    pub tasks: Option<usize>,
    /// Documents of all of them.
    pub documents: Option<usize>,
    /// Documents of each task at most, where there was a limit.
    pub limit: Option<String>,
    /// Seconds from start to tables.
    pub seconds: Option<f64>,
    /// Why nothing more is said of it.
    pub problem: Option<String>,
}

/// The runs in a folder, newest last.
///
/// # Errors
/// A folder that cannot be read.
pub fn list_runs(path: &Path) -> Result<Vec<Listed>, FinishedError> {
    let mut listed: Vec<Listed> = runs_below(path)?.iter().map(|path| list(path)).collect();
    listed.sort_by(|a, b| (&a.started, &a.path).cmp(&(&b.started, &b.path)));
    Ok(listed)
}

fn list(path: &Path) -> Listed {
    let listed = if has_run_file(path) {
        read_record(path).map(|record| finished(&record))
    } else if path.is_dir() {
        unfinished(&path.join(PARTIAL_FILE))
    } else {
        Run::open(path, &[]).map(|run| harness(&run))
    };
    let listed = listed.unwrap_or_else(|error| Listed {
        state: "unreadable",
        problem: Some(chain(&error)),
        ..Listed::default()
    });
    Listed { path: path.to_owned(), ..listed }
}

fn finished(record: &RunRecord) -> Listed {
    let each_once = |names: Vec<&String>| {
        let mut seen = BTreeSet::new();
        names.into_iter().filter(|name| seen.insert(*name)).cloned().collect::<Vec<_>>()
    };
    let graded = record.graded.iter().filter_map(|graded| graded.model.as_ref());
    let limit = record.options.get("limit").filter(|limit| !limit.is_null());
    Listed {
        state: if record.shard().is_some() { "shard" } else { "finished" },
        shard: record.shard().map(str::to_owned),
        started: Some(record.started.clone()),
        models: each_once(record.models.iter().map(|model| &model.name).chain(graded).collect()),
        suites: record.suites.clone(),
        protocol: Some(record.protocol.clone()),
        precision: Some(each_once(record.models.iter().map(|model| &model.precision).collect()).join(", ")),
        tasks: Some(record.tasks.len()),
        documents: Some(record.tasks.iter().map(|task| task.documents).sum()),
        limit: limit.and_then(|limit| Some(serde_yaml::to_string(limit).ok()?.trim().to_owned())),
        seconds: Some(record.seconds),
        ..Listed::default()
    }
}

fn unfinished(path: &Path) -> Result<Listed, FinishedError> {
    let name = || path.display().to_string();
    let text = yaml::read_text(path, MAX_RUN_BYTES).during(name)?;
    let settings: RunSettings = yaml::parse(&name(), &text).during(name)?;
    let suites =
        settings.options.get("suite").and_then(|suites| suites.as_sequence()).cloned().unwrap_or_default();
    Ok(Listed {
        state: "unfinished",
        shard: shard_of(&settings.options).map(str::to_owned),
        models: settings.models.iter().map(|model| model.name.clone()).collect(),
        suites: suites.iter().filter_map(|suite| suite.as_str()).map(str::to_owned).collect(),
        tasks: Some(settings.tasks.len()),
        documents: Some(settings.tasks.iter().map(|task| task.documents).sum()),
        ..Listed::default()
    })
}

fn harness(run: &Run) -> Listed {
    let About::Harness(file) = &run.about else { return Listed::default() };
    let suites: BTreeSet<&String> = run.rows.iter().map(|row| &row.suite).collect();
    let tasks: BTreeSet<(&String, usize)> = run
        .rows
        .iter()
        .filter(|row| row.kind == crate::report::TaskKind::Task)
        .map(|row| (&row.task, row.n))
        .collect();
    Listed {
        state: "lm-eval",
        started: Some(file.date.clone()),
        models: vec![file.model.clone()],
        suites: suites.into_iter().cloned().collect(),
        protocol: run.rows.first().map(|row| row.protocol.clone()),
        precision: run.rows.first().and_then(|row| row.precision.clone()),
        tasks: Some(tasks.len()),
        documents: Some(tasks.iter().map(|(_, n)| n).sum()),
        limit: file.limit.map(|limit| limit.to_string()),
        ..Listed::default()
    }
}
