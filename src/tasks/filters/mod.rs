//! `filter_list`: what is made of a model's answers before they are graded.
//!
//! A [`Pipeline`](super::pipeline::Pipeline) takes the answers to one prompt (one, or as many as `repeats` says) through
//! its steps. It normally ends in `take_first`, which leaves a single answer; a step after that sees the characters of
//! this answer as so many answers, as in Python. Each pipeline has metrics of its own, named
//! `metric,filter`. Behaviour of lm-evaluation-harness 0.4.13.

mod args;
mod regex;
mod steps;

use serde_json::Value;

use super::document::Document;
use super::error::{did_you_mean, nearest};
use crate::python::text::strip;

pub use args::FilterArgs;
pub(crate) use regex::{Ignores, Select, multi_choice};

/// The name of the pipeline of a task that lists none: it takes the first answer.
pub const NO_FILTER: &str = "none";

/// One step over the answers to one prompt.
pub enum Filter {
    /// Makes other answers of them.
    Change(Change),
    /// Looks for something in each of them.
    Extract {
        /// What was found, answer by answer.
        find: Extract,
        /// What stands where nothing was found.
        fallback: Value,
    },
}

/// What is made of answers, or what is wrong with the document or the answers, in words.
pub type Change = Box<dyn Fn(&Document, Vec<Value>) -> Result<Vec<Value>, String> + Send + Sync>;
/// What is found in answers, one by one; `None` where there is nothing.
pub type Extract = Box<dyn Fn(&Document, &[&str]) -> Result<Vec<Option<Value>>, String> + Send + Sync>;

/// Answers after a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Filtered {
    /// The answers.
    pub answers: Vec<Value>,
    /// In how many of those before it the step found something, if it looks for something.
    pub found: Option<usize>,
}

impl Filter {
    /// Takes the answers to one prompt through the step; what is no text counts as empty where something is looked for.
    ///
    /// # Errors
    /// What is wrong with the document or the answers, in words.
    pub fn apply(&self, document: &Document, answers: Vec<Value>) -> Result<Filtered, String> {
        match self {
            Self::Change(change) => Ok(Filtered { answers: change(document, answers)?, found: None }),
            Self::Extract { find, fallback } => {
                let texts: Vec<&str> = answers.iter().map(|answer| answer.as_str().unwrap_or("")).collect();
                let all = find(document, &texts)?;
                let found = Some(all.iter().flatten().count());
                let answers = all.into_iter().map(|one| one.unwrap_or_else(|| fallback.clone())).collect();
                Ok(Filtered { answers, found })
            }
        }
    }
}

/// A step that makes one answer of each; what is no text counts as empty.
pub(crate) fn each(one: impl Fn(&Document, &str) -> Result<Value, String> + Send + Sync + 'static) -> Filter {
    Filter::Change(Box::new(move |document, answers| {
        answers.iter().map(|answer| one(document, answer.as_str().unwrap_or(""))).collect()
    }))
}

/// A step that looks for something in each answer, and puts `fallback` where it finds nothing.
pub(crate) fn find_in_each(
    fallback: Value,
    one: impl Fn(&Document, &str) -> Result<Option<Value>, String> + Send + Sync + 'static,
) -> Filter {
    let find = move |document: &Document, answers: &[&str]| {
        answers.iter().map(|answer| one(document, answer)).collect()
    };
    Filter::Extract { find: Box::new(find), fallback }
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

/// A step by its name; none for one that does nothing.
///
/// # Errors
/// An unknown step and wrong arguments, in words.
pub(super) fn named(name: &str, args: FilterArgs) -> Result<Option<Filter>, String> {
    let built = match name {
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
            let meant = did_you_mean(nearest(other, KNOWN).as_deref());
            Err(format!("no filter is named {other:?}{meant}; known are {}", KNOWN.join(", ")))
        }
    };
    built.map(Some)
}
