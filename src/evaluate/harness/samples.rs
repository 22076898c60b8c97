//! `samples_<task>_<date>.jsonl`: one line per document and filter, as the reference harness writes them with
//! `--log_samples`, with its hashes.
//!
//! `doc_hash` is over the document as Python's JSON with an indent of 2, `prompt_hash` over the first argument of
//! the first request, `target_hash` over the target as text. Numbers among the answers are texts, as there.

use serde_json::{Map, Value, json};

use crate::base::digest::sha256;
use crate::evaluate::{NO_FILTER, TaskResult};
use crate::metrics::DocValue;
use crate::python::print as python;
use crate::records::{Choice, SampleLine};
use crate::tasks::{OutputType, PreparedDoc, PreparedTask, TextRequest};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarnessSample {
    /// The line, without its end.
    pub line: String,
    /// `doc_hash`, `prompt_hash` and `target_hash`, one after the other; what a task's hash is made over.
    pub hashes: String,
}

/// The lines of a task: filter by filter, document by document.
pub fn samples(result: &TaskResult) -> impl Iterator<Item = HarnessSample> {
    let mut filters: Vec<&str> = Vec::new();
    let written =
        result.samples.first().into_iter().flat_map(|line| line.filtered.keys().map(String::as_str));
    for filter in result.metrics.iter().map(|metric| metric.filter.as_str()).chain(written) {
        if !filters.contains(&filter) {
            filters.push(filter);
        }
    }
    if filters.is_empty() {
        filters.push(NO_FILTER);
    }
    filters.into_iter().flat_map(move |filter| {
        let documents = result.asked.docs.iter().zip(&result.samples).enumerate();
        documents.map(move |(at, (doc, line))| sample(result, filter, at, doc, line))
    })
}

fn sample(
    result: &TaskResult,
    filter: &str,
    at: usize,
    doc: &PreparedDoc,
    line: &SampleLine,
) -> HarnessSample {
    let task = &*result.asked;
    let kind = task.task.config.output_type;
    let requests: Vec<&TextRequest> = doc.requests.iter().chain(&doc.unconditional).collect();
    let arguments = requests
        .iter()
        .enumerate()
        .map(|(i, request)| (format!("gen_args_{i}"), argument(task, kind, request)));
    let arguments: Map<String, Value> = arguments.collect();
    let (responses, filtered) = answers(kind, filter, line);
    let first = requests.first().map_or("", |request| match kind {
        OutputType::LoglikelihoodRolling => request.continuation.as_str(),
        _ => &request.context,
    });
    let document = Value::Object(doc.doc.clone());
    let doc_hash = sha256(python::dumps(&document, Some(2)));
    let (prompt_hash, target_hash) = (sha256(first), sha256(&doc.target_text));
    let mut metrics = super::metrics(result);
    metrics.retain(|metric| metric.filter == filter);
    let names: Vec<&str> = metrics.iter().map(|metric| metric.metric.as_str()).collect();
    let hashes = [doc_hash.as_str(), &prompt_hash, &target_hash].concat();
    let mut sample = json!({
        "doc_id": line.doc_id,
        "doc": document,
        "target": doc.target_text,
        "arguments": arguments,
        "resps": responses,
        "filtered_resps": filtered,
        "filter": filter,
        "metrics": names,
        "doc_hash": doc_hash,
        "prompt_hash": prompt_hash,
        "target_hash": target_hash,
    });
    for metric in metrics {
        sample[metric.metric.as_str()] = shown(kind, &metric.metric, &metric.documents[at]);
    }
    HarnessSample { line: python::dumps(&sample, None), hashes }
}

/// What the model was asked.
fn argument(task: &PreparedTask, kind: OutputType, request: &TextRequest) -> Value {
    match kind {
        OutputType::LoglikelihoodRolling => json!({"arg_0": request.continuation}),
        OutputType::GenerateUntil => json!({"arg_0": &*request.context, "arg_1": generation(task)}),
        _ => json!({"arg_0": &*request.context, "arg_1": request.continuation}),
    }
}

/// The settings of a written answer, with what the harness fills in.
fn generation(task: &PreparedTask) -> Value {
    let config = &task.task.config;
    let stop = json!([config.fewshot_delimiter]);
    let Some(mut given) = config.generation_kwargs.clone() else {
        return json!({"until": stop, "do_sample": false, "temperature": 0.0, "max_gen_toks": 256});
    };
    given.entry("until").or_insert(stop);
    if let Some(temperature) = given.get_mut("temperature")
        && let Some(number) = temperature.as_f64()
    {
        *temperature = number.into();
    }
    Value::Object(given)
}

/// The model's answers, as they came and after the filter.
fn answers(kind: OutputType, filter: &str, line: &SampleLine) -> (Value, Value) {
    let scored = |choice: &Choice| match kind {
        OutputType::LoglikelihoodRolling => Value::from(python::float(choice.logprob)),
        _ => json!([python::float(choice.logprob), if choice.is_greedy { "True" } else { "False" }]),
    };
    if kind == OutputType::GenerateUntil {
        let filtered = line.filtered.get(filter).map_or(Value::Null, as_texts);
        return (json!([[line.text]]), json!([filtered]));
    }
    let all: Vec<Value> = line.choices.iter().chain(&line.unconditional).map(scored).collect();
    (all.iter().map(|one| json!([one])).collect(), Value::Array(all))
}

/// Every text, number and nothing in a list as Python's `str` has it.
fn as_texts(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(as_texts).collect(),
        Value::String(text) => text.clone().into(),
        other => python::repr_data(other).into(),
    }
}

/// The value of a document; whether a text is what greedy decoding says is a whole number there.
fn shown(kind: OutputType, metric: &str, value: &DocValue) -> Value {
    let greedy = [(OutputType::Loglikelihood, "acc"), (OutputType::MultipleChoice, "exact_match")]
        .contains(&(kind, metric));
    match value {
        DocValue::Number(number) if greedy => Value::from(u8::from(*number == 1.0)),
        DocValue::Number(number) => (*number).into(),
        DocValue::Weighted(sum, units) => json!([sum, *units as u64]),
        DocValue::Pair(gold, answer) => json!([gold, answer]),
        DocValue::Classes(classes) => json!(classes),
    }
}
