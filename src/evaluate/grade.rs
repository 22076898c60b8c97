//! Answers → per-document lines and the task's metrics: the only grader there is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::metric::{Metric, Seen, metrics};
use super::programs::{Verdicts, programs_of, runs_programs};
use super::{Answers, EXTRACTED, EvaluateError, LeftOut, NO_FILTER, TaskMetric, TaskResult};
use crate::base::digest::sha256;
use crate::metrics::{Aggregation, DocValue, Gold};
use crate::records::{Choice, SampleLine};
use crate::sandbox::Verdict;
use crate::tasks::native::{self, Values};
use crate::tasks::pipeline::{Outcome, Pipeline};
use crate::tasks::schema::Field;
use crate::tasks::{OutputType, PreparedDoc, PreparedTask};

/// How much of a whole text its line of samples shows.
const WHOLE_TARGET_CHARS: usize = 300;
/// Digits that tell clusters of documents apart.
const CLUSTER_DIGITS: usize = 16;

/// Grades the answers to a task. A metric that cannot be computed, or not of every document, is left out with the reason.
///
/// # Errors
/// Tasks without documents, tasks none of whose metrics can be computed or whose metrics have to run programs, written
/// answers that are missing, and documents that a filter or a function cannot use.
pub fn grade(task: &Arc<PreparedTask>, answers: &Answers) -> Result<TaskResult, EvaluateError> {
    grade_programs(task, answers, &Verdicts::default())
}

/// The same where the [`programs`] of the task were judged.
///
/// # Errors
/// As [`grade`], and a program without a verdict.
pub fn grade_programs(
    task: &Arc<PreparedTask>,
    answers: &Answers,
    verdicts: &Verdicts,
) -> Result<TaskResult, EvaluateError> {
    graded(task, answers, verdicts, Extent::Whole)
}

/// The values of the documents of a part of a task, which may be none of them. There is no value over all documents: what is to be
/// known of a part is not what is to be known of the task.
///
/// # Errors
/// As [`grade_programs`], but for metrics that a part cannot have.
pub fn grade_part(
    task: &Arc<PreparedTask>,
    answers: &Answers,
    verdicts: &Verdicts,
) -> Result<TaskResult, EvaluateError> {
    let result = graded(task, answers, verdicts, Extent::Part)?;
    Ok(TaskResult { metrics: Vec::new(), extracted: Vec::new(), left_out: Vec::new(), ..result })
}

/// How much of a task is graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Part,
}

fn graded(
    task: &Arc<PreparedTask>,
    answers: &Answers,
    verdicts: &Verdicts,
    extent: Extent,
) -> Result<TaskResult, EvaluateError> {
    if task.docs.is_empty() && extent == Extent::Whole {
        let reason = "there are no documents to score; check --limit and the data".to_owned();
        return Err(EvaluateError::of_task(task, reason));
    }
    if let Some(column) = &task.task.config.cluster
        && let Some(without) = task.docs.iter().find(|doc| !doc.doc.contains_key(column))
    {
        let reason = format!("metadata.cluster: expected a column {column:?}, found none");
        return Err(EvaluateError::of(task, without, reason));
    }
    let filtered = filtered(task, answers)?;
    let (metrics, mut left_out) = metrics(&task.task)?;
    let judged = judged(task, &filtered, verdicts)?;
    let mut lines = vec![BTreeMap::new(); task.docs.len()];
    let mut values = Vec::new();
    for (filter, seen) in by_filter(answers, &filtered) {
        let by_function = graded_by_function(task, &seen)?;
        for metric in &metrics {
            let name = &metric.spec.name;
            let graded =
                documents(task, metric, by_function.as_deref(), &seen, verdicts).and_then(|documents| {
                    let value = (extent == Extent::Whole)
                        .then(|| metric.aggregation.of_documents(&documents))
                        .transpose()
                        .map_err(|reason| LeftOut::of_aggregation(&metric.spec, &reason))?;
                    Ok((documents, value))
                });
            let (documents, value) = match graded {
                Ok(graded) => graded,
                Err(LeftOut { metric, reason }) => {
                    let named = if filter == NO_FILTER { metric } else { format!("{metric},{filter}") };
                    left_out.push(LeftOut { metric: named, reason });
                    continue;
                }
            };
            // What a perplexity is made of is the log-likelihood that the line has anyway.
            if metric.aggregation != Aggregation::Perplexity {
                for (line, value) in lines.iter_mut().zip(&documents) {
                    // A document without a value has none in its line.
                    if let DocValue::Number(number) = value
                        && !number.is_nan()
                    {
                        line.insert(format!("{name},{filter}"), *number);
                    }
                }
            }
            let (metric, filter, aggregation) = (name.clone(), filter.to_owned(), metric.aggregation);
            values.extend(value.map(|value| TaskMetric { metric, filter, aggregation, value, documents }));
        }
    }
    match left_out.first() {
        Some(first) if values.is_empty() && extent == Extent::Whole => Err(first.error(&task.task)),
        _ => {
            let mut result = TaskResult { left_out, ..result(task, answers, &filtered, values, lines) };
            for (line, own) in result.samples.iter_mut().zip(judged) {
                line.programs = own;
            }
            Ok(result)
        }
    }
}

/// All programs whose verdicts the metrics of a task need, in its order, each as often as it was written.
///
/// # Errors
/// As [`grade`].
pub fn programs(task: &PreparedTask, answers: &Answers) -> Result<Vec<String>, EvaluateError> {
    if runs_programs(&task.task)?.is_none() {
        return Ok(Vec::new());
    }
    metrics(&task.task)?;
    let mut all = Vec::new();
    for (filter, values) in filtered(task, answers)? {
        for (doc, value) in task.docs.iter().zip(&values) {
            let own = programs_of(doc, &value.answer);
            all.extend(
                own.map_err(|reason| EvaluateError::of(task, doc, format!("filter {filter}: {reason}")))?,
            );
        }
    }
    Ok(all)
}

/// Of each document the verdicts on its programs, by filter; of none where no metric runs programs.
fn judged(
    task: &PreparedTask,
    filtered: &Filtered,
    verdicts: &Verdicts,
) -> Result<Vec<BTreeMap<String, Vec<Verdict>>>, EvaluateError> {
    let Some(metric) = runs_programs(&task.task)? else { return Ok(Vec::new()) };
    let of_doc = |(at, doc): (usize, &PreparedDoc)| {
        let of_filter = |(filter, values): &(String, Vec<Outcome>)| {
            let programs = programs_of(doc, &values[at].answer)
                .map_err(|reason| EvaluateError::of(task, doc, reason))?;
            let verdict = |program: &String| verdicts.of(program).cloned();
            let own: Option<Vec<Verdict>> = programs.iter().map(verdict).collect();
            let (task, metric) = (task.task.name.clone(), metric.clone());
            Ok((filter.clone(), own.ok_or(EvaluateError::RunsPrograms { task, metric })?))
        };
        filtered.iter().map(of_filter).collect()
    };
    task.docs.iter().enumerate().map(of_doc).collect()
}

/// The values of all documents by one metric.
fn documents(
    task: &PreparedTask,
    metric: &Metric,
    by_function: Option<&[Values]>,
    seen: &[Seen<'_>],
    verdicts: &Verdicts,
) -> Result<Vec<DocValue>, LeftOut> {
    let name = &metric.spec.name;
    let Some(given) = by_function else {
        let one = |(doc, seen): (&PreparedDoc, &Seen<'_>)| {
            let fail = |reason| {
                let reason = format!("document {}: {reason}", doc.doc_id);
                LeftOut { metric: name.clone(), reason }
            };
            metric.of(task, doc, *seen, verdicts).map_err(fail)
        };
        return task.docs.iter().zip(seen).map(one).collect();
    };
    let documents = given.iter().map(|values| named(values, name)).collect::<Option<_>>();
    documents.ok_or_else(|| {
        let known: Vec<&str> = given.iter().flatten().map(|(name, _)| *name).collect();
        let distinct = known.iter().enumerate().filter(|(at, name)| !known[..*at].contains(name));
        LeftOut::unknown(&task.task, name, &distinct.map(|(_, name)| *name).collect::<Vec<_>>())
    })
}

/// The answers after every filter as a task's result without metrics: for answers that cannot be graded here.
///
/// # Errors
/// Written answers that are missing, and documents that a filter cannot use.
pub fn filter(task: &Arc<PreparedTask>, answers: &Answers) -> Result<TaskResult, EvaluateError> {
    let filtered = filtered(task, answers)?;
    Ok(result(task, answers, &filtered, Vec::new(), vec![BTreeMap::new(); task.docs.len()]))
}

/// Written answers after every filter of a task: by filter, one value per document, and in which part of its answers something
/// was found where a filter looks for something. None of what was scored.
pub(super) type Filtered = Vec<(String, Vec<Outcome>)>;

pub(super) fn filtered(task: &PreparedTask, answers: &Answers) -> Result<Filtered, EvaluateError> {
    let answers = match answers {
        Answers::Written(answers) => answers,
        Answers::Scored(documents) => {
            let counts =
                documents.iter().map(|answered| (answered.choices.len(), answered.unconditional.len()));
            let asked = task.docs.iter().map(|doc| (doc.requests.len(), doc.unconditional.len()));
            assert!(counts.eq(asked), "there is an answer to every request of {}", task.task.name);
            return Ok(Vec::new());
        }
    };
    let repeats = task.generation.as_ref().map_or(1, |generation| generation.repeats);
    if answers.len() != task.docs.len() {
        return Err(other_answers(task, repeats, &format!("answers to {}", answers.len())));
    }
    let too_few = |(doc, own): &(&PreparedDoc, &Vec<String>)| own.len() < task.answers_to(doc);
    if let Some((doc, few)) = task.docs.iter().zip(answers).find(too_few) {
        let found = format!("{} to document {}", few.len(), doc.doc_id);
        return Err(other_answers(task, task.answers_to(doc), &found));
    }
    let pipelines = Pipeline::of(&task.task).map_err(Box::new)?;
    let apply = |pipeline: &Pipeline| {
        let one = |(doc, answers): (&PreparedDoc, &Vec<String>)| {
            let fail = |reason| EvaluateError::of(task, doc, format!("filter {}: {reason}", pipeline.name));
            pipeline.apply(&doc.doc, answers).map_err(fail)
        };
        let values = task.docs.iter().zip(answers).map(one).collect::<Result<Vec<_>, _>>()?;
        Ok((pipeline.name.clone(), values))
    };
    pipelines.iter().map(apply).collect()
}

/// Answers that are not one list per document.
pub(super) fn other_answers(task: &PreparedTask, repeats: usize, found: &str) -> EvaluateError {
    let expected = task.docs.len();
    let reason =
        format!("expected answers to {expected} documents, each with {repeats} or more, found {found}");
    EvaluateError::of_task(task, reason)
}

/// What metrics look at: the documents after each filter; what was scored has none.
fn by_filter<'a>(answers: &'a Answers, filtered: &'a Filtered) -> Vec<(&'a str, Vec<Seen<'a>>)> {
    match answers {
        Answers::Scored(documents) => vec![(NO_FILTER, documents.iter().map(Seen::Choices).collect())],
        Answers::Written(_) => {
            let seen =
                |values: &'a Vec<Outcome>| values.iter().map(|one| Seen::Answer(&one.answer)).collect();
            filtered.iter().map(|(filter, values)| (filter.as_str(), seen(values))).collect()
        }
    }
}

/// What `process_results` makes of every document, if the task has one.
fn graded_by_function(task: &PreparedTask, seen: &[Seen<'_>]) -> Result<Option<Vec<Values>>, EvaluateError> {
    let Some(Field::Function(function)) = &task.task.config.process_results else { return Ok(None) };
    let written = task.task.config.output_type == OutputType::GenerateUntil;
    let of_scores = if written { None } else { Some(native::score_results(function).map_err(Box::new)?) };
    let of_answer = if written { Some(native::answer_results(function).map_err(Box::new)?) } else { None };
    let one = |(doc, seen): (&PreparedDoc, &Seen<'_>)| {
        let values = match (seen, of_scores, of_answer) {
            (Seen::Choices(answered), Some(call), _) => {
                let logprobs: Vec<f64> = answered.choices.iter().map(|choice| choice.logprob).collect();
                call(&doc.doc, &logprobs)
            }
            (Seen::Answer(answer), _, Some(call)) => {
                let text =
                    answer.as_str().ok_or("expected one text as answer; end the filter with take_first");
                text.map_err(str::to_owned).and_then(|text| call(&doc.doc, text))
            }
            _ => unreachable!("a task is scored or written"),
        };
        values.map_err(|reason| EvaluateError::of(task, doc, format!("{}: {reason}", function.name)))
    };
    task.docs.iter().zip(seen).map(one).collect::<Result<_, _>>().map(Some)
}

/// The value of one metric among those that a function gave.
fn named(values: &Values, metric: &str) -> Option<DocValue> {
    values.iter().find(|(name, _)| *name == metric).map(|(_, value)| value.clone())
}

fn result(
    task: &Arc<PreparedTask>,
    answers: &Answers,
    filtered: &Filtered,
    metrics: Vec<TaskMetric>,
    per_document: Vec<BTreeMap<String, f64>>,
) -> TaskResult {
    let mut prompts = Prompts::default();
    let whole = task.task.config.output_type == OutputType::LoglikelihoodRolling;
    let line = |(at, (doc, metrics)): (usize, (&PreparedDoc, BTreeMap<String, f64>))| {
        let Contexts { first, own } = prompts.of(doc);
        let (choices, unconditional, texts) = match answers {
            Answers::Scored(documents) => (&*documents[at].choices, &*documents[at].unconditional, &[][..]),
            Answers::Written(texts) => (&[][..], &[][..], &*texts[at]),
        };
        let n_prompt_tokens = choices.first().and_then(|choice| choice.n_ctx_tokens);
        let choices: Vec<Choice> =
            choices.iter().zip(own).map(|(choice, context)| choice_line(choice, context)).collect();
        SampleLine {
            doc_id: doc.doc_id,
            prompt_sha256: first,
            n_prompt_tokens,
            n_ctx_tokens: n_prompt_tokens,
            dropped_examples: doc.dropped_examples,
            truncated: choices.iter().any(|choice| choice.truncated > 0),
            choices,
            unconditional: unconditional.iter().map(|choice| choice_line(choice, None)).collect(),
            text: texts.first().cloned(),
            turns: texts.iter().skip(1).take(doc.later_turns().len()).cloned().collect(),
            repeats: texts.iter().skip(1 + doc.later_turns().len()).cloned().collect(),
            filtered: filtered
                .iter()
                .map(|(name, values)| (name.clone(), values[at].answer.clone()))
                .collect(),
            cluster: cluster(task, doc),
            target: if whole {
                doc.target_text.chars().take(WHOLE_TARGET_CHARS).collect::<String>().into()
            } else {
                target(&doc.gold)
            },
            metrics,
            programs: BTreeMap::new(),
        }
    };
    let samples = task.docs.iter().zip(per_document).enumerate().map(line).collect();
    let extracted = filtered.iter().filter_map(|(filter, values)| extracted(filter, values)).collect();
    TaskResult { asked: Arc::clone(task), metrics, extracted, left_out: Vec::new(), samples }
}

/// A digest of what a document shares with others, by which they are known to belong together.
fn cluster(task: &PreparedTask, doc: &PreparedDoc) -> Option<String> {
    let shared = doc.doc.get(task.task.config.cluster.as_ref()?)?;
    let mut digest = sha256(shared.to_string());
    digest.truncate(CLUSTER_DIGITS);
    Some(digest)
}

/// In how many answers a filter found something, if it looks for something.
fn extracted(filter: &str, values: &[Outcome]) -> Option<TaskMetric> {
    let documents = values.iter().map(|one| one.extracted.map(DocValue::Number)).collect::<Option<Vec<_>>>();
    let documents = documents.filter(|documents| !documents.is_empty())?;
    let aggregation = Aggregation::Mean;
    let value = aggregation.of_documents(&documents).expect("numbers have a mean");
    Some(TaskMetric {
        metric: EXTRACTED.to_owned(),
        filter: filter.to_owned(),
        aggregation,
        value,
        documents,
    })
}

/// A choice as a line of samples shows it; `context` is the digest of its own context, where contexts differ.
fn choice_line(choice: &Choice, context: Option<String>) -> Choice {
    Choice {
        n_ctx_tokens: choice.n_ctx_tokens.filter(|_| context.is_some()),
        prompt_sha256: context,
        ..choice.clone()
    }
}

/// The right answer as a line of samples shows it.
fn target(gold: &Gold) -> Value {
    match gold {
        Gold::Index(index) => (*index).into(),
        Gold::Indices(indices) => indices.clone().into(),
        Gold::Text(text) => text.clone().into(),
        Gold::Texts(texts) => texts.clone().into(),
        Gold::OutOfRange => Value::Null,
    }
}

/// SHA-256 of the contexts of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contexts {
    /// Of the first request's.
    pub first: String,
    /// Of each request's where they differ.
    pub own: Vec<Option<String>>,
}

/// Contexts that were digested; neighbouring documents often have the same.
#[derive(Default)]
pub(super) struct Prompts(HashMap<Arc<str>, String>);

impl Prompts {
    pub fn of(&mut self, doc: &PreparedDoc) -> Contexts {
        let first = &doc.requests.first().expect("something is asked of every document").context;
        let differ = doc.requests.iter().any(|request| request.context != *first);
        let own = doc.requests.iter().map(|request| differ.then(|| self.digest(&request.context))).collect();
        Contexts { first: self.digest(first), own }
    }

    fn digest(&mut self, context: &Arc<str>) -> String {
        self.0.entry(Arc::clone(context)).or_insert_with(|| sha256(context.as_bytes())).clone()
    }
}
