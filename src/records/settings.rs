//! `settings.yaml`: what decides a run's numbers, written down before the first of them is computed.
//!
//! Until the run is finished the file is called `run.partial.yaml`. A run goes on, and a finished one is shown in answer to a
//! command, only as what it was begun as: with other options, models, tasks or data its tables would say something else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Options of a command line, by their names in snake case.
pub type RecordedOptions = BTreeMap<String, serde_yaml::Value>;

/// The name of the option that makes a run a shard.
pub const SHARD: &str = "shard";

/// Which shard was asked for, as `3/7`.
pub fn shard_of(options: &RecordedOptions) -> Option<&str> {
    options.get(SHARD).and_then(serde_yaml::Value::as_str)
}

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
    /// What is multiplied, and what that is compared with; runs of earlier versions do not say.
    #[serde(default)]
    pub arithmetic: Option<String>,
    /// The chat templates that write its prompts, each with its digest; runs of earlier versions do not say.
    #[serde(default)]
    pub templates: Option<Vec<String>>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSettings {
    /// The task's name, with the protocol's where there are several.
    pub task: String,
    /// Few-shot examples.
    pub num_fewshot: usize,
    /// Documents to score.
    pub documents: usize,
    /// Digest of the data files.
    pub data_sha256: String,
    /// Of every key of the task as it is asked, after includes and protocol, the beginning of a digest; runs of earlier
    /// versions do not say.
    #[serde(default)]
    pub definition: Option<BTreeMap<String, String>>,
}

impl RunSettings {
    /// What differs from `then`, one line each: name, value then, value now. The processor is left out: numbers of
    /// another one agree within rounding; so is what `then` does not say.
    pub fn differences(&self, then: &Self) -> Vec<String> {
        then_and_now(differing(&self.as_far_as(then).values(), &then.values()))
    }

    /// The same of two runs of one time, of which neither is before the other.
    pub fn compared(&self, other: &Self) -> Vec<Differing> {
        differing(&self.values(), &other.values())
    }

    /// The same without what `then` does not say of a model or a task that it has.
    fn as_far_as(&self, then: &Self) -> Self {
        let mut own = self.clone();
        for (model, then) in own.models.iter_mut().zip(&then.models) {
            model.arithmetic = model.arithmetic.take().filter(|_| then.arithmetic.is_some());
            model.templates = model.templates.take().filter(|_| then.templates.is_some());
        }
        for task in &mut own.tasks {
            let then = then.tasks.iter().find(|then| then.task == task.task);
            task.definition =
                task.definition.take().filter(|_| then.is_none_or(|then| then.definition.is_some()));
        }
        own
    }

    /// Whether every task says how it is asked.
    pub fn defines_tasks(&self) -> bool {
        self.tasks.iter().all(|task| task.definition.is_some())
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
            for (name, value) in [
                ("arithmetic", model.arithmetic.clone()),
                ("chat templates", model.templates.as_ref().map(|all| all.join(", "))),
            ] {
                values.extend(value.map(|value| (format!("model {at}, {name}"), value)));
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
            let keys = task.definition.iter().flatten();
            values.extend(keys.map(|(key, digest)| (format!("task {}, {key}", task.task), digest.clone())));
        }
        values
    }
}

/// What differs between the options of two runs, in the form of [`RunSettings::differences`].
pub fn option_differences(now: &RecordedOptions, then: &RecordedOptions) -> Vec<String> {
    then_and_now(differing(&flags(now), &flags(then)))
}

fn then_and_now(differing: Vec<Differing>) -> Vec<String> {
    let line = |Differing { name, own, other }: Differing| format!("{name}: {other} then, {own} now");
    differing.into_iter().map(line).collect()
}

/// A value that two runs do not share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// Its name, as a person knows it.
    pub name: String,
    /// One of them.
    pub own: String,
    /// The other.
    pub other: String,
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

/// The values that are not the same.
fn differing(own: &BTreeMap<String, String>, others: &BTreeMap<String, String>) -> Vec<Differing> {
    let names = others.keys().chain(own.keys().filter(|name| !others.contains_key(*name)));
    let shown = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
    names
        .filter(|name| others.get(*name) != own.get(*name))
        .map(|name| Differing {
            name: name.clone(),
            own: shown(own.get(name)),
            other: shown(others.get(name)),
        })
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
                arithmetic: Some("exact".to_owned()),
                templates: Some(Vec::new()),
            }],
            tasks: vec![TaskSettings {
                task: "a".to_owned(),
                num_fewshot: 5,
                documents: 9,
                data_sha256: "ef".to_owned(),
                definition: Some(BTreeMap::from([("doc_to_text".to_owned(), "12".to_owned())])),
            }],
        }
    }

    #[test]
    fn settings_come_back_from_their_file() {
        let text = serde_yaml::to_string(&settings()).unwrap();
        assert_eq!(serde_yaml::from_str::<RunSettings>(&text).unwrap(), settings());
        assert!(settings().defines_tasks());
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
            "task a, doc_to_text: 12 then, none now",
            "task a, documents: 9 then, none now",
            "task a, examples: 5 then, none now",
            "task z, data: none then, ef now",
            "task z, doc_to_text: none then, 12 now",
            "task z, documents: none then, 9 now",
            "task z, examples: none then, 5 now",
        ];
        assert_eq!(now.differences(&settings()), expected);
    }

    #[test]
    fn a_key_of_a_task_that_changed_is_named() {
        let mut now = settings();
        let definition = now.tasks[0].definition.as_mut().unwrap();
        definition.insert("doc_to_text".to_owned(), "34".to_owned());
        definition.insert("gen_prefix".to_owned(), "56".to_owned());
        now.models[0].arithmetic = Some("int8 against exact".to_owned());
        let expected = [
            "model 1, arithmetic: exact then, int8 against exact now",
            "task a, doc_to_text: 12 then, 34 now",
            "task a, gen_prefix: none then, 56 now",
        ];
        assert_eq!(now.differences(&settings()), expected);
        // An earlier version said neither.
        let mut then = settings();
        then.tasks[0].definition = None;
        then.models[0].arithmetic = None;
        assert!(now.differences(&then).is_empty() && !then.defines_tasks());
    }
}
