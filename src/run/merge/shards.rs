//! The shards that are to become one run: found, read, and each of them there once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::agree::{self, Said};
use super::part::{Part, shard_of};
use crate::finished::{RUN_FILE, has_run_file, read_record, runs_below};
use crate::kernels;
use crate::records::{RunRecord, SHARD, shard_of as shard_asked};
use crate::run::error::During;
use crate::run::folder;
use crate::run::shard::ShardFile;
use crate::run::{Options, RunError};
use crate::tasks::Shard;

/// How many shards an error names one by one.
const NAMED: usize = 8;

/// All shards of one run, in order, and the description of the first one.
pub struct Shards {
    /// From 0 to n - 1.
    pub parts: Vec<Part>,
    /// The first one's.
    pub record: RunRecord,
    /// The options of all, without the shard.
    pub options: Options,
}

impl Shards {
    /// Reads the shards in `runs`, and in folders of which each holds some.
    ///
    /// # Errors
    /// What is no finished shard, shards of different runs, and a shard that is missing or there twice.
    pub fn read(runs: &[PathBuf]) -> Result<Self, RunError> {
        let Found { finished: paths, unfinished } = Found::in_folders(runs)?;
        let record = |path: &PathBuf| -> Result<(PathBuf, Shard, RunRecord), RunError> {
            let record = read_record(path)?;
            let shard = shard_of(path, &record)?;
            Ok((path.clone(), shard, record))
        };
        let first = record(&paths[0])?;
        let settings = Said::of(&first.0, &first.2)?;
        let read = |path: &PathBuf| -> Result<Part, RunError> {
            let (path, shard, record) = record(path)?;
            if shard.of() != first.1.of() {
                return Err(RunError::Usage(format!(
                    "{} is shard {shard}, and {} is shard {}: these are not shards of one run",
                    path.display(),
                    first.0.display(),
                    first.1
                )));
            }
            settings.refuse_other(&path, shard, &record)?;
            let known = ShardFile::read(&path)?;
            let names = known.models.iter().map(|model| &model.name);
            if known.shard != shard || !names.eq(record.models.iter().map(|model| &model.name)) {
                return Err(RunError::room(format!(
                    "{}: shard.yaml and {RUN_FILE} are not of one shard; run it again",
                    path.display()
                )));
            }
            let RunRecord { started, seconds, cpu, threads, programs, models, .. } = record;
            if !seconds.is_finite() || seconds < 0.0 {
                let place = path.display();
                return Err(RunError::room(format!(
                    "{place}: {RUN_FILE}, seconds: expected a time, found {seconds}"
                )));
            }
            Ok(Part { path, shard, started, seconds, cpu, threads, programs, models, known })
        };
        let mut parts: Vec<Part> = paths.par_iter().map(read).collect::<Result<_, _>>()?;
        parts.sort_by_key(|part| part.shard.index());
        complete(&parts, &unfinished)?;
        // Whichever was named first, what is told of all is the first shard's.
        let mut record = read_record(&parts[0].path)?;
        record.options.remove(SHARD);
        let options = Options::from_record(&record.options).during(|| {
            format!("{}: the run was made with options that this zoo does not know", parts[0].path.display())
        })?;
        let cpus = parts.iter().map(|part| part.cpu.as_str()).collect::<BTreeSet<_>>();
        if cpus.len() > 1 {
            tracing::warn!(
                "the shards were computed on {}: the numbers agree within rounding, but perhaps not in their last bits",
                cpus.into_iter().collect::<Vec<_>>().join(" and ")
            );
        }
        if parts[0].models.iter().any(|model| !kernels::is_invariant(&model.matmul)) {
            tracing::warn!(
                "products by {}: their last bits may depend on what is computed together, so that the results are those of one run \
                 within rounding",
                parts[0].models[0].matmul
            );
        }
        agree::same_programs(&parts, &mut record)?;
        Ok(Self { parts, record, options })
    }
}

/// The folders that are meant.
struct Found {
    /// Shards with their answers.
    finished: Vec<PathBuf>,
    /// Shards that were begun, by number and folder.
    unfinished: Vec<String>,
}

impl Found {
    /// Looks into folders that are shards, or have some. In a folder of runs, those that are no shards are passed by.
    fn in_folders(runs: &[PathBuf]) -> Result<Self, RunError> {
        let mut all = Self { finished: Vec::new(), unfinished: Vec::new() };
        for run in runs {
            let is_one = has_run_file(run);
            let below = if run.is_dir() && !is_one { runs_below(run)? } else { Vec::new() };
            let known = all.finished.len() + all.unfinished.len();
            if is_one {
                all.finished.push(run.clone());
            }
            for path in below.into_iter().filter(|path| path.is_dir()) {
                if !has_run_file(&path) {
                    all.unfinished.extend(unfinished(&path)?);
                } else if !is_whole(&path) {
                    all.finished.push(path);
                }
            }
            if all.finished.len() + all.unfinished.len() == known {
                return Err(RunError::Usage(format!(
                    "{}: expected the folder of a shard (zoo eval --shard i/n --out DIR), or a folder of such folders; found none",
                    run.display()
                )));
            }
        }
        if all.finished.is_empty() {
            let none = "expected the folders of the shards of a run, found none that is finished";
            return Err(RunError::Usage(format!("{none}{}", advice(&all.unfinished))));
        }
        Ok(all)
    }
}

/// Whether this is the folder of a finished run that is no shard, as one that was merged before.
fn is_whole(path: &Path) -> bool {
    read_record(path).is_ok_and(|record| record.shard().is_none())
}

/// Sees to it that every shard is there once.
fn complete(parts: &[Part], unfinished: &[String]) -> Result<(), RunError> {
    let of = parts[0].shard.of();
    let mut by_index: BTreeMap<usize, &Part> = BTreeMap::new();
    for part in parts {
        if let Some(known) = by_index.insert(part.shard.index(), part) {
            return Err(RunError::Usage(format!(
                "shard {} is there twice: {} and {}; name one of them",
                part.shard,
                known.path.display(),
                part.path.display()
            )));
        }
    }
    let missing: Vec<usize> = (0..of).filter(|index| !by_index.contains_key(index)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = missing.iter().take(NAMED).map(|index| format!("{index}/{of}")).collect();
    let more =
        if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
    Err(RunError::Usage(format!(
        "{} of {of} shards missing: {}{more}{}",
        missing.len(),
        named.join(", "),
        advice(unfinished)
    )))
}

/// What is to be done about shards that were begun.
fn advice(unfinished: &[String]) -> String {
    if unfinished.is_empty() {
        return String::new();
    }
    let named = unfinished.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = unfinished.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; not finished yet, to be gone on with by zoo eval … --resume: {named}{more}")
}

/// A shard that was begun, by number and folder; `None` for other runs.
///
/// # Errors
/// Settings that cannot be read: they may be those of a shard.
fn unfinished(path: &Path) -> Result<Option<String>, RunError> {
    let Some(settings) = folder::settings(path)? else { return Ok(None) };
    Ok(shard_asked(&settings.options).map(|shard| format!("{shard} in {}", path.display())))
}
