//! A task's configuration as the reference harness logs it: every key that is set, in its order.
//!
//! The harness logs the source text of Python functions; here stands their name as the task file has it. Tags are
//! not logged there.

use serde_json::{Map, Value, json};

use crate::tasks::Task;
use crate::tasks::schema::{Field, FilterConfig, FunctionRef, MetricConfig, Samples, TaskConfig};

/// The configuration of a task that was run with `num_fewshot` examples.
pub fn task_config(task: &Task, num_fewshot: usize) -> Value {
    let config = &task.config;
    let kwargs = &config.dataset_kwargs;
    let kwargs = (!kwargs.is_empty()).then(|| Value::Object(kwargs.clone()));
    let mut metadata = config.metadata.clone();
    metadata.insert("config_source".into(), task.file.display().into());
    let entries: Vec<(&str, Option<Value>)> = vec![
        ("task", Some(task.name.clone().into())),
        ("task_alias", text(&config.task_alias)),
        ("dataset_path", text(&config.dataset_path)),
        ("dataset_name", text(&config.dataset_name)),
        ("dataset_kwargs", kwargs),
        ("training_split", text(&config.training_split)),
        ("validation_split", text(&config.validation_split)),
        ("test_split", text(&config.test_split)),
        ("fewshot_split", text(&config.fewshot_split)),
        ("process_docs", config.process_docs.as_ref().map(function)),
        ("doc_to_text", field(&config.doc_to_text)),
        ("doc_to_target", field(&config.doc_to_target)),
        ("unsafe_code", Some(config.unsafe_code.into())),
        ("doc_to_choice", field(&config.doc_to_choice)),
        ("process_results", field(&config.process_results)),
        ("description", Some(config.description.clone().unwrap_or_default().into())),
        ("target_delimiter", Some(config.target_delimiter.clone().into())),
        ("fewshot_delimiter", Some(config.fewshot_delimiter.clone().into())),
        ("fewshot_config", Some(fewshot(config))),
        ("num_fewshot", Some(num_fewshot.into())),
        ("metric_list", config.metric_list.as_ref().map(|list| list.iter().map(metric).collect())),
        ("output_type", Some(config.output_type.name().into())),
        ("generation_kwargs", config.generation_kwargs.clone().map(Value::Object)),
        ("repeats", Some(config.repeats.into())),
        ("filter_list", config.filter_list.as_ref().map(|list| list.iter().map(filter).collect())),
        ("should_decontaminate", Some(config.should_decontaminate.into())),
        ("doc_to_decontamination_query", field(&config.doc_to_decontamination_query)),
        ("gen_prefix", text(&config.gen_prefix)),
        ("metadata", Some(Value::Object(metadata))),
    ];
    let set = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(set.collect())
}

/// How the examples are written, with what they inherit from the task.
fn fewshot(config: &TaskConfig) -> Value {
    let own = &config.fewshot_config;
    let process = own.process_docs.as_ref().unwrap_or(&config.process_docs);
    let samples = own.samples.as_ref().map(|samples| match samples {
        Samples::Listed(documents) => documents.iter().cloned().map(Value::Object).collect(),
        Samples::Function(named) => function(named),
    });
    let inherited = |own: &Option<Field>, task: &Option<Field>| field(own).or_else(|| field(task));
    json!({
        "sampler": own.sampler.as_deref().unwrap_or("default"),
        "split": config.configured_fewshot_split(),
        "process_docs": process.as_ref().map(function),
        "fewshot_indices": own.fewshot_indices,
        "samples": samples,
        "doc_to_text": inherited(&own.doc_to_text, &config.doc_to_text),
        "doc_to_choice": inherited(&own.doc_to_choice, &config.doc_to_choice),
        "doc_to_target": inherited(&own.doc_to_target, &config.doc_to_target),
        "gen_prefix": own.gen_prefix.as_ref().or(config.gen_prefix.as_ref()),
        "fewshot_delimiter": own.fewshot_delimiter.as_ref().unwrap_or(&config.fewshot_delimiter),
        "target_delimiter": own.target_delimiter.as_ref().unwrap_or(&config.target_delimiter),
    })
}

fn text(value: &Option<String>) -> Option<Value> {
    value.clone().map(Value::String)
}

fn function(named: &FunctionRef) -> Value {
    format!("!function {}", named.name).into()
}

fn field(field: &Option<Field>) -> Option<Value> {
    field.as_ref().map(|field| match field {
        Field::Template(text) => text.clone().into(),
        Field::Constant(value) => value.clone(),
        Field::Function(named) => function(named),
    })
}

fn metric(metric: &MetricConfig) -> Value {
    let mut map = Map::new();
    let name = metric.function.as_ref().map_or_else(|| metric.metric.clone().into(), function);
    map.insert("metric".into(), name);
    let named = metric.aggregation.as_ref().map(|name| ("aggregation", Value::from(name.as_str())));
    let better = metric.higher_is_better.map(|better| ("higher_is_better", better.into()));
    let remote = metric.hf_evaluate.then(|| ("hf_evaluate", true.into()));
    for (key, value) in [named, better, remote].into_iter().flatten() {
        map.insert(key.into(), value);
    }
    map.extend(metric.kwargs.clone());
    Value::Object(map)
}

fn filter(filter: &FilterConfig) -> Value {
    let steps = filter.steps.iter().map(|step| {
        let mut map = Map::from_iter([("function".to_owned(), step.function.clone().into())]);
        map.extend(step.kwargs.clone());
        map.extend(step.native.as_ref().map(|named| ("filter_fn".to_owned(), function(named))));
        Value::Object(map)
    });
    json!({"name": filter.name, "filter": steps.collect::<Vec<_>>()})
}
