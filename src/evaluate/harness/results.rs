//! `results.json`: a run of one model in the shape of the reference harness's results file.
//!
//! Keys, their order and the form of values are those of lm-evaluation-harness 0.4.13, so that what reads its
//! files reads ours. What has no meaning here (a git commit, library versions) is null.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::config::task_config;
use crate::base::digest::sha256;
use crate::evaluate::{TaskResult, group_values};
use crate::metrics::{Aggregate, Aggregation, BOOTSTRAP_ITERATIONS};
use crate::python::print::{dumps, float};
use crate::records::{ModelRecord, RunRecord};
use crate::tasks::{Group, Suite};

/// Padding, end and beginning of a sequence: text and id of each, where there is one.
pub type NamedSpecialTokens = [Option<(String, u32)>; 3];

/// What a results file says beside the numbers.
#[derive(Debug)]
pub struct RunFacts<'a> {
    /// The run as `run.yaml` records it.
    pub run: &'a RunRecord,
    /// The model, as it was asked.
    pub model: &'a ModelRecord,
    /// Of its tokenizer.
    pub special_tokens: &'a NamedSpecialTokens,
    /// Documents of each task, as asked for: a number, or a part below 1.
    pub limit: Option<f64>,
    /// When the run began, in seconds since 1970.
    pub date: f64,
    /// By task, the digest over its samples; empty where none are logged.
    pub task_hashes: Map<String, Value>,
}

/// The whole file. `tasks` holds the results of every task of `suites` that was run.
pub fn results(suites: &[Suite], tasks: &[TaskResult], facts: &RunFacts<'_>) -> Value {
    let mut book = Book::default();
    for task in tasks {
        book.task(task);
    }
    for suite in suites {
        book.groups(suite, tasks);
    }
    let sorted = |map: Map<String, Value>| {
        let mut pairs: Vec<(String, Value)> = map.into_iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        Value::Object(pairs.into_iter().collect())
    };
    let mut file = Map::new();
    file.insert("results".into(), Value::Object(book.results));
    if !book.groups.is_empty() {
        file.insert("groups".into(), Value::Object(book.groups));
    }
    file.insert("group_subtasks".into(), Value::Object(book.subtasks));
    file.insert("configs".into(), sorted(book.configs));
    file.insert("versions".into(), sorted(book.versions));
    file.insert("n-shot".into(), sorted(book.shots));
    file.insert("higher_is_better".into(), sorted(book.higher));
    file.insert("n-samples".into(), Value::Object(book.samples));
    if let Value::Object(rest) = provenance(facts) {
        file.extend(rest);
    }
    // The harness has no such key, and what makes tables of its files passes it by.
    let missing = facts.run.missing_data.iter();
    let missing: Map<String, Value> = missing.map(|own| (own.task.clone(), own.why.clone().into())).collect();
    if !missing.is_empty() {
        file.insert("missing_data".into(), missing.into());
    }
    let extraction: Map<String, Value> = tasks.iter().filter_map(extraction).collect();
    if !extraction.is_empty() {
        file.insert("extraction".into(), extraction.into());
    }
    Value::Object(file)
}

/// By filter, in which part of the answers to a task something was found; the harness does not say it.
fn extraction(result: &TaskResult) -> Option<(String, Value)> {
    let filters = result.extracted.iter().map(|own| (own.filter.clone(), own.value.value.into()));
    let filters: Map<String, Value> = filters.collect();
    (!filters.is_empty()).then(|| (result.name().to_owned(), filters.into()))
}

fn provenance(facts: &RunFacts<'_>) -> Value {
    let RunFacts { run, model, special_tokens: [pad, end, begin], .. } = facts;
    let special = |token: &Option<(String, u32)>| match token {
        Some((text, id)) => json!([text, id.to_string()]),
        None => json!([null, "None"]),
    };
    json!({
        "config": {
            "model": "zoo",
            "model_args": {"pretrained": model.path, "dtype": "float32"},
            "model_num_parameters": model.parameters,
            "model_dtype": "torch.float32",
            "model_revision": null,
            "model_sha": model.weights_sha256,
            "batch_size": null,
            "batch_sizes": [],
            "device": "cpu",
            "use_cache": null,
            "limit": facts.limit,
            "bootstrap_iters": BOOTSTRAP_ITERATIONS,
            "gen_kwargs": {},
            "random_seed": 0,
            "numpy_seed": 1234,
            "torch_seed": 1234,
            "fewshot_seed": run.fewshot_seed,
        },
        "git_hash": null,
        "date": facts.date,
        "pretty_env_info": format!("{}, {} threads", run.cpu, run.threads),
        "transformers_version": null,
        "lm_eval_version": format!("zoo {}, protocol {}", run.zoo, model.protocol),
        "upper_git_hash": null,
        "tokenizer_pad_token": special(pad),
        "tokenizer_eos_token": special(end),
        "tokenizer_bos_token": special(begin),
        "eot_token_id": end.as_ref().map(|(_, id)| id),
        "max_length": model.max_length,
        "task_hashes": facts.task_hashes,
        "model_source": "zoo",
        "model_name": model.name,
        "model_name_sanitized": sanitized(&model.name),
        "system_instruction": run.system_instruction,
        "system_instruction_sha": run.system_instruction.as_deref().map(sha256),
        "fewshot_as_multiturn": null,
        "chat_template": null,
        "chat_template_sha": null,
        "total_evaluation_time_seconds": float(run.seconds),
    })
}

/// A model's name as the harness makes a folder's name of it: runs of `"<>:/|\?*[]` become two underscores.
pub fn sanitized(name: &str) -> String {
    static FORBIDDEN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"["<>:/|\\?*\[\]]+"#).expect("the pattern is right"));
    FORBIDDEN.replace_all(name, "__").into_owned()
}

/// The parts of the file that are by task and group.
#[derive(Default)]
struct Book {
    results: Map<String, Value>,
    groups: Map<String, Value>,
    subtasks: Map<String, Value>,
    configs: Map<String, Value>,
    versions: Map<String, Value>,
    shots: Map<String, Value>,
    higher: Map<String, Value>,
    samples: Map<String, Value>,
}

impl Book {
    fn task(&mut self, result: &TaskResult) {
        let task = &result.asked.task;
        let name = task.name.clone();
        let mut entry = Map::new();
        entry.insert("name".into(), name.clone().into());
        entry.insert("alias".into(), task.alias.clone().into());
        entry.insert("sample_len".into(), result.samples.len().into());
        for metric in super::metrics(result) {
            let stderr = metric.value.stderr.filter(|_| metric.aggregation.has_error_in_the_reference());
            insert(&mut entry, &metric.metric, &metric.filter, Aggregate { stderr, ..metric.value });
        }
        self.results.insert(name.clone(), entry.into());
        self.configs.insert(name.clone(), task_config(task, result.asked.num_fewshot));
        // As a number, as Python reads it from YAML; the harness says `Yaml` where a file has none.
        let version = task.config.version().cloned().unwrap_or_else(|| "Yaml".into());
        self.versions.insert(name.clone(), version);
        self.shots.insert(name.clone(), result.asked.num_fewshot.into());
        let specs = task.config.metrics();
        let higher = specs.iter().map(|spec| (spec.name.clone(), spec.higher_is_better.into()));
        let mut higher: Map<String, Value> = higher.collect();
        // A function that gives several metrics lends them its direction.
        if let [spec] = &specs[..] {
            let given = result.metrics.iter().map(|own| (own.metric.clone(), spec.higher_is_better.into()));
            higher.extend(given);
        }
        self.higher.insert(name.clone(), Value::Object(higher));
        let counts = json!({"original": result.asked.total_docs, "effective": result.samples.len()});
        self.samples.insert(name, counts);
    }

    /// The groups of a suite, those below before those above.
    fn groups(&mut self, suite: &Suite, tasks: &[TaskResult]) {
        let Suite::Group(group) = suite else { return };
        for child in &group.children {
            self.groups(child, tasks);
        }
        // A tag stands for its tasks and is nothing of its own.
        if group.file.is_some() && !self.subtasks.contains_key(&group.name) {
            self.group(suite, group, tasks);
        }
    }

    fn group(&mut self, suite: &Suite, group: &Group, tasks: &[TaskResult]) {
        let mut names = Vec::new();
        for child in &group.children {
            child_names(child, &mut names);
        }
        let known = |name: &&String| self.results.contains_key(*name) || self.subtasks.contains_key(*name);
        let names: Vec<String> = names.iter().filter(known).cloned().collect();
        if names.is_empty() {
            return;
        }
        let mut entry = Map::new();
        entry.insert("alias".into(), group.alias.clone().into());
        entry.insert("name".into(), group.name.clone().into());
        if let Some((members, values)) = group_values(suite, &group.aggregates, tasks) {
            if !values.is_empty() {
                let documents: usize = members.iter().map(|member| member.samples.len()).sum();
                entry.insert("sample_len".into(), documents.into());
            }
            let mut counts = Map::new();
            for (metric, filter, value) in &values {
                let own =
                    members.iter().flat_map(|member| &member.metrics).filter(|own| own.metric == *metric);
                let has_error = own.map(|own| own.aggregation).all(Aggregation::has_error_in_the_reference);
                let value = Aggregate { stderr: value.stderr.filter(|_| has_error), ..*value };
                insert(&mut entry, metric, filter, value);
                counts.insert(format!("{metric},{filter}"), value.n.into());
            }
            if !counts.is_empty() {
                entry.insert("sample_count".into(), Value::Object(counts));
                self.groups.insert(group.name.clone(), Value::Object(entry.clone()));
            }
        }
        self.results.insert(group.name.clone(), Value::Object(entry));
        // Of a group the harness keeps the version as text.
        let version = match &group.version {
            None => "N/A".to_owned(),
            Some(Value::String(version)) => version.clone(),
            Some(version) => dumps(version, None),
        };
        self.versions.insert(group.name.clone(), version.into());
        let mut shots = names.iter().filter_map(|name| self.shots.get(name));
        if let Some(first) = shots.next().cloned()
            && shots.all(|other| *other == first)
        {
            self.shots.insert(group.name.clone(), first);
        }
        let mut higher = Map::new();
        for (metric, better) in names.iter().filter_map(|n| self.higher.get(n)?.as_object()).flatten() {
            let agreed = higher.entry(metric).or_insert_with(|| better.clone());
            if agreed != better {
                *agreed = Value::Null;
            }
        }
        if !higher.is_empty() {
            self.higher.insert(group.name.clone(), Value::Object(higher));
        }
        self.subtasks.insert(group.name.clone(), names.into());
    }
}

/// The names of what stands in a group; a tag stands for its tasks.
fn child_names(child: &Suite, names: &mut Vec<String>) {
    match child {
        Suite::Group(tag) if tag.file.is_none() => {
            tag.children.iter().for_each(|below| child_names(below, names));
        }
        other => names.push(other.name().to_owned()),
    }
}

fn insert(entry: &mut Map<String, Value>, metric: &str, filter: &str, value: Aggregate) {
    entry.insert(format!("{metric},{filter}"), value.value.into());
    let stderr = value.stderr.map_or_else(|| "N/A".into(), Value::from);
    entry.insert(format!("{metric}_stderr,{filter}"), stderr);
}

#[cfg(test)]
mod tests {
    use super::sanitized;

    #[test]
    fn names_of_folders() {
        // Python: lm_eval.utils.sanitize_model_name
        assert_eq!(sanitized("/models/a::b"), "__models__a__b");
        assert_eq!(sanitized("llama-7b"), "llama-7b");
    }
}
