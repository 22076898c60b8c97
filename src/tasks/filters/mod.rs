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

pub use args::Args;
pub(crate) use regex::{Ignores, MultiChoice, Select, text_of};

/// The name of the pipeline of a task that lists none: it takes the first answer.
pub const NO_FILTER: &str = "none";

/// One step over the answers to one prompt.
pub trait Filter: Send + Sync + std::fmt::Debug {
    /// The answers after this step.
    ///
    /// # Errors
    /// What is wrong with the document or the answers, in words.
    fn apply(&self, document: &Document, answers: Vec<Value>) -> Result<Vec<Value>, String>;
}

/// The steps of a pipeline, ready to be applied.
#[derive(Debug)]
pub struct Pipeline {
    /// Its name, printed after the comma of `metric,filter`.
    pub name: String,
    steps: Vec<Step>,
}

/// One step of a pipeline.
#[derive(Debug)]
enum Step {
    /// Answers to answers.
    Filter(Box<dyn Filter>),
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
            let fail = |key: String, message: String| TaskError::Field {
                file: task.file.display(),
                line: None,
                key: format!("filter_list[{at}]{key}"),
                message,
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
                Step::Filter(filter) => Value::Array(filter.apply(document, answers)?),
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
fn build(step: &FilterStep) -> Result<Option<Box<dyn Filter>>, Unbuilt> {
    let mut args = Args::new(&step.kwargs);
    if let Some(function) = &step.native {
        let make = native::filter(function).map_err(|error| Unbuilt::Error(Box::new(error)))?;
        return make(args).map(Some).map_err(Unbuilt::Words);
    }
    let plain = |args: Args, filter: Box<dyn Filter>| args.done().map(|()| Some(filter));
    let built = match step.function.as_str() {
        "regex" => regex::RegexFilter::new(args).map(|f| Some(Box::new(f) as Box<dyn Filter>)),
        "multi_choice_regex" => {
            MultiChoice::new(args, MultiChoice::column).map(|f| Some(Box::new(f) as Box<dyn Filter>))
        }
        "remove_whitespace" => plain(args, Box::new(steps::Each(steps::strip))),
        "lowercase" => plain(args, Box::new(steps::Each(steps::lower))),
        "uppercase" => plain(args, Box::new(steps::Each(steps::upper))),
        "format_span" => plain(args, Box::new(steps::Each(steps::format_span))),
        "majority_vote" => plain(args, Box::new(steps::MajorityVote)),
        "map" => steps::Table::new(args).map(|f| Some(Box::new(f) as Box<dyn Filter>)),
        "take_first_k" => match args.integer("k") {
            Ok(k) if k.is_some_and(|k| k > 0) => {
                let k = k.and_then(|k| usize::try_from(k).ok()).expect("it is above 0");
                plain(args, Box::new(steps::TakeFirstK(k)))
            }
            Ok(_) => Err("k: expected a whole number above 0".into()),
            Err(message) => Err(message),
        },
        "decontaminate" => Ok(None),
        "custom" => Err("filter_fn: expected `!function module.name`".into()),
        other => {
            let nearest = super::error::nearest(other, KNOWN);
            let meant = nearest.map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
            Err(format!("no filter is named {other:?}{meant}; known are {}", KNOWN.join(", ")))
        }
    };
    built.map_err(Unbuilt::Words)
}

#[cfg(test)]
mod tests;
