//! The row that every table is made of.

use serde::Deserialize;

use super::table::Stress;
use crate::metrics::wilson;

/// Where a row stands in the tree of its suite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TaskKind {
    /// An aggregate over tasks.
    Group,
    /// A task with documents of its own.
    #[default]
    Task,
}

/// One value: a model, a task, a metric. The fields that are read are the columns of `results.csv`, in order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// The model's name.
    pub model: String,
    /// The suite that was asked for.
    pub suite: String,
    /// The task or group of that suite.
    pub task: String,
    /// Few-shot examples; empty for a group whose tasks differ.
    pub num_fewshot: Option<usize>,
    /// The metric's name: `acc`, `acc_norm`, …
    pub metric: String,
    /// The filter pipeline, `none` where answers are not generated.
    pub filter: String,
    /// The value, with all its digits; `None` where data is missing.
    pub value: Option<f64>,
    /// Its standard error; `None` where none is defined.
    pub stderr: Option<f64>,
    /// Documents.
    pub n: usize,
    /// A published value for the same model, suite, shots and metric.
    pub published: Option<f64>,
    /// Where it was published.
    pub published_source: Option<String>,
    /// Whose numbers these are meant to be.
    pub protocol: String,
    /// Digest of the weights.
    pub weights_sha256: String,
    /// Digest of the data; of the tasks' digests for a group.
    pub data_sha256: String,
    /// The arithmetic; runs of earlier versions do not say, as with all that follows.
    #[serde(default)]
    pub precision: Option<String>,
    /// The chat template that wrote the prompts.
    #[serde(default)]
    pub template: Option<String>,
    /// The version that the task file states.
    #[serde(default)]
    pub version: Option<String>,
    /// The revision of the model's repository.
    #[serde(default)]
    pub revision: Option<String>,
    /// Documents there are, of which `n` were scored; `None` where that is not known. Not a column.
    #[serde(skip)]
    pub of: Option<usize>,
    /// Whether the value is the share of documents that are right. Not a column.
    #[serde(skip)]
    pub is_share: bool,
    /// Its place among the rows of its suite in tables for people. Not a column.
    #[serde(skip)]
    pub place: usize,
    /// Depth in the suite's tree, 0 for the suite itself. Not a column.
    #[serde(skip)]
    pub depth: usize,
    /// Group or task. Not a column.
    #[serde(skip)]
    pub kind: TaskKind,
    /// Where rows of several runs stand in one table: the head of its column there. Not a column.
    #[serde(skip)]
    pub label: Option<String>,
    /// Why there is no value. Not a column.
    #[serde(skip)]
    pub missing: Option<String>,
    /// Whether it is the best of its line, or not worse than the best beyond chance. Not a column.
    #[serde(skip)]
    pub stress: Stress,
}

impl Row {
    /// Wilson's 95 % interval, where the value is a share of documents.
    pub fn interval(&self) -> Option<[f64; 2]> {
        let share = self.value.filter(|value| self.is_share && self.n > 0 && (0.0..=1.0).contains(value));
        share.map(|value| wilson(value, self.n))
    }

    /// The value where higher is better, and less its sign where lower is: of perplexities, errors and distances.
    pub fn goodness(&self) -> Option<f64> {
        const LOWER: [&str; 4] = ["perplexity", "bits_per_byte", "brier", "edit_rate"];
        let is_lower = self.metric == "ter" || LOWER.iter().any(|name| self.metric.contains(name));
        self.value.map(|value| if is_lower { -value } else { value })
    }

    /// How many documents there are, if not all of them were scored.
    pub fn limited_to_part_of(&self) -> Option<usize> {
        self.of.filter(|of| *of > self.n)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn row(model: &str, task: &str, metric: &str, value: f64) -> Row {
        Row {
            model: model.to_owned(),
            suite: "zoology".to_owned(),
            task: task.to_owned(),
            num_fewshot: Some(5),
            metric: metric.to_owned(),
            filter: "none".to_owned(),
            value: Some(value),
            stderr: Some(0.0125),
            n: 100,
            published: None,
            published_source: None,
            protocol: "lm-eval-0.4.13".to_owned(),
            weights_sha256: "ab".repeat(32),
            data_sha256: "cd".repeat(32),
            precision: Some("exact".to_owned()),
            template: None,
            version: Some("1".to_owned()),
            revision: None,
            of: Some(100),
            is_share: metric == "acc",
            place: 0,
            depth: usize::from(task != "zoology"),
            kind: if task == "zoology" { TaskKind::Group } else { TaskKind::Task },
            label: None,
            missing: None,
            stress: Stress::None,
        }
    }

    /// Two models on a group of two tasks; the second model lacks one of them.
    pub(in crate::report) fn rows() -> Vec<Row> {
        let mut rows = vec![
            row("llama-7b", "zoology", "acc", 0.512345),
            row("llama-7b", "zoology_birds", "acc", 0.5),
            row("llama-7b", "zoology_birds", "acc_norm", 0.525),
            row("llama-7b", "zoology_fish", "acc", 1.0 / 3.0),
            row("alpaca-7b", "zoology", "acc", 0.25),
            row("alpaca-7b", "zoology_birds", "acc", 0.75),
            row("alpaca-7b", "zoology_birds", "acc_norm", 0.7),
        ];
        rows[3].stderr = None;
        rows[3].n = 1;
        rows[3].of = Some(100);
        rows[0].published = Some(0.351);
        rows[0].published_source = Some("a paper, table 9".to_owned());
        rows
    }
}
