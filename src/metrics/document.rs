//! What one document brings to the metrics: its right answer and its values.

use super::Classes;

/// The right answer of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gold {
    /// The choice with this index.
    Index(usize),
    /// Any of these choices; those out of range are left out.
    Indices(Vec<usize>),
    /// The answer is none of the choices: every model is wrong here.
    OutOfRange,
    /// The text itself: what is scored (`loglikelihood`), or the right answer (`generate_until`).
    Text(String),
    /// Any of these answers (`generate_until`).
    Texts(Vec<String>),
}

/// What one document adds to a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum DocValue {
    /// A number of its own.
    Number(f64),
    /// A sum and how many units it is over: a log-likelihood and words, say.
    Weighted(f64, f64),
    /// A reference and an answer, for metrics over all documents together.
    Pair(String, String),
    /// The right choice and the one that was taken, for metrics over all documents together.
    Classes(Classes),
}

/// The place of the highest of one or more values, the first among equals. As numpy's `argmax`, it takes the first
/// NaN for the highest.
pub fn first_highest(values: &[f64]) -> usize {
    let mut best: Option<(usize, f64)> = None;
    for (at, value) in values.iter().copied().enumerate() {
        if value.is_nan() {
            return at;
        }
        if best.is_none_or(|(_, highest)| value > highest) {
            best = Some((at, value));
        }
    }
    best.expect("one value at least").0
}
