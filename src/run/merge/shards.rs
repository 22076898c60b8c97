//! The shards that are to become one run: found, read, and each of them there once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::agree::{self, Said};
use super::part::{Part, shard_of};
use crate::finished::{PARTIAL_FILE, RUN_FILE, read_record, runs_below};
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
        let paths = found(runs)?;
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
            Ok(Part { path, shard, started, seconds, cpu, threads, programs, models, known })
        };
        let mut parts: Vec<Part> = paths.par_iter().map(read).collect::<Result<_, _>>()?;
        parts.sort_by_key(|part| part.shard.index());
        complete(&parts, runs)?;
        let mut record = first.2;
        record.options.remove(SHARD);
        let options = Options::from_record(&record.options).during(|| {
            format!("{}: the run was made with options that this zoo does not know", first.0.display())
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

/// The folders that are meant. In a folder of runs, those that are no shards are passed by.
fn found(runs: &[PathBuf]) -> Result<Vec<PathBuf>, RunError> {
    let mut paths = Vec::new();
    for run in runs {
        if run.join(RUN_FILE).is_file() || run.join(PARTIAL_FILE).is_file() {
            paths.push(run.clone());
            continue;
        }
        let below = if run.is_dir() { runs_below(run)? } else { Vec::new() };
        let is_shard = |path: &PathBuf| path.is_dir() && !is_whole(path);
        let shards: Vec<PathBuf> = below.into_iter().filter(is_shard).collect();
        if shards.is_empty() {
            return Err(RunError::Usage(format!(
                "{}: expected the folder of a shard (zoo eval --shard i/n --out DIR), or a folder of such folders; found none",
                run.display()
            )));
        }
        paths.extend(shards);
    }
    if paths.is_empty() {
        return Err(RunError::Usage("expected the folders of the shards of a run".to_owned()));
    }
    Ok(paths)
}

/// Whether this is the folder of a finished run that is no shard, as one that was merged before.
fn is_whole(path: &Path) -> bool {
    path.join(RUN_FILE).is_file() && read_record(path).is_ok_and(|record| record.shard().is_none())
}

/// Sees to it that every shard is there once.
fn complete(parts: &[Part], runs: &[PathBuf]) -> Result<(), RunError> {
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
    let unfinished = unfinished(runs);
    let advice = if unfinished.is_empty() {
        String::new()
    } else {
        format!("; not finished yet, to be gone on with by zoo eval … --resume: {}", unfinished.join(", "))
    };
    Err(RunError::Usage(format!(
        "{} of {of} shards missing: {}{more}{advice}",
        missing.len(),
        named.join(", ")
    )))
}

/// Shards below the folders that were named that were begun and are not finished.
fn unfinished(runs: &[PathBuf]) -> Vec<String> {
    let below = runs.iter().filter(|run| run.is_dir()).filter_map(|run| runs_below(run).ok()).flatten();
    let begun = below.filter(|path| path.join(PARTIAL_FILE).is_file() && !path.join(RUN_FILE).is_file());
    let said = begun.filter_map(|path| {
        let settings = folder::settings(&path).ok()??;
        Some(format!("{} in {}", shard_asked(&settings.options)?, path.display()))
    });
    said.take(NAMED).collect()
}
