//! One metric of a task, applied to an answer.

use serde_json::Value;

use super::{Choices, EvaluateError};
use crate::metrics::{
    Aggregation, ChoiceDocument, DocValue, ExactMatch, Gold, MULTIPLE_CHOICE_METRICS, WRITTEN_METRICS,
    multiple_choice,
};
use crate::python::text::count_split_by_space;
use crate::records::Choice;
use crate::tasks::native::{self, NativeFunction};
use crate::tasks::protocol::ScoredTokens;
use crate::tasks::{MetricSpec, OutputType, PreparedDoc, PreparedTask};

/// The metrics of tasks with one continuation per document.
const LOGLIKELIHOOD_METRICS: [&str; 2] = ["acc", "perplexity"];
/// The metrics of whole texts.
const ROLLING_METRICS: [&str; 3] = ["word_perplexity", "byte_perplexity", "bits_per_byte"];

/// What a metric looks at: the answer to one document after one filter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen<'a> {
    /// Continuations that were scored; no filter changes them.
    Choices(&'a Choices),
    /// What a filter left of written texts.
    Answer(&'a Value),
}

/// A metric, ready to be applied.
#[derive(Debug)]
pub(super) struct Metric {
    /// What the task file says of it.
    pub spec: MetricSpec,
    /// How its values become one.
    pub aggregation: Aggregation,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Of scores, by its name.
    Scores,
    /// Of written answers.
    ExactMatch(Box<ExactMatch>),
    /// Reference and answer are kept for the end.
    Pairs,
    /// What `process_results` gives under this name; known only afterwards.
    OfFunction,
}

/// The metrics of a task; the one place that says which there are.
///
/// # Errors
/// Metrics and aggregations that do not exist, or that have to run programs.
pub(super) fn metrics(task: &PreparedTask) -> Result<Vec<Metric>, EvaluateError> {
    let one = |spec: MetricSpec| {
        let Some(kind) = Kind::of(task, &spec)? else { return Ok(None) };
        let aggregation = Aggregation::by_name(&spec.aggregation);
        let aggregation = aggregation.ok_or_else(|| unknown_aggregation(task, &spec))?;
        Ok(Some(Metric { spec, aggregation, kind }))
    };
    task.task.config.metrics().into_iter().filter_map(|spec| one(spec).transpose()).collect()
}

/// An aggregation that does not exist, or not for such values.
pub(super) fn unknown_aggregation(task: &PreparedTask, spec: &MetricSpec) -> EvaluateError {
    let place = format!("task {}, metric {}", task.task.name, spec.name);
    let reason = format!(
        "aggregation {:?} is not known or does not fit the metric; known are {}",
        spec.aggregation,
        Aggregation::NAMES.join(", ")
    );
    EvaluateError::At { place, source: reason.into() }
}

/// A metric that is none of `known`.
pub(super) fn unknown_metric(task: &PreparedTask, metric: &str, known: &[&str]) -> EvaluateError {
    let kind = task.task.config.output_type.name();
    let known = known.join(", ");
    let reason = format!("metric {metric:?} cannot be computed for {kind} tasks; known are {known}");
    EvaluateError::of_task(task, reason)
}

/// The metrics of a type of task.
pub(super) fn known(kind: OutputType) -> &'static [&'static str] {
    match kind {
        OutputType::MultipleChoice => &MULTIPLE_CHOICE_METRICS,
        OutputType::LoglikelihoodRolling => &ROLLING_METRICS,
        OutputType::Loglikelihood => &LOGLIKELIHOOD_METRICS,
        OutputType::GenerateUntil => &WRITTEN_METRICS,
    }
}

impl Kind {
    /// `None` for `bypass`, which measures nothing.
    fn of(task: &PreparedTask, spec: &MetricSpec) -> Result<Option<Self>, EvaluateError> {
        let config = &task.task.config;
        if config.output_type == OutputType::GenerateUntil
            && let Some(function) = &spec.function
            && let NativeFunction::RunsPrograms = native::find(function).map_err(Box::new)?
        {
            let (task, metric) = (task.task.name.clone(), spec.name.clone());
            return Err(EvaluateError::RunsPrograms { task, metric });
        }
        if config.process_results.is_some() {
            return Ok(Some(Self::OfFunction));
        }
        let known = known(config.output_type);
        if spec.function.is_some() || !known.contains(&spec.name.as_str()) {
            return Err(unknown_metric(task, &spec.name, known));
        }
        Ok(Some(match (config.output_type, spec.name.as_str()) {
            (OutputType::GenerateUntil, "exact_match") => {
                let fail = |message: String| task.task.wrong("metric_list", message);
                Self::ExactMatch(Box::new(ExactMatch::new(&spec.kwargs).map_err(fail).map_err(Box::new)?))
            }
            (OutputType::GenerateUntil, "bleu") => Self::Pairs,
            (OutputType::GenerateUntil, _) => return Ok(None),
            _ => Self::Scores,
        }))
    }
}

impl Metric {
    /// The value of one document; `None` where the task lacks what the metric needs.
    ///
    /// # Errors
    /// An answer that the metric cannot judge, in words.
    pub fn of(
        &self,
        task: &PreparedTask,
        doc: &PreparedDoc,
        seen: Seen<'_>,
    ) -> Result<Option<DocValue>, String> {
        match (&self.kind, seen) {
            (Kind::Scores, Seen::Choices(answered)) => Ok(of_choices(&self.spec.name, task, doc, answered)),
            (Kind::ExactMatch(metric), Seen::Answer(answer)) => {
                let golds = right_answers(&doc.gold)?;
                let answer = text(answer)?;
                let mut right = false;
                for gold in golds {
                    right = right || metric.is_match(gold, &answer)?;
                }
                Ok(Some(DocValue::Number(f64::from(right))))
            }
            (Kind::Pairs, Seen::Answer(answer)) => {
                let answer = text(answer)?;
                match right_answers(&doc.gold)? {
                    [gold] => Ok(Some(DocValue::Pair(gold.clone(), answer))),
                    _ => Err("bleu takes one right answer, and the document has several".into()),
                }
            }
            (kind, seen) => unreachable!("{kind:?} is a metric of other answers than {seen:?}"),
        }
    }
}

/// A metric of log-likelihoods.
fn of_choices(metric: &str, task: &PreparedTask, doc: &PreparedDoc, answered: &Choices) -> Option<DocValue> {
    let choices = &answered.choices;
    match task.task.config.output_type {
        OutputType::MultipleChoice => {
            let logprobs = |choices: &[Choice]| choices.iter().map(|c| c.logprob).collect::<Vec<f64>>();
            let document = ChoiceDocument {
                choices: &doc.choices,
                logprobs: &logprobs(choices),
                greedy: &choices.iter().map(|choice| choice.is_greedy).collect::<Vec<_>>(),
                tokens: &choices.iter().map(|choice| choice.n_tokens).collect::<Vec<_>>(),
                whole: task.rules.scored == ScoredTokens::Whole,
                unconditional: &logprobs(&answered.unconditional),
                gold: &doc.gold,
            };
            multiple_choice(metric, document).map(DocValue::Number)
        }
        kind => {
            let ([choice], [request]) = (choices.as_slice(), doc.requests.as_slice()) else {
                unreachable!("a {} task asks one thing of a document", kind.name())
            };
            match metric {
                "acc" => Some(DocValue::Number(f64::from(choice.is_greedy))),
                "perplexity" => Some(DocValue::Number(choice.logprob)),
                "word_perplexity" => {
                    let words = count_split_by_space(&request.continuation);
                    Some(DocValue::Weighted(choice.logprob, words as f64))
                }
                _ => Some(DocValue::Weighted(choice.logprob, request.continuation.len() as f64)),
            }
        }
    }
}

/// What a filter left, as text.
fn text(answer: &Value) -> Result<String, String> {
    match answer {
        Value::String(text) => Ok(text.clone()),
        Value::Array(_) => Err("the filter leaves a list; end it with take_first".into()),
        Value::Null => Ok("None".into()),
        other => Ok(other.to_string()),
    }
}

fn right_answers(gold: &Gold) -> Result<&[String], String> {
    match gold {
        Gold::Text(text) => Ok(std::slice::from_ref(text)),
        Gold::Texts(texts) => Ok(texts),
        _ => Err("the right answer is no text".into()),
    }
}
