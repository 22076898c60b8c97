//! One of the shards that become one run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::finished::RUN_FILE;
use crate::records::ledger::LEDGER_FOLDER;
use crate::records::{ModelRecord, ProgramsRecord, RunRecord};
use crate::run::RunError;
use crate::run::shard::ShardFile;
use crate::tasks::Shard;

/// One shard of a run, finished.
#[derive(Debug)]
pub struct Part {
    /// Its folder.
    pub path: PathBuf,
    /// Which one.
    pub shard: Shard,
    /// When it began, and how many seconds it took.
    pub started: String,
    /// See `started`.
    pub seconds: f64,
    /// Processor and threads.
    pub cpu: String,
    /// See `cpu`.
    pub threads: usize,
    /// What judged its programs, where any were run.
    pub programs: Option<ProgramsRecord>,
    /// What it says of its models: tokens, requests and times are its own.
    pub models: Vec<ModelRecord>,
    /// What was found of its documents.
    pub known: ShardFile,
}

impl Part {
    /// Whether it was answered and its answers are not there. A shard without a document has none.
    pub fn lacks_ledger(&self) -> bool {
        self.models.iter().any(|model| model.requests.asked > 0)
            && fs::read_dir(self.path.join(LEDGER_FOLDER))
                .map_or(true, |mut entries| entries.next().is_none())
    }
}

/// Which shard a description is of.
///
/// # Errors
/// It is of a whole run.
pub fn shard_of(path: &Path, record: &RunRecord) -> Result<Shard, RunError> {
    let place = path.display();
    let text = record.shard().ok_or_else(|| {
        RunError::Usage(format!(
            "{place}: expected a shard of a run, found a whole run, which needs no merge"
        ))
    })?;
    text.parse().map_err(|error| RunError::room(format!("{place}: {RUN_FILE}, options, shard: {error}")))
}
