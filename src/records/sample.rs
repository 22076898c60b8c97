//! `samples/<model>/<task>.jsonl`: a header line, then one line per document.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::MAX_BYTES;
use crate::base::atomic::AtomicFile;
use crate::base::digest::Digested;
use crate::base::whole;
use crate::sandbox::Verdict;

/// The first line of a samples file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "header")]
pub struct SampleHeader {
    /// The model's name.
    pub model: String,
    /// Digest of its weights; empty for answers that were written elsewhere.
    pub weights_sha256: String,
    /// The task's name.
    pub task: String,
    /// Few-shot examples per prompt.
    pub num_fewshot: usize,
    /// `multiple_choice`, `loglikelihood`, `loglikelihood_rolling` or `generate_until`.
    pub output_type: String,
    /// Documents in this file.
    pub n: usize,
    /// Digest of all continuations that were scored; files of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuations_sha256: Option<String>,
    /// By `metric,filter`, standard errors as `metric_stderr,filter`.
    pub metrics: BTreeMap<String, Option<f64>>,
}

/// A continuation, or a whole text, as it was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// Whether greedy decoding would produce it.
    pub is_greedy: bool,
    /// Tokens scored.
    pub n_tokens: usize,
    /// Their ids; left out for whole texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<u32>,
    /// Tokens cut from the left to fit the model.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub truncated: usize,
    /// SHA-256 of this choice's own context in a line of samples, where contexts differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_sha256: Option<String>,
    /// Tokens of its context before any cut; in a line of samples only where contexts differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_ctx_tokens: Option<usize>,
}

/// One document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SampleLine {
    /// Row of the evaluation split, from 0.
    pub doc_id: usize,
    /// SHA-256 of the UTF-8 context of the first request, before any cut.
    pub prompt_sha256: String,
    /// Tokens of that context, before any cut; unknown where no tokenizer was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_prompt_tokens: Option<usize>,
    /// The same under the name the reference files use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_ctx_tokens: Option<usize>,
    /// Examples that were left out because the prompt was too long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_examples: usize,
    /// Whether any request lost tokens.
    pub truncated: bool,
    /// In the order of the document's choices; one for a whole text, none for a written answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// The choices without any context, where a metric asks for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unconditional: Vec<Choice>,
    /// What the model wrote; of several answers the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// In a conversation what the model wrote after that, turn by turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<String>,
    /// What it wrote to the same prompt after the first answer, where a task asks for several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<String>,
    /// The answer after each filter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filtered: BTreeMap<String, serde_json::Value>,
    /// What tells documents that share something, such as a passage, from others: a digest of it, where the task file says what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Index of the right choice, several indices, a text, or several texts.
    pub target: serde_json::Value,
    /// By `metric,filter`.
    pub metrics: BTreeMap<String, f64>,
    /// What became of the programs, by filter, in the order of the answers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, Vec<Verdict>>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Writes a complete samples file; returns its SHA-256.
pub fn write_samples(path: &Path, header: &SampleHeader, lines: &[SampleLine]) -> io::Result<String> {
    let mut file = Digested::new(AtomicFile::create(path)?);
    serde_json::to_writer(&mut file, header)?;
    file.write_all(b"\n")?;
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n")?;
    }
    let (file, sha256) = file.finish();
    file.commit()?;
    Ok(sha256)
}

/// Reads a samples file: its first line and the others.
///
/// # Errors
/// A file that cannot be read, one without its first line, and a line that is not one of samples, by its number.
pub fn read_samples(path: &Path) -> io::Result<(SampleHeader, Vec<SampleLine>)> {
    read_samples_as(path)
}

/// The same with the SHA-256 of the file.
///
/// # Errors
/// As [`read_samples`].
pub fn read_samples_digested(path: &Path) -> io::Result<(SampleHeader, Vec<SampleLine>, String)> {
    let place = path.display().to_string();
    let file = whole::reader(path, MAX_BYTES).map_err(|error| placed(&place, &error))?;
    let mut file = BufReader::new(Digested::new(file));
    // Up to its end, so that nothing of it is left out of the digest.
    let (header, lines) = samples_of(&place, &mut file)?;
    Ok((header, lines, file.into_inner().finish().1))
}

/// The same of what is wanted of each line.
///
/// # Errors
/// As [`read_samples`].
pub fn read_samples_as<L: DeserializeOwned>(path: &Path) -> io::Result<(SampleHeader, Vec<L>)> {
    let place = path.display().to_string();
    let file = whole::reader(path, MAX_BYTES);
    samples_of(&place, BufReader::new(file.map_err(|error| placed(&place, &error))?))
}

fn placed(place: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{place}: {error}"))
}

/// The same of what is at a place.
///
/// # Errors
/// As [`read_samples`].
pub fn samples_of<L: DeserializeOwned>(
    place: &str,
    file: impl BufRead,
) -> io::Result<(SampleHeader, Vec<L>)> {
    let at = |error: io::Error| placed(place, &error);
    let damaged = |number: usize, what: &str, error: serde_json::Error| {
        let text = format!("{place}, line {number}: expected {what}: {error}");
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let mut lines = file.lines();
    let first = lines.next().transpose().map_err(at)?.unwrap_or_default();
    let header = serde_json::from_str(&first).map_err(|error| damaged(1, "the header of samples", error));
    let header: SampleHeader = header?;
    let mut samples = Vec::new();
    for (number, line) in (2..).zip(lines) {
        let sample = serde_json::from_str(&line.map_err(at)?);
        samples.push(sample.map_err(|error| damaged(number, "a line of samples", error))?);
    }
    Ok((header, samples))
}
