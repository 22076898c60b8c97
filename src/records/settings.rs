//! `run.partial.yaml`: what decides a run's numbers, written down before the first of them is computed.
//!
//! While the file is there, the run is not finished. A run goes on only as what it was begun as: with other
//! options its tables would mix two experiments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Options of a command line, by their names in snake case.
pub type RecordedOptions = BTreeMap<String, serde_yaml::Value>;

/// Everything that a run's numbers depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// Version of zoo.
    pub zoo: String,
    /// Processor; OpenBLAS picks its kernels by it.
    pub cpu: String,
    /// What was asked for.
    pub options: RecordedOptions,
    /// The models, in order.
    pub models: Vec<ModelSettings>,
    /// The tasks, in order.
    pub tasks: Vec<TaskSettings>,
}

/// One model, and how it is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Its name in the tables.
    pub name: String,
    /// Digest of the weights' files.
    pub weights_sha256: String,
    /// Digest of the configuration.
    pub config_sha256: String,
    /// Digest of the tokenizer.
    pub tokenizer_sha256: String,
    /// Positions used.
    pub max_length: usize,
    /// The matrix products' implementation, with what its last bits depend on.
    pub matmul: String,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSettings {
    /// The task's name, as in `results.csv`.
    pub task: String,
    /// Few-shot examples.
    pub num_fewshot: usize,
    /// Documents to score.
    pub documents: usize,
    /// Digest of the data files.
    pub data_sha256: String,
}

impl RunSettings {
    /// What differs from `then`, one line each: name, value then, value now. The processor is left out: numbers of
    /// another one agree within rounding.
    pub fn differences(&self, then: &Self) -> Vec<String> {
        differing(&self.values(), &then.values())
    }

    /// Every value under a name that a person recognises.
    fn values(&self) -> BTreeMap<String, String> {
        let mut values = BTreeMap::from([("version of zoo".to_owned(), self.zoo.clone())]);
        values.extend(flags(&self.options));
        for (at, model) in (1..).zip(&self.models) {
            for (name, value) in [
                ("name", model.name.clone()),
                ("weights", model.weights_sha256.clone()),
                ("configuration", model.config_sha256.clone()),
                ("tokenizer", model.tokenizer_sha256.clone()),
                ("positions", model.max_length.to_string()),
                ("matmul", model.matmul.clone()),
            ] {
                values.insert(format!("model {at}, {name}"), value);
            }
        }
        for task in &self.tasks {
            for (name, value) in [
                ("examples", task.num_fewshot.to_string()),
                ("documents", task.documents.to_string()),
                ("data", task.data_sha256.clone()),
            ] {
                values.insert(format!("task {}, {name}", task.task), value);
            }
        }
        values
    }
}

/// What differs between the options of two runs, in the form of [`RunSettings::differences`].
pub fn option_differences(now: &RecordedOptions, then: &RecordedOptions) -> Vec<String> {
    differing(&flags(now), &flags(then))
}

/// Options by their names on the command line, with their values as a person writes them.
fn flags(options: &RecordedOptions) -> BTreeMap<String, String> {
    let flag = |(name, value): (&String, &serde_yaml::Value)| {
        let text = serde_yaml::to_string(value).expect("a value that was read can be written");
        let text = if value.is_null() { "none".to_owned() } else { text.trim_end().replace("\n- ", ", ") };
        (format!("--{}", name.replace('_', "-")), text.trim_start_matches("- ").to_owned())
    };
    options.iter().map(flag).collect()
}

/// The values that are not the same, one line each.
fn differing(now: &BTreeMap<String, String>, then: &BTreeMap<String, String>) -> Vec<String> {
    let names = then.keys().chain(now.keys().filter(|name| !then.contains_key(*name)));
    let shown = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
    names
        .filter(|name| then.get(*name) != now.get(*name))
        .map(|name| format!("{name}: {} then, {} now", shown(then.get(name)), shown(now.get(name))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> RunSettings {
        let options: RecordedOptions =
            serde_yaml::from_str("{suite: [a, b], num_fewshot: 5, limit: null}").unwrap();
        RunSettings {
            zoo: "1".to_owned(),
            cpu: "one".to_owned(),
            options,
            models: vec![ModelSettings {
                name: "tiny".to_owned(),
                weights_sha256: "ab".to_owned(),
                config_sha256: "c".to_owned(),
                tokenizer_sha256: "cd".to_owned(),
                max_length: 512,
                matmul: "portable".to_owned(),
            }],
            tasks: vec![TaskSettings {
                task: "a".to_owned(),
                num_fewshot: 5,
                documents: 9,
                data_sha256: "ef".to_owned(),
            }],
        }
    }

    #[test]
    fn settings_come_back_from_their_file() {
        let text = serde_yaml::to_string(&settings()).unwrap();
        assert_eq!(serde_yaml::from_str::<RunSettings>(&text).unwrap(), settings());
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let mut now = settings();
        assert!(now.differences(&RunSettings { cpu: "two".to_owned(), ..settings() }).is_empty());
        now.options.insert("num_fewshot".to_owned(), 0.into());
        now.options.insert("suite".to_owned(), serde_yaml::from_str("[a]").unwrap());
        now.options.insert("limit".to_owned(), 7.into());
        now.models[0].weights_sha256 = "ba".to_owned();
        now.tasks[0].task = "z".to_owned();
        let expected = [
            "--limit: none then, 7 now",
            "--num-fewshot: 5 then, 0 now",
            "--suite: a, b then, a now",
            "model 1, weights: ab then, ba now",
            "task a, data: ef then, none now",
            "task a, documents: 9 then, none now",
            "task a, examples: 5 then, none now",
            "task z, data: none then, ef now",
            "task z, documents: none then, 9 now",
            "task z, examples: none then, 5 now",
        ];
        assert_eq!(now.differences(&settings()), expected);
    }
}
