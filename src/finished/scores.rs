//! The values of documents, and how those of a task become its value.
//!
//! A run's files have for each document its values, and for each task what they become, but not how. What a mean, a median or a
//! perplexity of the values is, is computed; the one that is the task's value, to the last digits, is how. A value that is none of these, such
//! as F1 or BLEU, is made of more than the samples hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rayon::prelude::*;
use serde::Deserialize;

use super::error::chain;
use super::join::Joined;
use super::run::Run;
use crate::metrics::Aggregation;
use crate::report::{Row, TaskKind};

/// How far a sum of the same numbers may be from itself, where the value was rounded on its way to a file.
const SAME: f64 = 1e-9;

/// What of a line of samples is wanted.
#[derive(Debug, Deserialize)]
struct Line {
    doc_id: usize,
    metrics: BTreeMap<String, f64>,
    #[serde(default)]
    cluster: Option<String>,
    #[serde(default)]
    choices: Vec<Logprob>,
}

#[derive(Debug, Deserialize)]
struct Logprob {
    logprob: f64,
}

/// The documents of a task, as one model answered them, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Documents {
    pub ids: Vec<usize>,
    /// What each belongs to, where documents share something.
    pub clusters: Option<Vec<String>>,
}

/// The values of a row's documents.
#[derive(Debug, Clone)]
pub(super) struct Scores {
    pub documents: Arc<Documents>,
    /// In their order.
    pub values: Vec<f64>,
    /// What makes the row's value of them.
    pub aggregation: Aggregation,
}

/// The scores of every task's row of `joined`, or why there are none; `None` for groups.
pub(super) fn scores(joined: &Joined, runs: &[Run]) -> Vec<Option<Result<Scores, String>>> {
    // A file is read once for all metrics of its task.
    let mut files: HashMap<(usize, &str, &str, &str), Vec<usize>> = HashMap::new();
    for (at, row) in joined.rows.iter().enumerate().filter(|(_, row)| row.kind == TaskKind::Task) {
        let file = (joined.run_of[at], row.model.as_str(), row.protocol.as_str(), row.task.as_str());
        files.entry(file).or_default().push(at);
    }
    let read: Vec<(usize, Result<Scores, String>)> = files
        .into_par_iter()
        .flat_map_iter(|((run, ..), rows)| {
            let lines = match runs[run].answers::<Line>(&joined.rows[rows[0]]) {
                Ok((_, mut lines)) => {
                    lines.sort_by_key(|line| line.doc_id);
                    Ok(lines)
                }
                Err(error) => Err(chain(&error)),
            };
            let documents = lines.as_ref().ok().map(|lines| Arc::new(documents(lines)));
            let of = |at: usize| match (&lines, &documents) {
                (Ok(lines), Some(documents)) => of_row(&joined.rows[at], lines, documents),
                (Err(reason), _) => Err(reason.clone()),
                (Ok(_), None) => unreachable!("lines are of documents"),
            };
            rows.into_iter().map(|at| (at, of(at))).collect::<Vec<_>>()
        })
        .collect();
    let mut all = vec![None; joined.rows.len()];
    for (at, scores) in read {
        all[at] = Some(scores);
    }
    all
}

fn documents(lines: &[Line]) -> Documents {
    Documents {
        ids: lines.iter().map(|line| line.doc_id).collect(),
        clusters: lines.iter().map(|line| line.cluster.clone()).collect(),
    }
}

fn of_row(row: &Row, lines: &[Line], documents: &Arc<Documents>) -> Result<Scores, String> {
    if lines.windows(2).any(|pair| pair[0].doc_id == pair[1].doc_id) {
        return Err(format!(
            "{}: a document has two lines of samples",
            row.label.as_deref().unwrap_or(&row.model)
        ));
    }
    let expected =
        row.value.ok_or_else(|| row.missing.clone().unwrap_or_else(|| "there is no value".to_owned()))?;
    let key = format!("{},{}", row.metric, row.filter);
    let own: Vec<f64> =
        lines.iter().map(|line| line.metrics.get(&key).copied().unwrap_or(f64::NAN)).collect();
    let likelihoods = || -> Option<Vec<f64>> {
        let one = |line: &Line| match line.choices[..] {
            [Logprob { logprob }] => Some(logprob),
            _ => None,
        };
        lines.iter().map(one).collect()
    };
    let candidates = if own.iter().all(|value| value.is_nan()) {
        likelihoods().map(|values| (values, &[Aggregation::Perplexity][..]))
    } else if own.iter().any(|value| value.is_nan()) {
        Some((own, &[Aggregation::NanMean][..]))
    } else {
        Some((own, &[Aggregation::Mean, Aggregation::Median][..]))
    };
    let (values, kinds) = candidates.unwrap_or_default();
    let is_it = |kind: &Aggregation| {
        let found = kind.value_of(&values);
        found.is_some_and(|found| (found - expected).abs() <= SAME * expected.abs().max(1.0))
    };
    let kind = kinds.iter().copied().find(is_it);
    let aggregation = kind.ok_or_else(|| {
        format!("the samples do not hold what {} is made of, document by document", row.metric)
    })?;
    Ok(Scores { documents: Arc::clone(documents), values, aggregation })
}
