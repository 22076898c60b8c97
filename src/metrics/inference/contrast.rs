//! Two models on the same documents: what the difference of a metric is, and what is known of it.
//!
//! Which test and which interval belong to a metric is decided here, by its aggregation and its values alone:
//!
//! | metric | test | interval |
//! |---|---|---|
//! | a mean of values that are all 0 or 1 | McNemar's, exact | Newcombe's |
//! | any other mean, or documents in clusters | permutation of the differences' signs | Student's, with the clusters' error |
//! | a mean over the tasks of a group, each counted once | the same, each difference by its weight | normal |
//! | a value of all documents together: perplexity, BLEU, F1, … | permutation of the sides | percentiles of a bootstrap |
//! | a median | none | none |

use super::resampling::error_by_clusters;
use super::{
    Clusters, Disagreement, NORMAL_975, Permutation, detectable, interval_of_mean, interval_of_paired_shares,
    mcnemar, percentile_interval, sign_flips, swaps,
};
use crate::metrics::aggregate::Column;
use crate::metrics::average::{mean, median, nan_mean, ratio};
use crate::metrics::classes::{f1, matthews};
use crate::metrics::similarity::corpus_score;
use crate::metrics::{Aggregation, DocValue};

/// The answers of two models to the documents of one task.
#[derive(Debug, Clone, Copy)]
pub struct Part<'d> {
    /// How the values become one.
    pub aggregation: Aggregation,
    /// What the first model's answers are worth.
    pub first: &'d [DocValue],
    /// What the second's are worth, in the same order.
    pub second: &'d [DocValue],
    /// Which documents belong together.
    pub clusters: &'d Clusters,
}

/// A difference of two models, the first less the second.
#[derive(Debug, Clone, PartialEq)]
pub struct Contrast {
    /// Documents.
    pub n: usize,
    /// Clusters of documents; as many as documents where each is its own.
    pub clusters: usize,
    /// The value of the first model less that of the second.
    pub difference: f64,
    /// The standard error of the difference; `None` where none is defined.
    pub stderr: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// The two-sided p of no difference, and how it was found.
    pub test: Option<Test>,
    /// The true difference that would be found in 80 % of such samples.
    pub detectable: Option<f64>,
}

/// How a p was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Test {
    /// Of documents that one model alone has right.
    McNemar {
        /// The exact two-sided p.
        p: f64,
        /// Those that the first alone has right.
        first_alone: usize,
        /// Those that the second alone has right.
        second_alone: usize,
    },
    /// By changing sides.
    Permutation(Permutation),
}

impl Test {
    /// The two-sided p.
    pub fn p(self) -> f64 {
        match self {
            Self::McNemar { p, .. } | Self::Permutation(Permutation { p, .. }) => p,
        }
    }

    /// For tables: `McNemar`, `permutation` (drawn at random) or `permutation, exact`.
    pub fn name(self) -> &'static str {
        match self {
            Self::McNemar { .. } => "McNemar",
            Self::Permutation(Permutation { exact: true, .. }) => "permutation, exact",
            Self::Permutation(_) => "permutation",
        }
    }
}

/// The difference over the documents of a task.
///
/// # Errors
/// No documents, and values that the aggregation does not take, in words.
///
/// # Panics
/// If there are not as many on both sides and in the clusters.
pub fn contrast(part: Part<'_>) -> Result<Contrast, String> {
    let Part { aggregation, first, second, clusters } = part;
    assert!(
        first.len() == second.len() && first.len() == clusters.documents(),
        "two answers to each document"
    );
    if first.is_empty() {
        return Err("there are no documents".to_owned());
    }
    let (a, b) = (aggregation.column(first)?, aggregation.column(second)?);
    let stderr = if clusters.are_any_together() { None } else { aggregation.error_of_columns(&a, &b) };
    Ok(match (a, b) {
        (Column::Numbers(a), Column::Numbers(b)) => match aggregation {
            Aggregation::Mean | Aggregation::BrierScore => of_means(&a, &b, clusters),
            Aggregation::Median => Contrast {
                difference: median(&a) - median(&b),
                stderr: None,
                interval: None,
                test: None,
                detectable: None,
                n: a.len(),
                clusters: clusters.len(),
            },
            Aggregation::NanMean => of_values([&a, &b], clusters, stderr, nan_mean)?,
            _ => of_values([&a, &b], clusters, stderr, |values| (-mean(values)).exp())?,
        },
        (Column::Weighted(a), Column::Weighted(b)) => match aggregation {
            Aggregation::BitsPerByte => {
                of_values([&a, &b], clusters, stderr, |parts| -ratio(parts) / std::f64::consts::LN_2)?
            }
            _ => of_values([&a, &b], clusters, stderr, |parts| (-ratio(parts)).exp())?,
        },
        (Column::Bleu(a), Column::Bleu(b)) => of_values([&a, &b], clusters, stderr, corpus_score)?,
        (Column::Chrf(a), Column::Chrf(b)) => of_values([&a, &b], clusters, stderr, corpus_score)?,
        (Column::Ter(a), Column::Ter(b)) => of_values([&a, &b], clusters, stderr, corpus_score)?,
        (Column::Classes(a), Column::Classes(b)) => {
            let value = if aggregation == Aggregation::F1 { f1 } else { matthews };
            of_values([&a, &b], clusters, stderr, value)?
        }
        _ => unreachable!("both columns are of the kind that {aggregation:?} takes"),
    })
}

/// The difference over the tasks of a group. By size, means are over the tasks' documents together; else each task counts once,
/// and values that are no means are combined as those of the tasks are, without a test.
///
/// # Errors
/// No tasks, and those of [`contrast`].
pub fn contrast_of_group(parts: &[Part<'_>], weight_by_size: bool) -> Result<Contrast, String> {
    if parts.is_empty() {
        return Err("there are no tasks".to_owned());
    }
    let is_mean = |part: &Part<'_>| matches!(part.aggregation, Aggregation::Mean | Aggregation::BrierScore);
    let all_means = parts.iter().all(is_mean);
    if all_means && weight_by_size {
        let all = |side: fn(&Part<'_>) -> Vec<DocValue>| parts.iter().flat_map(side).collect::<Vec<_>>();
        let (first, second) = (all(|part| part.first.to_vec()), all(|part| part.second.to_vec()));
        let clusters = Clusters::concat(parts.iter().map(|part| part.clusters));
        let aggregation = parts[0].aggregation;
        return contrast(Part { aggregation, first: &first, second: &second, clusters: &clusters });
    }
    let n: usize = parts.iter().map(|part| part.first.len()).sum();
    let weight = |part: &Part<'_>| {
        if weight_by_size { part.first.len() as f64 / n as f64 } else { 1.0 / parts.len() as f64 }
    };
    let (mut difference, mut variance, mut flipped) = (0.0, Some(0.0), Vec::new());
    for part in parts {
        let (weight, own) = (weight(part), contrast_without_test(*part)?);
        difference += weight * own.difference;
        variance = variance.zip(own.stderr).map(|(sum, error)| sum + (weight * error).powi(2));
        if all_means {
            let sums = part.clusters.sums(&differences(*part)?);
            flipped.extend(sums.iter().map(|sum| weight * sum / part.first.len() as f64));
        }
    }
    let stderr = variance.map(f64::sqrt);
    Ok(Contrast {
        n,
        clusters: parts.iter().map(|part| part.clusters.len()).sum(),
        difference,
        stderr,
        interval: stderr
            .filter(|error| *error > 0.0)
            .map(|error| [difference - NORMAL_975 * error, difference + NORMAL_975 * error]),
        test: all_means.then(|| Test::Permutation(sign_flips(&flipped))),
        detectable: stderr.and_then(detectable),
    })
}

/// What of a task is in the difference of its group.
fn contrast_without_test(part: Part<'_>) -> Result<Contrast, String> {
    match part.aggregation {
        Aggregation::Mean | Aggregation::BrierScore => {
            let differences = differences(part)?;
            let difference = mean(&differences);
            Ok(Contrast {
                n: differences.len(),
                clusters: part.clusters.len(),
                difference,
                stderr: part.clusters.error_of_mean(&differences),
                interval: None,
                test: None,
                detectable: None,
            })
        }
        _ => contrast(part),
    }
}

fn differences(part: Part<'_>) -> Result<Vec<f64>, String> {
    let numbers = |values: &[DocValue]| match part.aggregation.column(values) {
        Ok(Column::Numbers(numbers)) => Ok(numbers),
        Ok(_) => unreachable!("means are of numbers"),
        Err(reason) => Err(reason),
    };
    let (first, second) = (numbers(part.first)?, numbers(part.second)?);
    if first.is_empty() {
        return Err("there are no documents".to_owned());
    }
    Ok(first.iter().zip(&second).map(|(first, second)| first - second).collect())
}

fn of_means(a: &[f64], b: &[f64], clusters: &Clusters) -> Contrast {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let difference = mean(&differences);
    let stderr = clusters.error_of_mean(&differences);
    let shares = Disagreement::of(a, b).filter(|_| !clusters.are_any_together());
    let (interval, test) = match shares {
        Some(counts) => {
            let Disagreement { first_alone, second_alone, .. } = counts;
            let p = mcnemar(first_alone, second_alone);
            (interval_of_paired_shares(counts), Test::McNemar { p, first_alone, second_alone })
        }
        None => {
            // That all differences are the same says nothing of how much others would vary.
            let interval = stderr
                .filter(|error| *error > 0.0)
                .and_then(|error| interval_of_mean(difference, error, clusters.len()));
            (interval, Test::Permutation(sign_flips(&clusters.sums(&differences))))
        }
    };
    Contrast {
        n: a.len(),
        clusters: clusters.len(),
        difference,
        stderr,
        interval,
        test: Some(test),
        detectable: stderr.and_then(detectable),
    }
}

/// `stderr` is that of documents that stand alone.
///
/// # Errors
/// A side without a value.
fn of_values<T: Copy + Sync>(
    sides: [&[T]; 2],
    clusters: &Clusters,
    stderr: Option<f64>,
    value: impl Fn(&[T]) -> f64 + Sync,
) -> Result<Contrast, String> {
    let difference = value(sides[0]) - value(sides[1]);
    if difference.is_nan() {
        return Err("one of both has no value".to_owned());
    }
    let several = clusters.len() > 1;
    let stderr = match several && clusters.are_any_together() {
        true => error_by_clusters(sides, clusters, &value),
        false => stderr,
    };
    let varies = several && stderr.is_some_and(|error| error > 0.0);
    Ok(Contrast {
        n: sides[0].len(),
        clusters: clusters.len(),
        difference,
        stderr,
        interval: if varies { percentile_interval(sides, clusters, &value) } else { None },
        test: Some(Test::Permutation(swaps(sides, clusters, &value))),
        detectable: stderr.and_then(detectable),
    })
}
