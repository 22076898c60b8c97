//! The task files of lm-evaluation-harness itself: every task without a Python function must be read, and all
//! of its templates must compile.
//!
//! `ZOO_LM_EVAL_TASKS` names the folder `lm_eval/tasks` of an installed harness. Run with `--ignored --nocapture` to
//! see the counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::shared::named;
use zoo::python::jinja::{Program, Template};
use zoo::tasks::pipeline::Pipeline;
use zoo::tasks::schema::{Field, Samples};
use zoo::tasks::{Index, Suite, Task, TaskConfig};

/// Every `.yaml` file of a folder.
fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            found.push(path);
        }
    }
}

/// The templates of a task, with their keys.
fn templates(config: &TaskConfig) -> Vec<(&'static str, String)> {
    let own = &config.fewshot_config;
    let fields = [
        ("doc_to_text", &config.doc_to_text),
        ("doc_to_target", &config.doc_to_target),
        ("doc_to_choice", &config.doc_to_choice),
        ("fewshot_config.doc_to_text", &own.doc_to_text),
        ("fewshot_config.doc_to_target", &own.doc_to_target),
        ("fewshot_config.doc_to_choice", &own.doc_to_choice),
    ];
    let fields = fields.into_iter().filter_map(|(key, field)| match field {
        Some(Field::Template(text)) => Some((key, text.clone())),
        _ => None,
    });
    let texts = [
        ("description", &config.description),
        ("gen_prefix", &config.gen_prefix),
        ("fewshot_config.gen_prefix", &own.gen_prefix),
    ];
    fields.chain(texts.into_iter().filter_map(|(key, text)| Some((key, text.clone()?)))).collect()
}

/// The aggregations that task files call by name; any other name is that of a function beside the file.
const AGGREGATIONS: [&str; 14] = [
    "bits_per_byte",
    "bleu",
    "brier_score",
    "bypass",
    "chrf",
    "chrf++",
    "f1",
    "matthews_corrcoef",
    "mean",
    "median",
    "nanmean",
    "perplexity",
    "ter",
    "weighted_perplexity",
];

/// Whether a task names no Python function.
fn is_pure(task: &Task) -> bool {
    let config = &task.config;
    let own = &config.fewshot_config;
    let function = |field: &Option<Field>| matches!(field, Some(Field::Function(_)));
    let fields = [
        &config.doc_to_text,
        &config.doc_to_target,
        &config.doc_to_choice,
        &config.doc_to_image,
        &config.doc_to_audio,
        &config.process_results,
        &own.doc_to_text,
        &own.doc_to_target,
        &own.doc_to_choice,
    ];
    let mut metrics = config.metric_list.iter().flatten();
    let named =
        |aggregation: &Option<String>| aggregation.as_deref().is_none_or(|name| AGGREGATIONS.contains(&name));
    let steps = config.filter_list.iter().flatten().flat_map(|filter| &filter.steps);
    config.class.is_none()
        && config.process_docs.is_none()
        && config.custom_dataset.is_none()
        && own.process_docs.is_none()
        && !matches!(own.samples, Some(Samples::Function(_)))
        && !fields.into_iter().any(function)
        && metrics.all(|metric| metric.function.is_none() && named(&metric.aggregation))
        && !steps.into_iter().any(|step| step.native.is_some())
}

#[test]
#[ignore = "needs the task files of an installed lm-evaluation-harness, see ZOO_LM_EVAL_TASKS"]
fn every_pure_task_is_read_and_its_templates_compile() {
    let Some(folder) = named("ZOO_LM_EVAL_TASKS") else { return };
    let index = Index::load(std::slice::from_ref(&folder)).unwrap();
    let problems: Vec<String> = index.problems().iter().map(ToString::to_string).collect();
    let mut files = Vec::new();
    yaml_files(&folder, &mut files);
    let (mut tasks, mut pure, mut compiled, mut functions) = (0, 0, 0, 0);
    let mut failures: BTreeMap<String, String> = BTreeMap::new();
    for file in &files {
        // Every task file by itself, also one whose name another file has taken.
        let name = file.to_str().unwrap();
        let suite = match index.resolve(name) {
            Ok(Suite::Task(task)) => task,
            Ok(Suite::Group(_)) => continue,
            Err(error) => {
                let text = fs::read_to_string(file).unwrap_or_default();
                let has = |key: &str| text.lines().any(|line| line.starts_with(key));
                let is_task = (has("task:") || has("\"task\":")) && !has("group:");
                // A function in place of a value that must be plain makes a task unreadable, and not pure.
                if is_task && !text.contains("!function") {
                    failures.insert(name.to_owned(), error.to_string());
                }
                continue;
            }
        };
        tasks += 1;
        if !is_pure(&suite) {
            functions += 1;
            continue;
        }
        pure += 1;
        for (key, text) in templates(&suite.config) {
            match Template::new(&text, Program::LmEval) {
                Ok(_) => compiled += 1,
                Err(error) => {
                    failures.insert(format!("{name}: {key}"), error.to_string());
                }
            }
        }
        if let Err(error) = Pipeline::of(&suite) {
            failures.insert(name.to_owned(), error.to_string());
        }
    }
    eprintln!(
        "{} files: {tasks} tasks read, {pure} of them pure YAML, {functions} with Python functions; {compiled} templates of the \
         pure ones compile; {} failures, {} unreadable files",
        files.len(),
        failures.len(),
        problems.len()
    );
    for (place, failure) in failures.iter().take(40) {
        eprintln!("  {place}: {failure}");
    }
    for problem in problems.iter().take(10) {
        eprintln!("  {problem}");
    }
    assert!(pure >= 4000, "only {pure} pure tasks were found in {}", folder.display());
    assert!(failures.is_empty(), "{} failures", failures.len());
}
