//! `run.yaml`: what was run, on what, with what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::server::ServerRecord;
use super::settings::{RecordedOptions, shard_of};
use crate::engine::TokenCounts;
use crate::sandbox::{Counts, Interpreter, Limits};

/// One model of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Name in the tables.
    pub name: String,
    /// Registry id, if it came from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Folder or file of the weights.
    pub path: String,
    /// Revision of its repository, as the cache of the hub names its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Digest of the weights.
    pub weights_sha256: String,
    /// How it was rebuilt or converted, if its folder says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<BuiltRecord>,
    /// Digest of the tokenizer.
    pub tokenizer_sha256: String,
    /// Parameters, tied matrices once.
    pub parameters: u64,
    /// Positions used.
    pub max_length: usize,
    /// Whether BOS is put before prompts.
    pub adds_bos: bool,
    /// By whose rules it was asked.
    pub protocol: String,
    /// Digest of the file that says them, where it is the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_sha256: Option<String>,
    /// How its prompts were written as conversations, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatRecord>,
    /// By how many places the options were moved on (`--rotate-options`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rotation: usize,
    /// Arithmetic.
    pub precision: String,
    /// The matrix products' implementation.
    pub matmul: String,
    /// Who serves it, where it is not on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerRecord>,
    /// Seconds spent on reading weights, and on scoring.
    pub seconds: BTreeMap<String, f64>,
    /// Tokens over all its suites and ways of asking; of those that share a pass the first has all.
    pub tokens: TokenCounts,
    /// Where its scores came from.
    #[serde(default)]
    pub requests: RequestRecord,
}

/// Requests by where their answers came from.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct RequestRecord {
    /// All of them.
    pub asked: usize,
    /// Scored before this run was interrupted, and read back.
    pub resumed: usize,
    /// Taken over from other runs (`--reuse`).
    pub reused: usize,
}

impl RequestRecord {
    /// Both together. Files may say any numbers; what no word holds stays the largest.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            asked: self.asked.saturating_add(other.asked),
            resumed: self.resumed.saturating_add(other.resumed),
            reused: self.reused.saturating_add(other.reused),
        }
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// What a model's `zoo.lock.yaml` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BuiltRecord {
    /// The rule's name.
    pub rule: String,
    /// Version of the program that built it.
    pub zoo: String,
    /// What it was made from: role and name of each input.
    pub inputs: Vec<String>,
    /// Digest of all its tensors.
    pub tensors_sha256: String,
}

/// A chat template in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatRecord {
    /// Where it comes from and its name there.
    pub template: String,
    /// Digest of a checkpoint's own template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether examples were turns of their own.
    pub fewshot_as_multiturn: bool,
}

/// One task of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SuiteRecord {
    /// The task's name, as in `results.csv`.
    pub task: String,
    /// Version that the task file states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Few-shot examples.
    pub num_fewshot: usize,
    /// Documents scored.
    pub documents: usize,
    /// Documents there are.
    pub of: usize,
    /// Digest of the data files.
    pub data_sha256: String,
    /// The metrics that are shares of documents that are right, as `acc,none`; tables give these an interval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<String>,
}

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of zoo.
    pub zoo: String,
    /// When the run began, UTC, RFC 3339.
    pub started: String,
    /// Seconds from start to tables.
    pub seconds: f64,
    /// Whose numbers these are meant to be.
    pub protocol: String,
    /// Seed of the few-shot sampler.
    pub fewshot_seed: u32,
    /// System instruction, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_instruction: Option<String>,
    /// What happened to documents that do not fit.
    pub overlong: String,
    /// What is to be known of the documents, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// Processor.
    pub cpu: String,
    /// Threads used.
    pub threads: usize,
    /// What the user asked for.
    pub suites: Vec<String>,
    /// The options that decide what is asked, by name.
    #[serde(default)]
    pub options: RecordedOptions,
    /// Further flags that a repetition needs, by name: models as they were called, where data was, how numbers were
    /// computed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: RecordedOptions,
    /// The models, in the order in which they were named.
    pub models: Vec<ModelRecord>,
    /// The tasks of all ways of asking, as the first one that had them was asked.
    pub tasks: Vec<SuiteRecord>,
    /// Tasks that were left out because their data is missing (`--skip-missing-data`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_data: Vec<MissingData>,
    /// What was graded again, or graded without having been asked here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub graded: Vec<GradedRecord>,
    /// What ran the programs that models wrote, and what became of them (`--allow-code`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programs: Option<ProgramsRecord>,
}

/// A task that was left out because its data is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingData {
    /// Its name.
    pub task: String,
    /// Why its data is missing.
    pub why: String,
}

/// What decided the verdicts of a run besides its programs, and how many of each there were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgramsRecord {
    /// What ran the programs.
    pub interpreter: Interpreter,
    /// What each might use.
    pub limits: Limits,
    /// What became of them.
    #[serde(default)]
    pub verdicts: Vec<VerdictCounts>,
}

/// What became of the programs of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictCounts {
    /// Who wrote them.
    pub model: String,
    /// The name of the task.
    pub task: String,
    /// How many of each verdict.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Answers that were there before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GradedRecord {
    /// The folder of a run, or a file of written answers.
    pub path: String,
    /// Who wrote the answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Digest of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl RunRecord {
    /// Which shard it describes, as `3/7`; none of a whole run.
    pub fn shard(&self) -> Option<&str> {
        shard_of(&self.options)
    }

    /// The name of a model's folder of samples: with several protocols its name alone says too little.
    pub fn samples_folder(&self, model: &str, protocol: &str) -> String {
        if self.protocol.contains(", ") { format!("{model}-{protocol}") } else { model.to_owned() }
    }
}
