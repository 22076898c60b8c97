//! The documents of a task and what models answered, as the script of the page reads them.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::json;

use super::encode::{base64, data};

/// Documents of one task with their answers.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TaskSamples {
    /// Whether there are texts; without them documents are known by digests.
    #[serde(skip)]
    pub kept: bool,
    /// What stands before questions, each text once.
    pub before: Vec<String>,
    /// In the order of their numbers.
    pub documents: Vec<PageDocument>,
    /// For each column the answers to these documents; `None` where it was not asked the task.
    pub answers: Vec<Option<Vec<Option<PageAnswer>>>>,
}

/// One document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PageDocument {
    /// Its number in the task.
    #[serde(skip)]
    pub id: usize,
    /// Digest of its prompt.
    pub sha256: String,
    /// What stands before the question, by its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<usize>,
    /// The rest of the prompt.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub question: String,
    /// What is scored after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The question of each choice, where they differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
    /// What the user says later.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<String>,
    /// The right answer, where it is none of the choices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The right choices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gold: Vec<usize>,
}

/// What one model answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PageAnswer {
    /// What it is worth.
    #[serde(skip)]
    pub verdict: Verdict,
    /// Of each choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<f64>,
    /// The tokens of each choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<Vec<u32>>,
    /// What it wrote, turn by turn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// What filters found in it.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub extracted: serde_json::Map<String, serde_json::Value>,
    /// The values of metrics.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub metrics: serde_json::Map<String, serde_json::Value>,
    /// What became of its programs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// Tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// Whether the prompt was cut to fit.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Its prompt, where that is another one than the document's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Its choices, where those are others than the document's, or in another order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<PageOrder>,
}

/// Choices as one column had them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PageOrder {
    /// What is scored after the prompt; empty where no texts were kept.
    pub choices: Vec<String>,
    /// The right ones.
    pub gold: Vec<usize>,
}

/// What an answer is worth; its number is what the script reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing of it counts.
    Wrong = 0,
    /// All of it does.
    Right = 1,
    /// Some of it does.
    InPart = 2,
    /// It is not judged by itself.
    #[default]
    Unjudged = 3,
}

/// The number of a document that was not answered.
const ABSENT: u8 = 255;

impl TaskSamples {
    /// Writes both blocks of the task with this place: verdicts, and packed texts.
    pub(super) fn write(&self, place: usize, out: &mut impl Write) -> io::Result<()> {
        let verdict = |answer: &Option<PageAnswer>| answer.as_ref().map_or(ABSENT, |own| own.verdict as u8);
        let verdicts = self
            .answers
            .iter()
            .map(|own| own.as_ref().map(|own| base64(&own.iter().map(verdict).collect::<Vec<_>>())));
        let verdicts: Vec<Option<String>> = verdicts.collect();
        let ids: Vec<usize> = self.documents.iter().map(|document| document.id).collect();
        let in_a_row = ids.iter().enumerate().all(|(place, id)| place == *id);
        let known = json!([(!in_a_row).then_some(&ids), ids.len(), self.kept, verdicts]);
        writeln!(out, "<script type=\"application/json\" id=\"verdicts-{place}\">{}</script>", data(&known))?;
        let mut packed = GzEncoder::new(Vec::new(), Compression::new(6));
        serde_json::to_writer(&mut packed, self)?;
        let packed = base64(&packed.finish()?);
        writeln!(out, "<script type=\"text/plain\" id=\"texts-{place}\">{packed}</script>")
    }
}
