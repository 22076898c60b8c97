//! Protocols: by whose rules a task is asked and scored, as data.
//!
//! One benchmark has many numbers, because programs differ in the prompt, in the special tokens before it, in the tokens
//! that count and in what their log-likelihood is divided by. A protocol is a file of `evals/protocols/` that
//! says how it differs from the task files and from lm-evaluation-harness 0.4.13; description and source stand in
//! it. What cannot be said so is no protocol of this program.

mod load;

use serde::Deserialize;

use super::schema::{Field, MetricConfig, OutputType};
use super::suite::Task;

pub use load::{ProtocolError, find_protocol, protocols};

/// The protocol of a run that names none.
pub const DEFAULT_PROTOCOL: &str = "lm-eval-0.4.13";

/// How numbers come about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// The name by which it is asked for and printed.
    #[serde(rename = "protocol")]
    pub name: String,
    /// What it is, in a paragraph.
    pub description: String,
    /// Where its rules were read.
    pub source: String,
    /// Which special tokens stand before a prompt; the key in files is `marks`.
    #[serde(default, rename = "marks")]
    pub add_special_tokens: AddSpecialTokens,
    /// Which tokens count.
    #[serde(default)]
    pub scored: ScoredTokens,
    /// The metrics of multiple-choice tasks, instead of the task file's; empty: those of the task file.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// Whether it is for the data sets of `tasks` alone.
    #[serde(default)]
    pub only_listed: bool,
    /// Data sets that it has no rule for.
    #[serde(default)]
    pub except: Vec<String>,
    /// What it changes in task files.
    #[serde(default)]
    pub tasks: Vec<TaskChange>,
    /// Digest of the file; `None` for those that are built in.
    #[serde(skip)]
    pub file_sha256: Option<String>,
}

/// The part of a protocol that decides the tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Which special tokens stand before a prompt.
    pub add_special_tokens: AddSpecialTokens,
    /// Which tokens count.
    pub scored: ScoredTokens,
}

/// Which special tokens stand before a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddSpecialTokens {
    /// Those that the tokenizer adds by itself: for LLaMA, BOS.
    #[default]
    Tokenizer,
    /// No token but those of the prompt itself.
    None,
}

/// Which tokens of prompt and choice count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoredTokens {
    /// Those after the prompt.
    #[default]
    Continuation,
    /// Those after the prompt, of which there must be one.
    OneToken,
    /// Those after the longest beginning that all choices share, prompt included.
    AfterCommonPrefix,
    /// All but the first.
    Whole,
}

/// What a protocol changes in the task files of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskChange {
    /// The `dataset_path` of the task files.
    pub dataset: String,
    /// The number of examples if none is asked for.
    #[serde(default)]
    pub num_fewshot: Option<usize>,
    /// Replaces the task's `description`.
    #[serde(default)]
    pub description: Option<String>,
    /// Replaces the task's `doc_to_text`, in examples too.
    #[serde(default)]
    pub doc_to_text: Option<String>,
}

impl Protocol {
    /// What decides the tokens.
    pub fn rules(&self) -> Rules {
        Rules { add_special_tokens: self.add_special_tokens, scored: self.scored }
    }

    /// The task under this protocol, with `more` metrics beside those that it has, unless the protocol scores other
    /// tokens than those of the choice.
    ///
    /// Metrics are those of multiple choice, so tasks of other types and those whose answers a function grades keep
    /// their own; a protocol that ranks choices by another rule does not apply to them.
    ///
    /// # Errors
    /// Why the protocol does not apply, in words.
    pub fn apply(&self, task: &Task, more: &[String]) -> Result<Task, String> {
        let data = task.config.dataset_path.as_deref();
        let change = self.tasks.iter().find(|change| Some(change.dataset.as_str()) == data);
        if self.only_listed && change.is_none() {
            let listed: Vec<&str> = self.tasks.iter().map(|change| change.dataset.as_str()).collect();
            return Err(format!("it is for {} alone", listed.join(", ")));
        }
        if let Some(data) = self.except.iter().find(|left_out| Some(left_out.as_str()) == data) {
            return Err(format!("it has no rule for {data}"));
        }
        let mut task = task.clone();
        let config = &mut task.config;
        let ranks = config.output_type == OutputType::MultipleChoice && config.process_results.is_none();
        if !ranks && self.scored != ScoredTokens::Continuation {
            return Err(
                "it ranks choices, and the task has none or grades them by a function of its own".into()
            );
        }
        if let Some(change) = change {
            if let Some(description) = &change.description {
                config.description = Some(description.clone());
            }
            if let Some(text) = &change.doc_to_text {
                config.doc_to_text = Some(Field::Template(text.clone()));
                config.fewshot_config.doc_to_text = None;
            }
            config.num_fewshot = config.num_fewshot.or(change.num_fewshot);
        }
        // A task without right answers has nothing to measure, by whatever rules.
        if ranks && !config.measures_nothing() {
            if !self.metrics.is_empty() {
                config.metric_list =
                    Some(self.metrics.iter().map(|name| MetricConfig::named(name)).collect());
            }
            // Lengths of choices divide nothing but the log-likelihood of the choice by itself.
            let by_itself = matches!(self.scored, ScoredTokens::Continuation | ScoredTokens::OneToken);
            for name in more.iter().filter(|_| by_itself) {
                let known = config.metrics();
                let mut list = config.metric_list.take().unwrap_or_else(|| {
                    known.iter().map(|metric| MetricConfig::named(&metric.name)).collect()
                });
                if known.iter().all(|metric| metric.name != *name) {
                    list.push(MetricConfig::named(name));
                }
                config.metric_list = Some(list);
            }
        }
        Ok(task)
    }

    /// What it changes, in a few words each.
    pub fn changes(&self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.add_special_tokens == AddSpecialTokens::None {
            changes.push("no special tokens (BOS) before prompts".to_owned());
        }
        match self.scored {
            ScoredTokens::Continuation => {}
            ScoredTokens::OneToken => changes.push("choices are single tokens".to_owned()),
            ScoredTokens::AfterCommonPrefix => {
                changes.push("scores the tokens after what all choices share".to_owned())
            }
            ScoredTokens::Whole => changes.push("scores prompt and choice as one text".to_owned()),
        }
        if !self.metrics.is_empty() {
            changes.push(format!("metrics {}", self.metrics.join(", ")));
        }
        for change in &self.tasks {
            let shots = change.num_fewshot.map(|n| format!(", {n} examples")).unwrap_or_default();
            let only = if self.only_listed { "only " } else { "" };
            changes.push(format!("{only}{}: own prompt{shots}", change.dataset));
        }
        if !self.except.is_empty() {
            changes.push(format!("not for {}", self.except.join(", ")));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Index, Suite};

    fn task(name: &str) -> Task {
        let Ok(Suite::Task(task)) = Index::load(&[]).unwrap().resolve(name) else { panic!("{name}") };
        (*task).clone()
    }

    fn names(task: &Task) -> Vec<String> {
        task.config.metrics().into_iter().map(|metric| metric.name).collect()
    }

    #[test]
    fn the_default_changes_nothing() {
        let protocol = find_protocol(DEFAULT_PROTOCOL).unwrap();
        for name in ["mmlu_anatomy", "lambada_openai", "truthfulqa_mc2", "gsm8k"] {
            assert_eq!(protocol.apply(&task(name), &[]).unwrap(), task(name));
        }
        assert_eq!(protocol.changes(), Vec::<String>::new());
    }

    #[test]
    fn metrics_are_added_once_and_only_where_choices_are_ranked() {
        let protocol = find_protocol(DEFAULT_PROTOCOL).unwrap();
        let more = ["acc_norm", "acc_token"].map(str::to_owned);
        let applied = |name: &str| names(&protocol.apply(&task(name), &more).unwrap());
        assert_eq!(applied("mmlu_anatomy"), ["acc", "acc_norm", "acc_token"]);
        assert_eq!(applied("hellaswag"), ["acc", "acc_norm", "acc_token"]);
        assert_eq!(applied("lambada_openai"), names(&task("lambada_openai")));
        assert_eq!(applied("truthfulqa_mc2"), names(&task("truthfulqa_mc2")));
        let whole = find_protocol("opencompass-ppl").unwrap().apply(&task("hellaswag"), &more).unwrap();
        assert_eq!(names(&whole), ["acc_ppl"]);
    }

    #[test]
    fn protocols_say_where_they_do_not_apply() {
        let apply = |protocol: &str, name: &str| find_protocol(protocol).unwrap().apply(&task(name), &[]);
        assert!(apply("original-mmlu", "hellaswag").unwrap_err().contains("for cais/mmlu alone"));
        assert!(apply("llama.cpp", "winogrande").unwrap_err().contains("no rule for allenai/winogrande"));
        assert!(apply("llama.cpp", "truthfulqa_mc2").unwrap_err().contains("function of its own"));
        assert!(apply("opencompass-ppl", "lambada_openai").unwrap_err().contains("ranks choices"));
        let mmlu = apply("original-mmlu", "mmlu_anatomy").unwrap();
        assert_eq!((mmlu.config.num_fewshot, names(&mmlu)), (Some(5), vec!["acc".to_owned()]));
        assert_eq!(names(&apply("llama.cpp", "hellaswag").unwrap()), ["acc_token"]);
        assert!(apply("lm-eval-0.4.9", "wikitext").is_ok());
    }
}
