//! Written answers → filtered answers, per-document lines and the task's metrics.
//!
//! Who wrote the answers does not matter here: a model of this program, another program, a person.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::collect::{Collector, TaskMetric, of_function};
use super::grade::{PromptDigests, target};
use super::{EvaluateError, TaskResult};
use crate::metrics::{ExactMatch, WRITTEN_METRICS};
use crate::records::SampleLine;
use crate::tasks::filters::Pipeline;
use crate::tasks::native::{self, Native, Values};
use crate::tasks::schema::Field;
use crate::tasks::{DocValue, Gold, MetricSpec, PreparedDoc, PreparedTask, TaskError};

/// Answers after every filter of a task: by filter, one value per document.
type Filtered = Vec<(String, Vec<Value>)>;

/// The answers after every filter of the task, one map per document.
///
/// `answers` holds one list per document, in the order of `task.docs`; a list has as many texts as the task
/// repeats its prompts, mostly one. Texts are taken as they are: cut at the task's stops before.
///
/// # Errors
/// Missing answers, filters that cannot be built, and documents that a filter cannot use.
pub fn filter_answers(
    task: &PreparedTask,
    answers: &[Vec<String>],
) -> Result<Vec<BTreeMap<String, Value>>, EvaluateError> {
    let filtered = filtered(task, answers)?;
    Ok((0..task.docs.len()).map(|doc| of_document(&filtered, doc)).collect())
}

/// Grades written answers; see [`filter_answers`] for what `answers` holds.
///
/// # Errors
/// As [`filter_answers`]; also metrics that do not exist, or that have to run programs.
pub fn grade_generation(task: &PreparedTask, answers: &[Vec<String>]) -> Result<TaskResult, EvaluateError> {
    if task.docs.is_empty() {
        return Err(EvaluateError::NoDocuments { task: task.task.name.clone() });
    }
    let filtered = filtered(task, answers)?;
    let specs = task.task.metrics();
    let metrics: Vec<Metric> = specs.iter().map(|spec| Metric::new(task, spec)).collect::<Result<_, _>>()?;
    let mut collected = Collector::new(&task.task.name, task.docs.len());
    for (filter, values) in &filtered {
        let by_function = graded_by_function(task, values)?;
        for (spec, metric) in specs.iter().zip(&metrics) {
            let graded: Vec<DocValue> = match (&by_function, metric) {
                (Some(documents), _) => of_function(documents, &spec.name)
                    .ok_or_else(|| unknown_metric(task, spec, Some(documents)))?,
                (None, Metric::Bypass) => continue,
                (None, Metric::OfFunction) => return Err(unknown_metric(task, spec, None)),
                (None, metric) => {
                    let one = |(doc, answer): (&PreparedDoc, &Value)| {
                        metric.of(&doc.gold, answer).map_err(|reason| grade_error(task, doc, reason))
                    };
                    task.docs.iter().zip(values).map(one).collect::<Result<_, _>>()?
                }
            };
            collected.add(spec, filter, &graded)?;
        }
    }
    Ok(result(task, answers, &filtered, collected.metrics, collected.per_document))
}

/// The answers after every filter as a task's result without metrics: for answers that cannot be graded here.
///
/// # Errors
/// As [`filter_answers`].
pub fn filter_generation(task: &PreparedTask, answers: &[Vec<String>]) -> Result<TaskResult, EvaluateError> {
    let filtered = filtered(task, answers)?;
    Ok(result(task, answers, &filtered, Vec::new(), vec![BTreeMap::new(); task.docs.len()]))
}

fn result(
    task: &PreparedTask,
    answers: &[Vec<String>],
    filtered: &Filtered,
    metrics: Vec<TaskMetric>,
    per_document: Vec<BTreeMap<String, f64>>,
) -> TaskResult {
    let mut digests = PromptDigests::default();
    let samples = task
        .docs
        .iter()
        .zip(answers)
        .zip(per_document)
        .enumerate()
        .map(|(at, ((doc, answers), metrics))| SampleLine {
            doc_id: doc.doc_id,
            prompt_sha256: doc.requests.first().map(|r| digests.of(&r.context)).unwrap_or_default(),
            n_prompt_tokens: None,
            n_ctx_tokens: None,
            truncated: false,
            choices: Vec::new(),
            text: answers.first().cloned(),
            filtered: of_document(filtered, at),
            target: target(&doc.gold),
            metrics,
        })
        .collect();
    TaskResult {
        task: Arc::clone(&task.task),
        num_fewshot: task.num_fewshot,
        total_documents: task.total_docs,
        data_sha256: task.data_sha256.clone(),
        metrics,
        samples,
    }
}

fn of_document(filtered: &Filtered, doc: usize) -> BTreeMap<String, Value> {
    let value = |(name, values): &(String, Vec<Value>)| Some((name.clone(), values.get(doc)?.clone()));
    filtered.iter().filter_map(value).collect()
}

fn filtered(task: &PreparedTask, answers: &[Vec<String>]) -> Result<Filtered, EvaluateError> {
    let repeats = task.generation.as_ref().map_or(1, |generation| generation.repeats);
    let fail = |found: String| EvaluateError::Answers {
        task: task.task.name.clone(),
        expected: task.docs.len(),
        repeats,
        found,
    };
    if answers.len() != task.docs.len() {
        return Err(fail(format!("answers to {}", answers.len())));
    }
    if let Some((doc, few)) = task.docs.iter().zip(answers).find(|(_, own)| own.len() < repeats) {
        return Err(fail(format!("{} to document {}", few.len(), doc.doc_id)));
    }
    let pipelines = Pipeline::of(&task.task).map_err(Box::new)?;
    let apply = |pipeline: &Pipeline| {
        let one = |(doc, answers): (&PreparedDoc, &Vec<String>)| {
            let filter = |reason| grade_error(task, doc, format!("filter {}: {reason}", pipeline.name));
            pipeline.apply(&doc.doc, answers).map_err(filter)
        };
        let values = task.docs.iter().zip(answers).map(one).collect::<Result<Vec<_>, _>>()?;
        Ok((pipeline.name.clone(), values))
    };
    pipelines.iter().map(apply).collect()
}

/// What `process_results` makes of every document, if the task has one.
fn graded_by_function(task: &PreparedTask, answers: &[Value]) -> Result<Option<Vec<Values>>, EvaluateError> {
    let Some(Field::Function(function)) = &task.task.config.process_results else { return Ok(None) };
    let call = native::answer_results(function).map_err(Box::new)?;
    let one = |(doc, answer): (&PreparedDoc, &Value)| {
        let fail = |reason| grade_error(task, doc, format!("{}: {reason}", function.name));
        call(&doc.doc, answer).map_err(fail)
    };
    task.docs.iter().zip(answers).map(one).collect::<Result<_, _>>().map(Some)
}

fn grade_error(task: &PreparedTask, doc: &PreparedDoc, reason: String) -> EvaluateError {
    EvaluateError::Grade { task: task.task.name.clone(), doc_id: doc.doc_id, reason }
}

fn unknown_metric(task: &PreparedTask, spec: &MetricSpec, by_function: Option<&[Values]>) -> EvaluateError {
    let known = match by_function.and_then(<[Values]>::first) {
        Some(values) => values.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
        None => WRITTEN_METRICS.join(", "),
    };
    EvaluateError::UnknownMetric {
        task: task.task.name.clone(),
        metric: spec.name.clone(),
        output_type: task.task.config.output_type.name().to_owned(),
        known,
    }
}

/// A metric of written answers, ready to be applied.
enum Metric {
    ExactMatch(Box<ExactMatch>),
    /// Reference and answer are kept for the end.
    Pairs,
    /// Nothing is measured.
    Bypass,
    /// Not one of ours: `process_results` must give it.
    OfFunction,
}

impl Metric {
    fn new(task: &PreparedTask, spec: &MetricSpec) -> Result<Self, EvaluateError> {
        if let Some(function) = &spec.function {
            return match native::find(function).map_err(Box::new)? {
                Native::RunsPrograms => Err(EvaluateError::RunsPrograms {
                    task: task.task.name.clone(),
                    metric: spec.name.clone(),
                }),
                _ => Ok(Self::OfFunction),
            };
        }
        if task.task.config.process_results.is_some() {
            return Ok(Self::OfFunction);
        }
        match spec.name.as_str() {
            "exact_match" => {
                let fail = |message| TaskError::Field {
                    file: task.task.file.display(),
                    line: None,
                    key: "metric_list".into(),
                    message,
                };
                let metric = ExactMatch::new(&spec.kwargs).map_err(fail).map_err(Box::new)?;
                Ok(Self::ExactMatch(Box::new(metric)))
            }
            "bleu" => Ok(Self::Pairs),
            "bypass" => Ok(Self::Bypass),
            _ => Ok(Self::OfFunction),
        }
    }

    fn of(&self, gold: &Gold, answer: &Value) -> Result<DocValue, String> {
        let answer = match answer {
            Value::String(text) => text.clone(),
            Value::Array(_) => return Err("the filter leaves a list; end it with take_first".into()),
            Value::Null => "None".into(),
            other => other.to_string(),
        };
        let golds: &[String] = match gold {
            Gold::Text(text) => std::slice::from_ref(text),
            Gold::Texts(texts) => texts,
            _ => return Err("the right answer is no text".into()),
        };
        match self {
            Self::ExactMatch(metric) => {
                let mut right = false;
                for gold in golds {
                    right = right || metric.is_match(gold, &answer)?;
                }
                Ok(DocValue::Number(f64::from(u8::from(right))))
            }
            Self::Pairs => match golds {
                [gold] => Ok(DocValue::Pair(gold.clone(), answer)),
                _ => Err("bleu takes one right answer, and the document has several".into()),
            },
            Self::Bypass | Self::OfFunction => Err("no such metric".into()),
        }
    }
}
