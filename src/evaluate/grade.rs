//! Scores of one task → per-document lines and the task's metrics.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::encode::EncodedDoc;
use super::{EncodedTask, EvaluateError, NO_FILTER, TaskResult};
use crate::engine::Score;
use crate::metrics::{Aggregation, ChoiceDocument, MULTIPLE_CHOICE_METRICS, multiple_choice};
use crate::records::{ChoiceLine, SampleLine};
use crate::tasks::{Gold, OutputType, PreparedDoc, PreparedTask};

/// The metrics of tasks with one continuation per document.
const LOGLIKELIHOOD_METRICS: [&str; 2] = ["acc", "perplexity"];

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

    let mut metrics = Vec::new();
    let mut per_document: Vec<BTreeMap<String, f64>> = vec![BTreeMap::new(); graded.len()];
    for spec in task.task.metrics() {
        let values: Option<Vec<f64>> = graded.iter().map(|doc| doc.metric(&spec.name, task)).collect();
        let values = values.ok_or_else(|| unknown_metric(task, &spec.name))?;
        let aggregation =
            Aggregation::by_name(&spec.aggregation).ok_or_else(|| EvaluateError::UnknownAggregation {
                task: task.task.name.clone(),
                metric: spec.name.clone(),
                aggregation: spec.aggregation.clone(),
            })?;
        // What a perplexity is made of is the log-likelihood that the line has anyway.
        if aggregation == Aggregation::Mean {
            let key = format!("{},{NO_FILTER}", spec.name);
            for (line, value) in per_document.iter_mut().zip(&values) {
                line.insert(key.clone(), *value);
            }
        }
        if let Some(aggregate) = aggregation.of(&values) {
            metrics.push((spec.name.clone(), aggregate));
        }
    }

    let mut digests = PromptDigests::default();
    let samples = graded
        .iter()
        .zip(per_document)
        .map(|(doc, metrics)| doc.sample(metrics, max_length, &mut digests))
        .collect();
    Ok(TaskResult {
        task: Arc::clone(&task.task),
        num_fewshot: task.num_fewshot,
        total_documents: task.total_docs,
        data_sha256: task.data_sha256.clone(),
        metrics,
        samples,
    })
}

fn unknown_metric(task: &PreparedTask, metric: &str) -> EvaluateError {
    let (output_type, known) = match task.task.config.output_type {
        OutputType::MultipleChoice => ("multiple_choice", MULTIPLE_CHOICE_METRICS.join(", ")),
        _ => ("loglikelihood", LOGLIKELIHOOD_METRICS.join(", ")),
    };
    EvaluateError::UnknownMetric {
        task: task.task.name.clone(),
        metric: metric.to_owned(),
        output_type: output_type.to_owned(),
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
    fn metric(&self, metric: &str, task: &PreparedTask) -> Option<f64> {
        match task.task.config.output_type {
            OutputType::MultipleChoice => multiple_choice(
                metric,
                ChoiceDocument {
                    choices: &self.doc.choices,
                    scores: self.scores,
                    unconditional: self.unconditional,
                    gold: &self.doc.gold,
                },
            ),
            _ => {
                let score = self.scores.first()?;
                match metric {
                    "acc" => Some(f64::from(u8::from(score.is_greedy))),
                    "perplexity" => Some(score.logprob),
                    _ => None,
                }
            }
        }
    }

    fn sample(
        &self,
        metrics: BTreeMap<String, f64>,
        max_length: usize,
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
                tokens: pair.request.continuation.clone(),
                truncated: pair.request.truncated(max_length),
                prompt_sha256: (!one_context).then(|| digests.of(&text.context)),
                n_ctx_tokens: (!one_context).then_some(pair.n_context_tokens),
            })
            .collect();
        let n_prompt_tokens = self.encoded.requests.first().map_or(0, |pair| pair.n_context_tokens);
        SampleLine {
            doc_id: self.doc.doc_id,
            prompt_sha256: first.map(|request| digests.of(&request.context)).unwrap_or_default(),
            n_prompt_tokens,
            n_ctx_tokens: n_prompt_tokens,
            truncated: choices.iter().any(|choice| choice.truncated > 0),
            choices,
            target: match &self.doc.gold {
                Gold::Index(index) => (*index).into(),
                Gold::Indices(indices) => indices.clone().into(),
                Gold::Text(text) => text.clone().into(),
                Gold::OutOfRange => serde_json::Value::Null,
            },
            metrics,
        }
    }
}

/// SHA-256 of contexts; neighbouring documents often have the same.
#[derive(Default)]
struct PromptDigests(HashMap<Arc<str>, String>);

impl PromptDigests {
    fn of(&mut self, context: &Arc<str>) -> String {
        self.0.entry(Arc::clone(context)).or_insert_with(|| sha256_hex(context.as_bytes())).clone()
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
