//! A run's files in the shape of the reference harness: `lm-eval/<model>/results_<date>.json`, with `--log-samples`
//! `samples_<task>_<date>.jsonl` beside it, and `results.json` for a run of one model.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::output::Outcome;
use crate::base::atomic::{AtomicFile, write_atomically};
use crate::base::digest::sha256;
use crate::evaluate::TaskResult;
use crate::evaluate::harness::{RunFacts, results, samples, sanitized};
use crate::python::print::dumps;
use crate::records::{RunRecord, Timestamp, file_name};
use crate::tasks::{Limit, PreparedTask, Suite};
use crate::tokenizer::Tokenizer;

/// What the files of one model are made of.
pub struct Harness {
    /// Everything but the numbers.
    pub facts: RunFacts,
    /// The prompts that were scored.
    pub tasks: Arc<Vec<PreparedTask>>,
}

/// Writes the files of every model whose prompts are known.
pub fn write(
    folder: &Path,
    suites: &[Suite],
    models: &[Outcome],
    record: &RunRecord,
    started: Timestamp,
    log_samples: bool,
) -> anyhow::Result<()> {
    let date = started.file_date();
    for Outcome { folder: name, tasks, harness, .. } in models {
        let Some(model) = harness else { continue };
        let own = folder.join("lm-eval").join(file_name(&sanitized(name)));
        let mut facts = model.facts.clone();
        facts.seconds = record.seconds;
        if log_samples {
            for task in tasks {
                let Some(prepared) = model.tasks.iter().find(|p| p.task.name == task.task.name) else {
                    continue;
                };
                let name = format!("samples_{}_{date}.jsonl", file_name(&task.task.name));
                let digest = write_task(&own.join(name), prepared, task)?;
                facts.task_hashes.insert(task.task.name.clone(), digest.into());
            }
        }
        let text = dumps(&results(suites, tasks, &facts), Some(2));
        write_atomically(&own.join(format!("results_{date}.json")), text.as_bytes())?;
        if models.len() == 1 {
            write_atomically(&folder.join("results.json"), text.as_bytes())?;
        }
    }
    Ok(())
}

/// Writes the samples of a task; gives the digest over their hashes.
fn write_task(path: &Path, task: &PreparedTask, result: &TaskResult) -> anyhow::Result<String> {
    let mut file = AtomicFile::create(path)?;
    let mut hashes = String::new();
    for sample in samples(task, result) {
        file.write_all(sample.line.as_bytes())?;
        file.write_all(b"\n")?;
        hashes.push_str(&sample.hashes);
    }
    file.commit()?;
    Ok(sha256(&hashes))
}

/// The special tokens of a tokenizer as a results file lists them: padding (the harness takes the unknown token or the
/// end where there is none), end, beginning.
pub fn special_tokens(tokenizer: &Tokenizer) -> [Option<(String, u32)>; 3] {
    let pad = tokenizer.pad().or(tokenizer.unk()).or(tokenizer.eos());
    [pad, tokenizer.eos(), tokenizer.bos()].map(|id| id.and_then(|id| Some((tokenizer.token_text(id)?, id))))
}

/// The limit as a results file has it.
pub fn limit(limit: Option<Limit>) -> Option<f64> {
    match limit? {
        Limit::Count(count) => Some(count as f64),
        Limit::Fraction(part) => Some(part),
    }
}
