//! Scores of one task → per-document lines and the task's metrics.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::collect::{Collector, of_function};
use super::encode::EncodedDoc;
use super::{EncodedTask, EvaluateError, NO_FILTER, TaskResult};
use crate::base::digest::sha256;
use crate::engine::Score;
use crate::metrics::{Aggregation, ChoiceDocument, MULTIPLE_CHOICE_METRICS, multiple_choice};
use crate::python::text::count_split_by_space;
use crate::records::{ChoiceLine, SampleLine};
use crate::tasks::native::{self, Values};
use crate::tasks::protocol::Scored;
use crate::tasks::schema::Field;
use crate::tasks::{DocValue, Gold, OutputType, PreparedDoc, PreparedTask};

/// The metrics of tasks with one continuation per document.
const LOGLIKELIHOOD_METRICS: [&str; 2] = ["acc", "perplexity"];
/// The metrics of whole texts.
const ROLLING_METRICS: [&str; 3] = ["word_perplexity", "byte_perplexity", "bits_per_byte"];
/// How much of a whole text its line of samples shows.
const WHOLE_TARGET_CHARS: usize = 300;

/// Grades one task. `scores` are the answers to `encoded.requests()`.
pub fn grade(
    task: &PreparedTask,
    encoded: &EncodedTask,
    scores: &[Score],
    max_length: usize,
) -> Result<TaskResult, EvaluateError> {
    if task.docs.is_empty() {
        return Err(EvaluateError::NoDocuments { task: task.task.name.clone() });
    }
    let mut rest = scores;
    let mut graded = Vec::with_capacity(task.docs.len());
    for (doc, encoded) in task.docs.iter().zip(&encoded.docs) {
        let (own, others) = rest.split_at(encoded.requests.len().min(rest.len()));
        let (unconditional, others) = others.split_at(encoded.unconditional.len().min(others.len()));
        rest = others;
        graded.push(GradedDoc { doc, encoded, scores: own, unconditional });
    }

    let name = task.task.name.as_str();
    let by_function = graded_by_function(task, &graded)?;
    let mut collected = Collector::new(name, graded.len());
    for spec in task.task.metrics() {
        let values = match &by_function {
            Some(documents) => of_function(documents, &spec.name),
            None => graded.iter().map(|doc| doc.metric(&spec.name, task)).collect(),
        };
        let values = values.ok_or_else(|| unknown_metric(task, &spec.name, by_function.as_deref()))?;
        collected.add(&spec, NO_FILTER, values)?;
    }

    let whole = task.task.config.output_type == OutputType::LoglikelihoodRolling;
    let mut digests = PromptDigests::default();
    let samples = graded
        .iter()
        .zip(collected.per_document)
        .map(|(doc, metrics)| {
            if whole {
                doc.whole_sample(metrics, &mut digests)
            } else {
                doc.sample(metrics, max_length, task.rules.scored == Scored::Whole, &mut digests)
            }
        })
        .collect();
    Ok(TaskResult {
        task: Arc::clone(&task.task),
        num_fewshot: task.num_fewshot,
        total_documents: task.total_docs,
        data_sha256: task.data_sha256.clone(),
        metrics: collected.metrics,
        samples,
    })
}

/// Refuses metrics that cannot be computed, before anything is. What a function gives is known only afterwards.
pub fn check(task: &PreparedTask) -> Result<(), EvaluateError> {
    let known: &[&str] = match task.task.config.output_type {
        OutputType::MultipleChoice => &MULTIPLE_CHOICE_METRICS,
        OutputType::LoglikelihoodRolling => &ROLLING_METRICS,
        OutputType::Loglikelihood => &LOGLIKELIHOOD_METRICS,
        OutputType::GenerateUntil => return Ok(()),
    };
    for spec in task.task.metrics() {
        if task.task.config.process_results.is_none() && !known.contains(&spec.name.as_str()) {
            return Err(unknown_metric(task, &spec.name, None));
        }
        if Aggregation::by_name(&spec.aggregation).is_none() {
            return Err(EvaluateError::UnknownAggregation {
                task: task.task.name.clone(),
                metric: spec.name,
                aggregation: spec.aggregation,
            });
        }
    }
    Ok(())
}

/// What `process_results` makes of every document, if the task has one.
fn graded_by_function(
    task: &PreparedTask,
    graded: &[GradedDoc<'_>],
) -> Result<Option<Vec<Values>>, EvaluateError> {
    let Some(Field::Function(function)) = &task.task.config.process_results else { return Ok(None) };
    let call = native::score_results(function).map_err(Box::new)?;
    let whole = task.task.config.output_type == OutputType::LoglikelihoodRolling;
    let one = |doc: &GradedDoc<'_>| {
        let mut logprobs: Vec<f64> = doc.scores.iter().map(|score| score.logprob).collect();
        if whole {
            logprobs = vec![logprobs.iter().sum()];
        }
        call(&doc.doc.doc, &logprobs).map_err(|reason| EvaluateError::Grade {
            task: task.task.name.clone(),
            doc_id: doc.doc.doc_id,
            reason: format!("{}: {reason}", function.name),
        })
    };
    graded.iter().map(one).collect::<Result<_, _>>().map(Some)
}

fn unknown_metric(task: &PreparedTask, metric: &str, by_function: Option<&[Values]>) -> EvaluateError {
    let kind = task.task.config.output_type;
    let known = match (by_function, kind) {
        (Some(documents), _) => {
            let names =
                documents.first().map(|values| values.iter().map(|(name, _)| *name).collect::<Vec<_>>());
            names.unwrap_or_default().join(", ")
        }
        (None, OutputType::MultipleChoice) => MULTIPLE_CHOICE_METRICS.join(", "),
        (None, OutputType::LoglikelihoodRolling) => ROLLING_METRICS.join(", "),
        (None, _) => LOGLIKELIHOOD_METRICS.join(", "),
    };
    EvaluateError::UnknownMetric {
        task: task.task.name.clone(),
        metric: metric.to_owned(),
        output_type: kind.name().to_owned(),
        known,
    }
}

/// A document with its answers.
struct GradedDoc<'a> {
    doc: &'a PreparedDoc,
    encoded: &'a EncodedDoc,
    scores: &'a [Score],
    unconditional: &'a [Score],
}

impl GradedDoc<'_> {
    /// The log-likelihood of all windows of a whole text.
    fn whole(&self) -> f64 {
        self.scores.iter().map(|score| score.logprob).sum()
    }

    fn metric(&self, metric: &str, task: &PreparedTask) -> Option<DocValue> {
        match task.task.config.output_type {
            OutputType::LoglikelihoodRolling => {
                let text = self.doc.requests.first().map_or("", |request| request.continuation.as_str());
                let units = match metric {
                    "word_perplexity" => count_split_by_space(text),
                    "byte_perplexity" | "bits_per_byte" => text.len(),
                    _ => return None,
                };
                Some(DocValue::Weighted(self.whole(), units as f64))
            }
            OutputType::MultipleChoice => multiple_choice(
                metric,
                ChoiceDocument {
                    choices: &self.doc.choices,
                    scores: self.scores,
                    tokens: &self
                        .encoded
                        .requests
                        .iter()
                        .map(|pair| pair.request.continuation.len())
                        .collect::<Vec<_>>(),
                    whole: task.rules.scored == Scored::Whole,
                    unconditional: self.unconditional,
                    gold: &self.doc.gold,
                },
            )
            .map(DocValue::Number),
            _ => {
                let score = self.scores.first()?;
                match metric {
                    "acc" => Some(DocValue::Number(f64::from(u8::from(score.is_greedy)))),
                    "perplexity" => Some(DocValue::Number(score.logprob)),
                    _ => None,
                }
            }
        }
    }

    fn sample(
        &self,
        metrics: BTreeMap<String, f64>,
        max_length: usize,
        whole_text: bool,
        digests: &mut PromptDigests,
    ) -> SampleLine {
        let first = self.doc.requests.first();
        let one_context = self.doc.requests.iter().all(|r| first.is_some_and(|f| f.context == r.context));
        let choices: Vec<ChoiceLine> = self
            .encoded
            .requests
            .iter()
            .zip(self.scores)
            .zip(&self.doc.requests)
            .map(|((pair, score), text)| ChoiceLine {
                logprob: score.logprob,
                is_greedy: score.is_greedy,
                n_tokens: pair.request.continuation.len(),
                // Of a text that is scored as a whole they would be the prompt.
                tokens: if whole_text { Vec::new() } else { pair.request.continuation.clone() },
                truncated: pair.cut.saturating_add(pair.request.truncated(max_length)),
                prompt_sha256: (!one_context).then(|| digests.of(&text.context)),
                n_ctx_tokens: (!one_context).then_some(pair.n_context_tokens),
            })
            .collect();
        let unconditional = self.encoded.unconditional.iter().zip(self.unconditional);
        let unconditional = unconditional.map(|(pair, score)| ChoiceLine {
            logprob: score.logprob,
            is_greedy: score.is_greedy,
            n_tokens: pair.request.continuation.len(),
            tokens: pair.request.continuation.clone(),
            truncated: pair.request.truncated(max_length),
            prompt_sha256: None,
            n_ctx_tokens: None,
        });
        let n_prompt_tokens = self.encoded.requests.first().map_or(0, |pair| pair.n_context_tokens);
        SampleLine {
            doc_id: self.doc.doc_id,
            prompt_sha256: first.map(|request| digests.of(&request.context)).unwrap_or_default(),
            n_prompt_tokens: Some(n_prompt_tokens),
            n_ctx_tokens: Some(n_prompt_tokens),
            dropped_examples: self.doc.dropped_examples,
            truncated: choices.iter().any(|choice| choice.truncated > 0),
            choices,
            unconditional: unconditional.collect(),
            text: None,
            filtered: BTreeMap::new(),
            target: target(&self.doc.gold),
            metrics,
        }
    }

    /// The line of a whole text: all windows as one choice, and the beginning of the text as target.
    fn whole_sample(&self, metrics: BTreeMap<String, f64>, digests: &mut PromptDigests) -> SampleLine {
        let choice = ChoiceLine {
            logprob: self.whole(),
            is_greedy: self.scores.iter().all(|score| score.is_greedy),
            n_tokens: self.encoded.requests.iter().map(|pair| pair.request.continuation.len()).sum(),
            tokens: Vec::new(),
            truncated: 0,
            prompt_sha256: None,
            n_ctx_tokens: None,
        };
        let text: String = self.doc.target_text.chars().take(WHOLE_TARGET_CHARS).collect();
        SampleLine {
            doc_id: self.doc.doc_id,
            prompt_sha256: digests.of(&Arc::from("")),
            n_prompt_tokens: None,
            n_ctx_tokens: None,
            dropped_examples: 0,
            truncated: false,
            choices: vec![choice],
            unconditional: Vec::new(),
            text: None,
            filtered: BTreeMap::new(),
            target: text.into(),
            metrics,
        }
    }
}

/// The right answer as a line of samples shows it.
pub(super) fn target(gold: &Gold) -> serde_json::Value {
    match gold {
        Gold::Index(index) => (*index).into(),
        Gold::Indices(indices) => indices.clone().into(),
        Gold::Text(text) => text.clone().into(),
        Gold::Texts(texts) => texts.clone().into(),
        Gold::OutOfRange => serde_json::Value::Null,
    }
}

/// SHA-256 of contexts; neighbouring documents often have the same.
#[derive(Default)]
pub(super) struct PromptDigests(HashMap<Arc<str>, String>);

impl PromptDigests {
    pub(super) fn of(&mut self, context: &Arc<str>) -> String {
        self.0.entry(Arc::clone(context)).or_insert_with(|| sha256(context.as_bytes())).clone()
    }
}
