//! `shard.yaml` in the folder of a shard: what its merge needs beside samples, settings and description.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::chat::SERVER;
use super::error::During;
use super::{Options, RunError};
use crate::base::atomic::write_atomically;
use crate::base::yaml;
use crate::evaluate::SanityFinding;
use crate::evaluate::harness::NamedSpecialTokens;
use crate::finished::MAX_RUN_BYTES;
use crate::tasks::Shard;

/// The file's name.
const FILE: &str = "shard.yaml";
/// The most documents, turns and cut tokens that a shard may say it has: sums over all shards fit any machine word.
const MOST: usize = 1 << 32;

/// What a shard knows that its other files do not say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardFile {
    /// Which one.
    pub shard: Shard,
    /// Of each model in each way in which it was asked, in the order of the run's description.
    pub models: Vec<ShardModel>,
}

/// Of one model, asked in one way.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardModel {
    /// Its name, as samples have it.
    pub name: String,
    /// Of its tokenizer, for files in the reference harness's form.
    pub special_tokens: Option<NamedSpecialTokens>,
    /// What was found of the shard's documents.
    pub findings: Vec<SanityFinding>,
    /// SHA-256 of its samples, by task. Shards of earlier versions have none, and are not merged.
    #[serde(default)]
    pub samples_sha256: BTreeMap<String, String>,
}

/// Refuses what the shards of a run cannot become one run with, before anything is asked.
///
/// # Errors
/// Wrong usage.
pub fn check(options: &Options) -> Result<(), RunError> {
    let Some(shard) = options.shard else { return Ok(()) };
    if let Some(against) = options.computing.against {
        return Err(RunError::Usage(format!(
            "--shard {shard} cannot be used with --against {against}: what another arithmetic changes is not put together from \
             shards"
        )));
    }
    if options.apply_chat_template.iter().any(|name| name == SERVER) {
        return Err(RunError::Usage(format!(
            "--shard {shard} cannot be used with --apply-chat-template={SERVER}: the merge could not write the prompts again, since \
             only the server has its template; name one of zoo/prompts, or checkpoint for that of --tokenizer"
        )));
    }
    Ok(())
}

impl ShardFile {
    /// Writes it into the folder of a run.
    pub fn write(&self, run: &Path) -> Result<(), RunError> {
        Ok(write_atomically(&run.join(FILE), serde_yaml::to_string(self)?.as_bytes())?)
    }

    /// Reads it from the folder of a run.
    pub fn read(run: &Path) -> Result<Self, RunError> {
        let path = run.join(FILE);
        let name = path.display().to_string();
        let expected = || format!("{name}: expected what a shard knows of its documents");
        let text = yaml::read_text(&path, MAX_RUN_BYTES).during(expected)?;
        Self::parse(&name, &text)
    }

    /// Reads the text of such a file, which errors call `name`.
    ///
    /// # Errors
    /// What is none, and numbers of documents that no task has.
    pub fn parse(name: &str, text: &str) -> Result<Self, RunError> {
        let expected = || format!("{name}: expected what a shard knows of its documents");
        let file: Self = yaml::parse(name, text).during(expected)?;
        for finding in file.models.iter().flat_map(|model| &model.findings) {
            let most = finding.largest();
            if most > MOST {
                let place = format!("{name}: findings of {}", finding.task);
                return Err(RunError::room(format!("{place}: expected numbers up to {MOST}, found {most}")));
            }
        }
        Ok(file)
    }
}
