//! The steps that need no pattern of their own.

use std::sync::LazyLock;

use serde_json::Value;

use super::args::FilterArgs;
use super::{Filter, each};
use crate::python::regex::{Found, PyRegex};
use crate::python::text as python;

/// `take_first_k`: the first `k` answers.
pub(super) fn take_first_k(mut args: FilterArgs) -> Result<Filter, String> {
    let k = args.integer("k")?.and_then(|k| usize::try_from(k).ok()).filter(|k| *k > 0);
    let k = k.ok_or("k: expected a whole number above 0")?;
    args.done()?;
    Ok(Filter::Change(Box::new(move |_, mut answers| {
        if answers.len() < k {
            return Err(format!("take_first_k needs {k} answers, found {}; raise `repeats`", answers.len()));
        }
        answers.truncate(k);
        Ok(answers)
    })))
}

/// `majority_vote`: the answer that comes most often, the first among equals.
pub(super) fn majority_vote() -> Filter {
    Filter::Change(Box::new(|_, answers| {
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
    }))
}

/// `map`: each answer by a table, or the default, which is nothing (`null`) where none is named.
pub(super) fn table(mut args: FilterArgs) -> Result<Filter, String> {
    let table = args.map("mapping_dict")?;
    let default = args.value("default_value").unwrap_or(Value::Null);
    args.done()?;
    Ok(each(move |_, answer| Ok(table.get(answer).unwrap_or(&default).clone())))
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
