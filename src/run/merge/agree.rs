//! Whether shards are of one run: everything that its numbers depend on is the same in all of them.
//!
//! Their settings say what was asked of which models; their descriptions say more of the models, and of whatever answered. What a
//! description may say in future is compared too, but for what is known to be a shard's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::part::{Part, shard_of};
use crate::base::whole;
use crate::finished::MAX_RUN_BYTES;
use crate::records::{Differing, ProgramsRecord, RunRecord, RunSettings, SHARD};
use crate::run::RunError;
use crate::run::error::During;
use crate::run::folder::{self, SETTINGS_FILE};
use crate::tasks::Shard;

/// What of a description is a shard's own: when, where and how long it ran, how many documents it had and what was found of them,
/// and whether programs were run. Options and tasks are compared by the settings.
const OWN: [&str; 10] =
    ["started", "seconds", "cpu", "threads", "options", "flags", "tasks", "findings", "models", "programs"];
/// What a description says of a model that is a shard's own.
const OWN_OF_MODEL: [&str; 4] = ["path", "seconds", "tokens", "requests"];
/// What a description says of whoever serves a model.
const SERVER: &str = "server";
/// What of that is a shard's own: what its probe measured, how many requests there were at a time, and where its tokenizer was.
const OWN_OF_SERVER: [&str; 5] =
    ["repeated_difference", "concurrent_difference", "concurrency", "servers", "tokenizer"];
/// Flags that say which files there are.
const OF_FILES: [&str; 2] = ["log_samples", "no_texts"];
/// How many differences are named.
const NAMED: usize = 12;

/// What a shard says that all of its run have to say.
pub struct Said {
    path: PathBuf,
    shard: Shard,
    text: String,
    settings: RunSettings,
    described: BTreeMap<String, String>,
}

impl Said {
    /// What the shard in a folder says.
    ///
    /// # Errors
    /// Settings that are not there or cannot be read.
    pub fn of(path: &Path, record: &RunRecord) -> Result<Self, RunError> {
        let (settings, text) = (settings(path)?, text(path)?);
        let shard = shard_of(path, record)?;
        let described = described(record)?;
        Ok(Self { path: path.to_owned(), shard, text, settings, described })
    }

    /// Refuses a shard that says something else, with both values.
    ///
    /// # Errors
    /// It does, and settings that cannot be read.
    pub fn refuse_other(&self, path: &Path, shard: Shard, record: &RunRecord) -> Result<(), RunError> {
        let mut differing = Vec::new();
        // Those of large suites are long, and of one run they are the same but for one line.
        let line = |shard: Shard| format!("\n  {SHARD}: {shard}\n");
        if text(path)? != self.text.replacen(&line(self.shard), &line(shard), 1) {
            let without = |settings: &RunSettings| {
                let mut settings = settings.clone();
                settings.options.remove(SHARD);
                settings
            };
            differing = without(&self.settings).compared(&without(&settings(path)?));
        }
        let described = described(record)?;
        let names: Vec<&String> = self
            .described
            .keys()
            .chain(described.keys().filter(|name| !self.described.contains_key(*name)))
            .collect();
        for name in names {
            let shown = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
            let (own, other) = (self.described.get(name), described.get(name));
            if own != other && differing.iter().all(|known| known.name != *name) {
                differing.push(Differing { name: name.clone(), own: shown(own), other: shown(other) });
            }
        }
        if differing.is_empty() {
            return Ok(());
        }
        let (own, others) = (self.path.display(), path.display());
        let line = |Differing { name, own: here, other: there }: &Differing| {
            format!("\n  {name}: {here} in {own}, {there} in {others}")
        };
        let lines: String = differing.iter().take(NAMED).map(line).collect();
        let more = differing.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        Err(RunError::Usage(format!("{own} and {others} are not shards of one run:{lines}{more}")))
    }
}

fn text(path: &Path) -> Result<String, RunError> {
    let path = path.join(SETTINGS_FILE);
    let bytes = whole::read(&path, MAX_RUN_BYTES);
    let bytes = bytes.during(|| format!("{}: expected the settings of a shard", path.display()))?;
    String::from_utf8(bytes).during(|| format!("{}: expected text", path.display()))
}

fn settings(path: &Path) -> Result<RunSettings, RunError> {
    folder::settings(path)?.ok_or_else(|| {
        RunError::room(format!("{}: expected {SETTINGS_FILE} there, found none", path.display()))
    })
}

/// What a description says that is not a shard's own, by name.
fn described(record: &RunRecord) -> Result<BTreeMap<String, String>, RunError> {
    let mut all = BTreeMap::new();
    let whole = RunRecord { models: Vec::new(), tasks: Vec::new(), ..record.clone() };
    entries(serde_yaml::to_value(whole)?, "", &OWN, &mut all)?;
    for name in OF_FILES {
        all.insert(format!("--{}", name.replace('_', "-")), is_set(record, name).to_string());
    }
    for (number, model) in (1..).zip(&record.models) {
        entries(serde_yaml::to_value(model)?, &format!("model {number}, "), &OWN_OF_MODEL, &mut all)?;
    }
    for task in &record.tasks {
        let version = task.version.clone().unwrap_or_else(|| "none".to_owned());
        all.insert(format!("task {}, version", task.task), version);
        all.insert(format!("task {}, documents there are", task.task), task.of.to_string());
    }
    Ok(all)
}

/// Whether a flag was given that says which files there are.
pub fn is_set(record: &RunRecord, flag: &str) -> bool {
    record.flags.get(flag).and_then(Value::as_bool).unwrap_or(false)
}

fn entries(
    value: Value,
    before: &str,
    own: &[&str],
    all: &mut BTreeMap<String, String>,
) -> Result<(), RunError> {
    let Value::Mapping(pairs) = value else { return Ok(()) };
    for (key, value) in pairs {
        let key = key.as_str().unwrap_or_default();
        if key == SERVER && value.is_mapping() {
            entries(value, &format!("{before}{key}, "), &OWN_OF_SERVER, all)?;
        } else if !own.contains(&key) {
            let text = serde_json::to_string(&value)?;
            let name = if key.ends_with("_sha256") { key.trim_end_matches("_sha256") } else { key };
            all.insert(format!("{before}{name}"), text.trim_matches('"').to_owned());
        }
    }
    Ok(())
}

/// Sees to it that all programs were judged under the same conditions. A shard without a program may have none.
///
/// # Errors
/// Different interpreters or limits.
pub fn same_programs(parts: &[Part], record: &mut RunRecord) -> Result<(), RunError> {
    let mut known: Option<(&Part, ProgramsRecord)> = None;
    for part in parts {
        let Some(own) = part.programs.clone() else { continue };
        let own = ProgramsRecord { verdicts: Vec::new(), ..own };
        match &known {
            None => known = Some((part, own)),
            Some((_, then)) if *then == own => {}
            Some((first, then)) => {
                let shown = |record: &ProgramsRecord| serde_json::to_string(record).unwrap_or_default();
                return Err(RunError::Usage(format!(
                    "{} and {} are not shards of one run:\n  programs: {} in the one, {} in the other",
                    first.path.display(),
                    part.path.display(),
                    shown(then),
                    shown(&own)
                )));
            }
        }
    }
    record.programs = known.map(|(_, own)| own);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_description_says_in_future_is_compared_too() {
        let mut all = BTreeMap::new();
        let text = "{server: {model: a, root: r, dtype: bf16, servers: 2, concurrent_difference: 0.3}, later: {b: 1}, seconds: 1, \
                    weights_sha256: ab}";
        let value = serde_yaml::from_str(text).unwrap();
        entries(value, "model 1, ", &OWN_OF_MODEL, &mut all).unwrap();
        let expected = [
            ("model 1, later", "{\"b\":1}"),
            ("model 1, server, dtype", "bf16"),
            ("model 1, server, model", "a"),
            ("model 1, server, root", "r"),
            ("model 1, weights", "ab"),
        ];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn times_and_places_are_a_shard_s_own() {
        let text = "{zoo: '1', started: s, seconds: 1, protocol: p, fewshot_seed: 1, overlong: left, cpu: c, threads: 1, \
                    suites: [a], models: [], tasks: [{task: a, version: '2', num_fewshot: 0, documents: 3, of: 9, data_sha256: d}]}";
        let one: RunRecord = serde_yaml::from_str(text).unwrap();
        let other =
            RunRecord { started: "t".into(), seconds: 2.0, cpu: "d".into(), threads: 9, ..one.clone() };
        assert_eq!(described(&one).unwrap(), described(&other).unwrap());
        let other = RunRecord { zoo: "2".into(), ..one.clone() };
        assert_ne!(described(&one).unwrap(), described(&other).unwrap());
    }
}
