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

/// One step over the answers to one prompt: what is made of them, or what is wrong with the document or the answers,
/// in words.
pub type Filter = Box<dyn Fn(&Document, Vec<Value>) -> Result<Vec<Value>, String> + Send + Sync>;

/// A step that makes one answer of each; what is no text counts as empty.
pub(crate) fn each(one: impl Fn(&Document, &str) -> Result<Value, String> + Send + Sync + 'static) -> Filter {
    Box::new(move |document, answers| {
        answers.iter().map(|answer| one(document, answer.as_str().unwrap_or(""))).collect()
    })
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
