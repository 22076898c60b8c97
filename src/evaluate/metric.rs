//! One metric of a task, applied to an answer.

use serde_json::Value;

use super::programs::{Verdicts, programs_of, runs_programs};
use super::{Choices, EvaluateError, LeftOut};
use crate::metrics::{
    Aggregation, ChoiceDocument, DocValue, ExactMatch, Gold, MULTIPLE_CHOICE_METRICS, WRITTEN_METRICS,
    multiple_choice, pass_at_k,
};
use crate::python::print as python;
use crate::python::text::count_split_by_space;
use crate::records::Choice;
use crate::tasks::native::{self, NativeFunction, PassAt};
use crate::tasks::protocol::ScoredTokens;
use crate::tasks::{MetricSpec, OutputType, PreparedDoc, PreparedTask, Task};

/// The metrics of tasks with one continuation per document.
const LOGLIKELIHOOD_METRICS: [&str; 2] = ["acc", "perplexity"];
/// The metrics of whole texts.
const ROLLING_METRICS: [&str; 3] = ["word_perplexity", "byte_perplexity", "bits_per_byte"];

/// The metric of answers that are only to be written down.
const BYPASS: &str = "bypass";

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
    /// How likely one of so many programs passes.
    PassAt(usize),
}

/// The metrics of a task, and those that cannot be computed: the one place that says which there are.
///
/// # Errors
/// A task none of whose metrics can be computed.
pub(super) fn metrics(task: &Task) -> Result<(Vec<Metric>, Vec<LeftOut>), EvaluateError> {
    let (mut metrics, mut left_out) = (Vec::new(), Vec::new());
    for spec in task.config.metrics() {
        match Kind::of(task, &spec)? {
            Known::As(kinds) => match Aggregation::by_name(&spec.aggregation) {
                Some(aggregation) => metrics.extend(kinds.into_iter().map(|(name, kind)| {
                    let spec = MetricSpec { name, ..spec.clone() };
                    Metric { spec, aggregation, kind }
                })),
                None => {
                    let known = Aggregation::names().collect::<Vec<_>>().join(", ");
                    left_out
                        .push(LeftOut::of_aggregation(&spec, &format!("it is not known; known are {known}")));
                }
            },
            Known::AsNothing => {}
            Known::Not(reason) => left_out.push(LeftOut { metric: spec.name, reason }),
        }
    }
    match left_out.first() {
        Some(first) if metrics.is_empty() => Err(first.error(task)),
        _ => Ok((metrics, left_out)),
    }
}

/// Whether any metric of a task can be computed, before anything is asked. Those that run programs can if that is allowed.
///
/// # Errors
/// Why none can.
pub fn check_metrics(task: &Task, allow_code: bool) -> Result<(), EvaluateError> {
    metrics(task)?;
    match runs_programs(task)?.filter(|_| !allow_code) {
        Some(metric) => Err(EvaluateError::RunsPrograms { task: task.name.clone(), metric }),
        None => Ok(()),
    }
}

impl LeftOut {
    /// An aggregation that does not exist, or does not take such values.
    pub(super) fn of_aggregation(spec: &MetricSpec, reason: &str) -> Self {
        let reason = format!("aggregation {:?}: {reason}", spec.aggregation);
        Self { metric: spec.name.clone(), reason }
    }

    /// A metric that is none of `known`.
    pub(super) fn unknown(task: &Task, metric: &str, known: &[&str]) -> Self {
        let (kind, known) = (task.config.output_type.name(), known.join(", "));
        let reason = format!("it cannot be computed for {kind} tasks; known are {known}");
        Self { metric: metric.to_owned(), reason }
    }

    /// The same as an error, of a task that has no other metric.
    pub(super) fn error(&self, task: &Task) -> EvaluateError {
        let place = format!("task {}, metric {}", task.name, self.metric);
        EvaluateError::At { place, source: self.reason.clone().into() }
    }
}

/// Whether there is such a metric.
enum Known {
    /// These metrics, by their names.
    As(Vec<(String, Kind)>),
    /// It is asked for and measures nothing.
    AsNothing,
    /// Why not.
    Not(String),
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
    fn of(task: &Task, spec: &MetricSpec) -> Result<Known, EvaluateError> {
        let config = &task.config;
        let as_named = |kind| Ok(Known::As(vec![(spec.name.clone(), kind)]));
        if config.output_type == OutputType::GenerateUntil
            && let Some(function) = &spec.function
            && let NativeFunction::RunsPrograms(pass_at) = native::find(function).map_err(Box::new)?
        {
            return match pass_at {
                PassAt::One => as_named(Self::PassAt(1)),
                PassAt::Listed => {
                    let listed = listed(&spec.kwargs).map_err(|message| task.wrong("metric_list", message));
                    let named = |k| (format!("pass@{k}"), Self::PassAt(k));
                    Ok(Known::As(listed.map_err(Box::new)?.into_iter().map(named).collect()))
                }
            };
        }
        if config.process_results.is_some() {
            return as_named(Self::OfFunction);
        }
        let known = known(config.output_type);
        if spec.function.is_none() && spec.name == BYPASS {
            return Ok(Known::AsNothing);
        }
        if spec.function.is_some() || !known.contains(&spec.name.as_str()) {
            return Ok(Known::Not(LeftOut::unknown(task, &spec.name, known).reason));
        }
        as_named(match (config.output_type, spec.name.as_str()) {
            (OutputType::GenerateUntil, "exact_match") => {
                let fail = |message: String| task.wrong("metric_list", message);
                Self::ExactMatch(Box::new(ExactMatch::new(&spec.kwargs).map_err(fail).map_err(Box::new)?))
            }
            (OutputType::GenerateUntil, _) => Self::Pairs,
            _ => Self::Scores,
        })
    }
}

/// The numbers of the argument `k`: one, or a list.
fn listed(kwargs: &serde_json::Map<String, Value>) -> Result<Vec<usize>, String> {
    if let Some(other) = kwargs.keys().find(|key| *key != "k") {
        return Err(format!("{other}: the metric has no such argument; it has k"));
    }
    let numbers = match kwargs.get("k") {
        Some(Value::Array(numbers)) => &numbers[..],
        Some(number) => std::slice::from_ref(number),
        None => &[],
    };
    let number = |value: &Value| value.as_u64().filter(|k| *k > 0).and_then(|k| usize::try_from(k).ok());
    let numbers: Option<Vec<usize>> = numbers.iter().map(number).collect();
    numbers.filter(|numbers| !numbers.is_empty()).ok_or_else(|| {
        let found = kwargs.get("k").map_or_else(|| "nothing".to_owned(), Value::to_string);
        format!("k: expected a number of programs, or a list of them, found {found}")
    })
}

impl Metric {
    /// The value of one document.
    ///
    /// # Errors
    /// What the task lacks for the metric, and an answer that it cannot judge, in words.
    pub fn of(
        &self,
        task: &PreparedTask,
        doc: &PreparedDoc,
        seen: Seen<'_>,
        verdicts: &Verdicts,
    ) -> Result<DocValue, String> {
        match (&self.kind, seen) {
            (Kind::PassAt(k), Seen::Answer(answer)) => {
                let programs = programs_of(doc, answer)?;
                let passed =
                    |program: &&String| verdicts.of(program).expect("every program was judged").is_passed();
                let (n, c) = (programs.len(), programs.iter().filter(passed).count());
                let value = pass_at_k(n, c, *k).ok_or_else(|| {
                    format!(
                        "it needs {k} answers to each prompt, and there are {n} (repeats in the task file)"
                    )
                });
                value.map(DocValue::Number)
            }
            (Kind::Scores, Seen::Choices(answered)) => of_choices(&self.spec.name, task, doc, answered),
            (Kind::ExactMatch(metric), Seen::Answer(answer)) => {
                let golds = right_answers(&doc.gold)?;
                let answer = text(answer)?;
                let mut right = false;
                for gold in golds {
                    right = right || metric.is_match(gold, &answer)?;
                }
                Ok(DocValue::Number(f64::from(right)))
            }
            (Kind::Pairs, Seen::Answer(answer)) => {
                let answer = text(answer)?;
                match right_answers(&doc.gold)? {
                    [gold] => Ok(DocValue::Pair(gold.clone(), answer)),
                    _ => Err(format!(
                        "{} takes one right answer, and the document has several",
                        self.spec.name
                    )),
                }
            }
            (kind, seen) => unreachable!("{kind:?} is a metric of other answers than {seen:?}"),
        }
    }
}

/// A metric of log-likelihoods.
fn of_choices(
    metric: &str,
    task: &PreparedTask,
    doc: &PreparedDoc,
    answered: &Choices,
) -> Result<DocValue, String> {
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
            multiple_choice(metric, document)
        }
        kind => {
            let ([choice], [request]) = (choices.as_slice(), doc.requests.as_slice()) else {
                unreachable!("a {} task asks one thing of a document", kind.name())
            };
            Ok(match metric {
                "acc" => DocValue::Number(f64::from(choice.is_greedy)),
                "perplexity" => DocValue::Number(choice.logprob),
                "word_perplexity" => {
                    let words = count_split_by_space(&request.continuation);
                    DocValue::Weighted(choice.logprob, words as f64)
                }
                _ => DocValue::Weighted(choice.logprob, request.continuation.len() as f64),
            })
        }
    }
}

/// What a filter left, as Python's `str` has it.
fn text(answer: &Value) -> Result<String, String> {
    match answer {
        Value::String(text) => Ok(text.clone()),
        Value::Array(_) => Err("the filter leaves a list; end it with take_first".into()),
        other => Ok(python::repr_data(other)),
    }
}

fn right_answers(gold: &Gold) -> Result<&[String], String> {
    match gold {
        Gold::Text(text) => Ok(std::slice::from_ref(text)),
        Gold::Texts(texts) => Ok(texts),
        _ => Err("the right answer is no text".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_filter_leaves_is_a_text_as_python_prints_it() {
        for (left, printed) in [
            (json!("a"), "a"),
            (json!(true), "True"),
            (json!(null), "None"),
            (json!(1e16), "1e+16"),
            (json!(7), "7"),
        ] {
            assert_eq!(text(&left).unwrap(), printed);
        }
        assert!(text(&json!(["a"])).unwrap_err().contains("take_first"));
    }
}
