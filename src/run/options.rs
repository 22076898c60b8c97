//! Options of a run, as plain data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::RunError;
use super::judge::Code;
use crate::evaluate::Overlong;
use crate::kernels::Precision;
use crate::model::Residence;
use crate::records;
use crate::tasks::{DEFAULT_FEWSHOT_SEED, Limit, PrepareOptions, Shard};

/// Everything that a run is told. What is serialised stands in its description, and a run goes on only as what it was begun
/// as: whatever changes the questions that a model is asked belongs there. The model, its numbers and the data are
/// recorded by digest instead.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Suites, groups or single tasks.
    pub suite: Vec<String>,
    /// Examples before each question; `None` for what the task file says.
    pub num_fewshot: Option<usize>,
    /// Documents of each task.
    pub limit: Option<Limit>,
    /// The part of these documents that the run is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// By whose rules; several stand side by side.
    pub protocol: Vec<String>,
    /// Metrics of multiple-choice tasks beside those of the task files.
    pub metrics: Vec<String>,
    /// Chat templates, by the names that `--apply-chat-template` takes.
    pub apply_chat_template: Vec<String>,
    /// Whether examples are turns; `None` where the template has turns.
    pub fewshot_as_multiturn: Option<bool>,
    /// Text before every prompt.
    pub system_instruction: Option<String>,
    /// Seed of the few-shot sampler.
    pub fewshot_seed: u32,
    /// What happens to documents that do not fit.
    pub overlong: Overlong,
    /// How answers are written, over what the task files say under `generation_kwargs`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub gen_kwargs: Map<String, Value>,
    /// Whether each task is asked with its options in every order that moving them on makes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rotate_options: bool,
    /// Whether written answers are cut and filtered alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub predict_only: bool,
    /// Models, by whatever names the caller can find.
    #[serde(skip)]
    pub models: Vec<String>,
    /// Where things are read and written.
    #[serde(skip)]
    pub places: Places,
    /// How numbers are computed.
    #[serde(skip)]
    pub computing: Computing,
    /// How served models are asked.
    #[serde(skip)]
    pub serving: Serving,
    /// Whether generated programs may be run. Nothing but a command line allows it: no run that is repeated does.
    #[serde(skip)]
    pub code: Code,
    /// What else is recorded for a repetition: flags by name, with their values as they are typed.
    #[serde(skip)]
    pub flags: records::RecordedOptions,
    /// The run that this one repeats.
    #[serde(skip)]
    pub repeats: Option<Repeated>,
}

impl Default for Options {
    /// Nothing is asked; what is left out of a command line is as it is there.
    fn default() -> Self {
        Self {
            suite: Vec::new(),
            num_fewshot: None,
            limit: None,
            shard: None,
            protocol: Vec::new(),
            metrics: Vec::new(),
            apply_chat_template: Vec::new(),
            fewshot_as_multiturn: None,
            system_instruction: None,
            fewshot_seed: DEFAULT_FEWSHOT_SEED,
            overlong: Overlong::default(),
            gen_kwargs: Map::new(),
            rotate_options: false,
            predict_only: false,
            models: Vec::new(),
            places: Places::default(),
            computing: Computing::default(),
            serving: Serving::default(),
            flags: records::RecordedOptions::default(),
            repeats: None,
            code: Code::default(),
        }
    }
}

/// A finished run that another one repeats.
#[derive(Debug, Clone)]
pub struct Repeated {
    /// Its description.
    pub record: records::RunRecord,
    /// What its numbers depended on; `None` where its folder does not say.
    pub settings: Option<records::RunSettings>,
}

/// Where things are read and written.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The run's folder; `None` for one named after model, suite and time.
    pub out: Option<PathBuf>,
    /// Whether the run in this folder is gone on with.
    pub resume: bool,
    /// Runs whose scores are taken over.
    pub reuse: Vec<PathBuf>,
    /// Data sets in the hub's layout; `None` for the cache.
    pub data_dir: Option<PathBuf>,
    /// Folders with task files of the user's own.
    pub include_path: Vec<PathBuf>,
    /// The user's own model cards and prompt templates.
    pub own_cards: Option<PathBuf>,
    /// Whether tasks whose data cannot be had are left out.
    pub skip_missing_data: bool,
    /// Whether documents, prompts and answers are written in the reference harness's form too.
    pub log_samples: bool,
    /// Whether prompts, choices and right answers are left out of the run's folder, as licences of some data sets ask.
    pub no_texts: bool,
}

/// How numbers are computed.
#[derive(Debug, Clone, Default)]
pub struct Computing {
    /// Whether weights that look like a difference are scored.
    pub allow_difference: bool,
    /// Positions; `None` for the model's.
    pub max_length: Option<usize>,
    /// Bytes that may be used; `None` for what is free.
    pub memory: Option<u64>,
    /// Distinct tokens of one forward pass; `None` by the model's size and the memory.
    pub batch_tokens: Option<usize>,
    /// What is multiplied.
    pub precision: Precision,
    /// What it is compared with.
    pub against: Option<Precision>,
    /// Where layers are between two forward passes; `None` for memory if they fit.
    pub layers: Option<Residence>,
    /// The matrix products' implementation.
    pub matmul: Option<String>,
}

/// How served models are asked, as plain data.
#[derive(Debug, Clone, Default)]
pub struct Serving {
    /// Whose tokenizer makes their tokens: a model of the registry, or a folder.
    pub tokenizer: Option<String>,
    /// Requests at a time; `None` for as many as bring more.
    pub concurrency: Option<usize>,
    /// The form of their weights, as the user declares it.
    pub dtype: Option<String>,
    /// Certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

impl Computing {
    /// What is multiplied, and what that is compared with.
    pub fn arithmetic(&self) -> String {
        let against = self.against.map_or_else(String::new, |against| format!(" against {against}"));
        format!("{}{against}", self.precision)
    }
}

impl Options {
    /// As a run's description has them.
    pub fn recorded(&self) -> Result<records::RecordedOptions, RunError> {
        Ok(serde_yaml::from_value(serde_yaml::to_value(self)?)?)
    }

    /// Those that a run's description has.
    ///
    /// # Errors
    /// Options that this version does not know.
    pub fn from_record(options: &records::RecordedOptions) -> Result<Self, RunError> {
        Ok(serde_yaml::from_value(serde_yaml::to_value(options)?)?)
    }

    /// How documents and prompts are made, before protocols and chat templates.
    pub fn prepare_options(&self) -> PrepareOptions {
        PrepareOptions {
            num_fewshot: self.num_fewshot,
            limit: self.limit,
            shard: self.shard,
            fewshot_seed: self.fewshot_seed,
            system_instruction: self.system_instruction.clone(),
            ..PrepareOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_drawn_from_one_seed_where_nobody_says_one() {
        let own = Options::default();
        assert_eq!(own.fewshot_seed, PrepareOptions::default().fewshot_seed);
        assert_eq!(own.prepare_options(), PrepareOptions::default());
        // Descriptions of runs before that key were of the same seed.
        let recorded = records::RecordedOptions::default();
        assert_eq!(Options::from_record(&recorded).unwrap().fewshot_seed, DEFAULT_FEWSHOT_SEED);
    }

    #[test]
    fn what_decides_the_questions_is_recorded_and_comes_back() {
        let limit = Some(Limit::Fraction(0.5));
        let suite = vec!["mmlu".to_owned()];
        let models = vec!["m".to_owned()];
        let options = Options { suite, models, limit, overlong: Overlong::DropShots, ..Options::default() };
        let mut recorded = options.recorded().unwrap();
        let names: Vec<&str> = recorded.keys().map(String::as_str).collect();
        let expected = [
            "apply_chat_template",
            "fewshot_as_multiturn",
            "fewshot_seed",
            "limit",
            "metrics",
            "num_fewshot",
            "overlong",
            "protocol",
            "suite",
            "system_instruction",
        ];
        assert_eq!(names, expected);
        assert_eq!(recorded["overlong"].as_str(), Some("drop-shots"));
        let again = Options::from_record(&recorded).unwrap();
        assert_eq!((again.limit, again.overlong, again.suite), (limit, Overlong::DropShots, options.suite));
        assert!(again.models.is_empty());
        recorded.insert("temperature".to_owned(), 1.into());
        assert!(Options::from_record(&recorded).unwrap_err().to_string().contains("temperature"));
    }
}
