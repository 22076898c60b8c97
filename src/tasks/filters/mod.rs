//! `filter_list`: what is made of a model's answers before they are graded.
//!
//! A pipeline takes the answers to one prompt (one, or as many as `repeats` says) through its steps. It
//! normally ends in `take_first`, which leaves a single answer; a step after that sees the characters of
//! this answer as so many answers, as in Python. Each pipeline has metrics of its own, named
//! `metric,filter`. Behaviour of lm-evaluation-harness 0.4.13.

mod args;
mod regex;
mod steps;

use serde_json::Value;

use super::error::TaskError;
use super::native::{self, Document};
use super::schema::FilterStep;
use super::suite::Task;
use crate::python::text::strip;

pub use args::Args;
pub(crate) use regex::{Ignores, Select, multi_choice};

/// The name of the pipeline of a task that lists none: it takes the first answer.
pub const NO_FILTER: &str = "none";

/// One step over the answers to one prompt: what is made of them, or what is wrong with the document or the answers,
/// in words.
pub type Filter = Box<dyn Fn(&Document, Vec<Value>) -> Result<Vec<Value>, String> + Send + Sync>;

/// A step that makes one answer of each; what is no text counts as empty.
pub(crate) fn each(one: impl Fn(&Document, &str) -> Result<Value, String> + Send + Sync + 'static) -> Filter {
    Box::new(move |document, answers| {
        answers.iter().map(|answer| one(document, answer.as_str().unwrap_or(""))).collect()
    })
}

/// The steps of a pipeline, ready to be applied.
pub struct Pipeline {
    /// Its name, printed after the comma of `metric,filter`.
    pub name: String,
    steps: Vec<Step>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One step of a pipeline.
enum Step {
    /// Answers to answers.
    Filter(Filter),
    /// `take_first`: answers to one answer.
    TakeFirst,
}

/// The names of all steps that need no function.
const KNOWN: [&str; 12] = [
    "take_first",
    "take_first_k",
    "majority_vote",
    "regex",
    "multi_choice_regex",
    "remove_whitespace",
    "lowercase",
    "uppercase",
    "map",
    "format_span",
    "custom",
    "decontaminate",
];

impl Pipeline {
    /// The pipelines of a task; one that takes the first answer if it lists none.
    ///
    /// # Errors
    /// Unknown steps and wrong arguments, with file and key.
    pub fn of(task: &Task) -> Result<Vec<Self>, TaskError> {
        let Some(listed) = &task.config.filter_list else {
            return Ok(vec![Self { name: NO_FILTER.into(), steps: vec![Step::TakeFirst] }]);
        };
        let mut pipelines: Vec<Self> = Vec::with_capacity(listed.len());
        for (at, config) in listed.iter().enumerate() {
            let fail = |key: String, message: String| {
                TaskError::field(task.file.display(), format!("filter_list[{at}]{key}"), message)
            };
            let mut steps = Vec::new();
            for (number, step) in config.steps.iter().enumerate() {
                let key = format!(".filter[{number}]");
                if step.function == "take_first" {
                    steps.push(Step::TakeFirst);
                } else if let Some(built) = build(step).map_err(|e| e.into_task_error(|m| fail(key, m)))? {
                    steps.push(Step::Filter(built));
                }
            }
            if pipelines.iter().any(|known| known.name == config.name) {
                return Err(fail(".name".into(), format!("a filter named {:?} stands above", config.name)));
            }
            pipelines.push(Self { name: config.name.clone(), steps });
        }
        Ok(pipelines)
    }

    /// The answers to one prompt after all steps: one answer, or a list if nothing takes the first.
    ///
    /// # Errors
    /// What a step finds wrong, in words.
    pub fn apply(&self, document: &Document, answers: &[String]) -> Result<Value, String> {
        let mut now = Value::Array(answers.iter().map(|text| text.as_str().into()).collect());
        for step in &self.steps {
            let answers = listed(now)?;
            now = match step {
                Step::Filter(filter) => Value::Array(filter(document, answers)?),
                Step::TakeFirst => {
                    let first = answers.into_iter().next();
                    first.ok_or_else(|| "there is no answer to take the first of".to_owned())?
                }
            };
        }
        Ok(now)
    }
}

/// The answers that a step sees; of a single one that is left its characters.
fn listed(answers: Value) -> Result<Vec<Value>, String> {
    match answers {
        Value::Array(answers) => Ok(answers),
        Value::String(text) => Ok(text.chars().map(|c| c.to_string().into()).collect()),
        other => Err(format!("a step after take_first needs a text, found {other}; end with take_first")),
    }
}

/// Why a step cannot be built.
enum Unbuilt {
    Words(String),
    Error(Box<TaskError>),
}

impl Unbuilt {
    fn into_task_error(self, wrap: impl FnOnce(String) -> TaskError) -> TaskError {
        match self {
            Self::Words(message) => wrap(message),
            Self::Error(error) => *error,
        }
    }
}

/// A step; none for one that does nothing.
fn build(step: &FilterStep) -> Result<Option<Filter>, Unbuilt> {
    let args = Args::new(&step.kwargs);
    if let Some(function) = &step.native {
        let make = native::filter(function).map_err(|error| Unbuilt::Error(Box::new(error)))?;
        return make(args).map(Some).map_err(Unbuilt::Words);
    }
    let built = match step.function.as_str() {
        "regex" => regex::regex(args),
        "multi_choice_regex" => regex::multi_choice(args, regex::choices),
        "remove_whitespace" => args.done().map(|()| each(|_, answer| Ok(strip(answer).into()))),
        "lowercase" => args.done().map(|()| each(|_, answer| Ok(answer.to_lowercase().into()))),
        "uppercase" => args.done().map(|()| each(|_, answer| Ok(answer.to_uppercase().into()))),
        "format_span" => {
            args.done().map(|()| each(|_, answer| steps::format_span(answer).map(Value::String)))
        }
        "majority_vote" => args.done().map(|()| steps::majority_vote()),
        "map" => steps::table(args),
        "take_first_k" => steps::take_first_k(args),
        "decontaminate" => return Ok(None),
        "custom" => Err("filter_fn: expected `!function module.name`".into()),
        other => {
            let nearest = super::error::nearest(other, KNOWN);
            let meant = nearest.map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
            Err(format!("no filter is named {other:?}{meant}; known are {}", KNOWN.join(", ")))
        }
    };
    built.map(Some).map_err(Unbuilt::Words)
}

#[cfg(test)]
mod tests;
