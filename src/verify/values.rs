//! Verdict of the values: a trained model, a difference, an untrained one, dead or repeated matrices, odd rows.
//!
//! Two numbers tell a difference from a model without knowing either: the median over all norms of their weights' mean
//! magnitude, and the median over all projections of their *gain*, the standard deviation times the root of the
//! number of inputs.
//!
//! | | norms, median | gain, median |
//! |---|--:|--:|
//! | stories260K (width 64) | 1.10 | 1.02 |
//! | SmolLM2-135M (width 576) | 0.25 | 4.72 |
//! | tiny BLOOMs of random weights (24, 32) | ≥ 0.97 | ≥ 0.7 |
//! | the deltas of the Vicuna, Alpaca and Ziya forms to stories260K | ≤ 0.01 | ≤ 0.09 |
//!
//! Medians, because the first norms of a trained model can be small (0.03 in SmolLM2), and because Ziya's
//! difference has whole embeddings in it. What starts from `transformers`' initialisation has norm weights of exactly
//! 1 everywhere; no trained model has. Measured here on those models.

use super::finding::and_more;
use super::pass::Pass;
use super::rows::listed;
use super::{Check, Finding};
use crate::weights::TensorSource;

/// Below this median of the norms' mean magnitudes the norms are those of a difference.
pub(super) const NORM_LIMIT: f64 = 0.05;
/// Below this median of the gains the projections are those of a difference.
const GAIN_LIMIT: f64 = 0.2;
/// Norms from which "all are exactly one" says something.
const TELLING: usize = 3;

/// What the values are those of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// A model that was trained.
    Model,
    /// A model as it is before training.
    Untrained,
    /// What a base lacks to be a model: all of it near zero.
    Difference,
    /// Norms and projections disagree.
    Mixed,
    /// There are no norms or no projections to go by.
    Unknown,
}

/// Medians over the tensors of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Summary {
    pub nature: Nature,
    /// Of the norms' mean magnitudes.
    pub norms: f64,
    /// Of the projections' gains.
    pub gain: f64,
    /// Of the projections' standard deviations.
    pub std: f64,
    /// Of the projections' kurtoses; 3 for a normal distribution.
    pub kurtosis: f64,
}

impl Summary {
    /// Looks at norms and projections.
    pub fn of(pass: &Pass) -> Summary {
        let norms: Vec<_> = pass.tensors.iter().filter(|t| t.is_norm()).filter_map(|t| t.moments).collect();
        let projections: Vec<_> = pass.tensors.iter().filter(|t| t.is_projection()).collect();
        let of_projections = |number: fn(&super::stats::Moments) -> f64| {
            median(projections.iter().filter_map(|t| t.moments.as_ref()).map(number))
        };
        let norm = median(norms.iter().map(|moments| moments.mean_abs()));
        let gain = median(projections.iter().filter_map(|t| t.gain()));
        let nature = match (norm, gain) {
            (Some(norm), Some(gain)) => match (norm < NORM_LIMIT, gain < GAIN_LIMIT) {
                (true, true) => Nature::Difference,
                (false, false)
                    if norms.len() >= TELLING && norms.iter().all(|m| m.constant() == Some(1.0)) =>
                {
                    Nature::Untrained
                }
                (false, false) => Nature::Model,
                _ => Nature::Mixed,
            },
            _ => Nature::Unknown,
        };
        let known = |number: Option<f64>| number.unwrap_or(f64::NAN);
        Summary {
            nature,
            norms: known(norm),
            gain: known(gain),
            std: known(of_projections(|m| m.std())),
            kurtosis: known(of_projections(|m| m.kurtosis())),
        }
    }

    /// The numbers in words.
    pub fn numbers(&self) -> String {
        format!(
            "norm weights {:.3}, gain of projections {:.3}, kurtosis {:.1} (medians)",
            self.norms, self.gain, self.kurtosis
        )
    }

    /// What it says about a folder that is to be a model.
    pub fn finding(&self) -> Finding {
        let numbers = self.numbers();
        match self.nature {
            Nature::Model => {
                Finding::ok(Check::Values, format!("those of a model, not of a difference: {numbers}"))
            }
            Nature::Difference => {
                Finding::warning(Check::Values, format!("those of a difference: {numbers}"))
                    .expected(format!("a model's: norm weights above {NORM_LIMIT}, gain above {GAIN_LIMIT}"))
                    .advice("run as it is, a difference talks noise: add it to its base first (zoo build)")
            }
            Nature::Untrained => {
                let found =
                    format!("every norm weight exactly 1, projections of std {:.4}: {numbers}", self.std);
                Finding::warning(Check::Values, found)
                    .expected("weights that training has changed")
                    .advice("the weights look untrained: fetch the trained ones")
            }
            Nature::Mixed => Finding::warning(Check::Values, numbers)
                .expected(
                    "norms and projections that are both those of a model or both those of a difference",
                )
                .advice("the parts may be of different releases: compare digests with the publisher's"),
            Nature::Unknown => Finding::note(
                Check::Values,
                "no norms or no projections: nothing tells what the values are of",
            ),
        }
    }
}

/// Values that are not finite.
pub(super) fn finite(pass: &Pass) -> Finding {
    let bad: Vec<_> = pass
        .tensors
        .iter()
        .filter_map(|t| Some((t, t.moments?.non_finite)))
        .filter(|(_, n)| n.total() > 0)
        .collect();
    let Some((first, of_first)) = bad.first() else {
        let values: u64 = pass.tensors.iter().filter_map(|t| t.moments).map(|m| m.count).sum();
        return Finding::ok(Check::Finite, format!("all {values} values of {} tensors", pass.tensors.len()));
    };
    let (nan, infinite) = bad.iter().fold((0, 0), |(nan, inf), (_, n)| (nan + n.nan, inf + n.infinite));
    let found = if bad.len() == 1 {
        format!("{nan} NaN and {infinite} infinite values")
    } else {
        format!(
            "{} NaN and {} infinite values, and in {} tensors together {nan} and {infinite}",
            of_first.nan,
            of_first.infinite,
            bad.len()
        )
    };
    Finding::failure(Check::Finite, "non-finite values", found)
        .at(format!("tensor {:?}", first.name))
        .expected("finite values")
        .advice("every result would be NaN: fetch the file again, or convert from a wider type")
}

/// Matrices in which nothing varies, and matrices that are there twice.
pub(super) fn dead_and_repeated(pass: &Pass, source: &dyn TensorSource) -> Vec<Finding> {
    let mut findings = Vec::new();
    let dead: Vec<_> = pass
        .tensors
        .iter()
        .filter(|t| t.shape.len() == 2 || t.is_norm())
        .filter_map(|t| Some((t, t.moments?.constant()?)))
        .filter(|(t, value)| (t.shape.iter().product::<usize>() > 1) && !(t.is_norm() && *value == 1.0))
        .collect();
    if let Some((first, value)) = dead.first() {
        let more = and_more(dead.len(), "such tensors");
        findings.push(
            Finding::warning(Check::Values, format!("{value} in every place{more}"))
                .at(format!("tensor {:?}", first.name))
                .expected("values that differ")
                .advice("the tensor was never filled: fetch or convert the model again"),
        );
    }
    let mut by_numbers: Vec<(_, &str)> = pass
        .tensors
        .iter()
        .filter(|t| t.is_projection())
        .filter_map(|t| {
            let m = t.moments.filter(|m| m.constant().is_none())?;
            let bits = [m.sum, m.sum_abs, m.sum_2, m.sum_4].map(f64::to_bits);
            Some(((t.shape.clone(), t.dtype.name(), bits, m.min.to_bits(), m.max.to_bits()), t.name.as_str()))
        })
        .collect();
    by_numbers.sort();
    let same_bytes = |a: &str, b: &str| match (source.tensor(a), source.tensor(b)) {
        (Ok(a), Ok(b)) => a.data == b.data,
        _ => false,
    };
    // The numbers only point out candidates.
    let pairs = by_numbers.windows(2).filter_map(|pair| match pair {
        [(a, first), (b, second)] if a == b && same_bytes(first, second) => Some((*first, *second)),
        _ => None,
    });
    let pairs: Vec<(&str, &str)> = pairs.collect();
    if let Some((first, second)) = pairs.first() {
        let more = and_more(pairs.len(), "such pairs");
        findings.push(
            Finding::warning(Check::Values, format!("the very values of {first:?}{more}"))
                .at(format!("tensor {second:?}"))
                .expected("values of its own")
                .advice(
                    "layers may have been copied or converted under wrong names: compare with the release",
                ),
        );
    }
    findings
}

/// Rows of the vocabulary that are zero or equal to others.
pub(super) fn odd_rows(pass: &Pass) -> Vec<Finding> {
    let with_rows = pass.tensors.iter().filter_map(|t| Some((t, t.rows.as_ref()?)));
    with_rows
        .filter(|(_, rows)| !(rows.zero.is_empty() && rows.repeated.is_empty()))
        .map(|(tensor, rows)| {
            let mut found = Vec::new();
            if !rows.zero.is_empty() {
                found.push(format!("{} of zeros", listed(&rows.zero)));
            }
            if !rows.repeated.is_empty() {
                found.push(format!("{} equal to an earlier one", listed(&rows.repeated)));
            }
            let text = format!("{} among {}", found.join(" and "), rows.rows);
            let at = format!("tensor {:?}", tensor.name);
            // Tokens that never occurred keep their first values; half a vocabulary of them is no vocabulary.
            if rows.zero.len() + rows.repeated.len() > rows.rows / 2 {
                Finding::warning(Check::Values, text)
                    .expected("a row of its own for most tokens")
                    .advice("the vocabulary may have been grown and never trained")
                    .at(at)
            } else {
                Finding::note(Check::Values, format!("{text}: tokens that were added and not trained")).at(at)
            }
        })
        .collect()
}

/// The middle of the finite numbers; the mean of the two middle ones of an even count.
pub(super) fn median(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.filter(|x| x.is_finite()).collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    let lower = if numbers.len().is_multiple_of(2) { *numbers.get(middle - 1)? } else { upper };
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0, 1.0, f64::NAN, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
    }
}
