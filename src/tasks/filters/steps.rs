//! The steps that need no pattern of their own.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::Filter;
use super::args::Args;
use super::regex::text_of;
use crate::python::regex::{Found, PyRegex};
use crate::python::text as python;
use crate::tasks::native::Document;

/// `take_first_k`: the first `k` answers.
#[derive(Debug)]
pub(super) struct TakeFirstK(pub usize);

impl Filter for TakeFirstK {
    fn apply(&self, _: &Document, mut answers: Vec<Value>) -> Result<Vec<Value>, String> {
        if answers.len() < self.0 {
            return Err(format!(
                "take_first_k needs {} answers, found {}; raise `repeats`",
                self.0,
                answers.len()
            ));
        }
        answers.truncate(self.0);
        Ok(answers)
    }
}

/// `majority_vote`: the answer that comes most often, the first among equals.
#[derive(Debug)]
pub(super) struct MajorityVote;

impl Filter for MajorityVote {
    fn apply(&self, _: &Document, answers: Vec<Value>) -> Result<Vec<Value>, String> {
        let mut counts: Vec<(Value, usize)> = Vec::new();
        for answer in answers {
            match counts.iter_mut().find(|(known, _)| *known == answer) {
                Some((_, count)) => *count += 1,
                None => counts.push((answer, 1)),
            }
        }
        let best = counts.iter().map(|(_, count)| *count).max();
        let winner = counts.into_iter().find(|(_, count)| Some(*count) == best);
        Ok(winner.map(|(answer, _)| answer).into_iter().collect())
    }
}

/// A step that changes each answer by itself.
#[derive(Debug)]
pub(super) struct Each(pub fn(&str) -> Result<String, String>);

impl Filter for Each {
    fn apply(&self, _: &Document, answers: Vec<Value>) -> Result<Vec<Value>, String> {
        answers.iter().map(|answer| (self.0)(text_of(answer)).map(Value::String)).collect()
    }
}

pub(super) fn strip(text: &str) -> Result<String, String> {
    Ok(python::strip(text).to_owned())
}

pub(super) fn lower(text: &str) -> Result<String, String> {
    Ok(text.to_lowercase())
}

pub(super) fn upper(text: &str) -> Result<String, String> {
    Ok(text.to_uppercase())
}

/// `map`: each answer by a table, or the default.
#[derive(Debug)]
pub(super) struct Table {
    table: Map<String, Value>,
    default: Value,
}

impl Table {
    pub fn new(mut args: Args) -> Result<Self, String> {
        let filter = Self {
            table: args.map("mapping_dict")?,
            // Nothing (`null`) where none is named.
            default: args.value("default_value").unwrap_or(Value::Null),
        };
        args.done().map(|()| filter)
    }
}

impl Filter for Table {
    fn apply(&self, _: &Document, answers: Vec<Value>) -> Result<Vec<Value>, String> {
        let one = |answer: &Value| self.table.get(text_of(answer)).unwrap_or(&self.default).clone();
        Ok(answers.iter().map(one).collect())
    }
}

/// Words for kinds of names, and the labels they become.
const LABELS: [(&str, &str); 15] = [
    ("person", "PER"),
    ("location", "LOC"),
    ("organization", "ORG"),
    ("counties", "LOC"),
    ("places", "LOC"),
    ("people", "PER"),
    ("persons", "PER"),
    ("company", "ORG"),
    ("country", "LOC"),
    ("continent", "LOC"),
    ("time", "DATE"),
    ("date", "DATE"),
    ("per", "PER"),
    ("loc", "LOC"),
    ("org", "ORG"),
];

struct Spans {
    labels: Vec<(PyRegex, String)>,
    entities: PyRegex,
}

static SPANS: LazyLock<Spans> = LazyLock::new(|| {
    let label =
        |(word, label): &(&str, &str)| (PyRegex::ours(&format!(r"\b{word}\s*:")), format!("{label}:"));
    let entities = PyRegex::ours(r"\b(PER|LOC|ORG|DATE):\s*([^$]+)");
    Spans { labels: LABELS.iter().map(label).collect(), entities }
});

/// `format_span`: named entities as `label: name $ label: name`, those called "none" left out.
pub(super) fn format_span(text: &str) -> Result<String, String> {
    let mut text = text.to_lowercase();
    for (regex, label) in &SPANS.labels {
        text = regex.replace(&text, |_| Ok(label.clone()))?;
    }
    let text = text.replace("$$", "$");
    let text = text.trim_end_matches('$').replace('\n', "$");
    let mut entities = Vec::new();
    for found in SPANS.entities.find_all(python::strip(&text))? {
        let Found::Groups(groups) = found else { unreachable!("the pattern has two groups") };
        let (label, names) = (&groups[0], &groups[1]);
        let names = names.split(',').map(python::strip).filter(|name| name.to_lowercase() != "none");
        entities.extend(names.map(|name| format!("{}: {name}", label.to_lowercase())));
    }
    Ok(entities.join(" $ "))
}
