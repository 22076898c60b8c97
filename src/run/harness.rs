//! A run's files in the shape of the reference harness: `lm-eval/<model>/results_<date>.json`, with `--log-samples`
//! `samples_<task>_<date>.jsonl` beside it, and `results.json` for a run of one model.

use std::io::Write;
use std::path::Path;

use serde_json::Map;

use super::outcome::Outcome;
use super::{Options, RunError};
use crate::base::atomic::{AtomicFile, write_atomically};
use crate::base::digest::sha256;
use crate::evaluate::TaskResult;
use crate::evaluate::harness::{NamedSpecialTokens, RunFacts, results, samples, sanitized};
use crate::python::print::dumps;
use crate::records::{RunRecord, Timestamp, file_name, harness_file_name};
use crate::tasks::{Limit, Suite};
use crate::tokenizer::Tokenizer;

/// Writes the files of every model that was asked in this run.
pub fn write(
    folder: &Path,
    suites: &[Suite],
    models: &[Outcome],
    record: &RunRecord,
    started: Timestamp,
    options: &Options,
) -> Result<(), RunError> {
    let file_date = started.file_date();
    for Outcome { folder: name, tasks, asked, .. } in models {
        let Some((model, special_tokens)) = asked else { continue };
        let own = folder.join("lm-eval").join(file_name(&sanitized(name)));
        let mut task_hashes = Map::new();
        if options.places.log_samples {
            for task in tasks {
                let name = format!("samples_{}_{file_date}.jsonl", harness_file_name(task.name()));
                task_hashes.insert(task.name().to_owned(), write_task(&own.join(name), task)?.into());
            }
        }
        let limit = options.limit.map(limit);
        let date = started.seconds();
        let facts = RunFacts { run: record, model, special_tokens, limit, date, task_hashes };
        let text = dumps(&results(suites, tasks, &facts), Some(2));
        write_atomically(&own.join(format!("results_{file_date}.json")), text.as_bytes())?;
        if models.len() == 1 {
            write_atomically(&folder.join("results.json"), text.as_bytes())?;
        }
    }
    Ok(())
}

/// Writes the samples of a task; gives the digest over their hashes.
fn write_task(path: &Path, result: &TaskResult) -> Result<String, RunError> {
    let mut file = AtomicFile::create(path)?;
    let mut hashes = String::new();
    for sample in samples(result) {
        file.write_all(sample.line.as_bytes())?;
        file.write_all(b"\n")?;
        hashes.push_str(&sample.hashes);
    }
    file.commit()?;
    Ok(sha256(&hashes))
}

/// The special tokens of a tokenizer as a results file lists them: padding (the harness takes the unknown token or the
/// end where there is none), end, beginning.
pub fn special_tokens(tokenizer: &Tokenizer) -> NamedSpecialTokens {
    let pad = tokenizer.pad().or(tokenizer.unk()).or(tokenizer.eos());
    [pad, tokenizer.eos(), tokenizer.bos()].map(|id| id.and_then(|id| Some((tokenizer.token_text(id)?, id))))
}

/// The limit as a results file has it.
fn limit(limit: Limit) -> f64 {
    match limit {
        Limit::Count(count) => count as f64,
        Limit::Fraction(fraction) => fraction,
    }
}
