//! Per-document values → one value with its standard error.

use rayon::prelude::*;

use super::DocValue;
use super::similarity::{BleuCounts, BleuTokenizer};
use crate::python::random::PyRandom;

/// Replicates of a bootstrap, as the reference harness has it by default.
pub const BOOTSTRAP_ITERATIONS: usize = 100_000;
/// Replicates of metrics that are slow to compute.
const SLOW_ITERATIONS: usize = 100;
/// Replicates drawn from one generator; chunk `i` is seeded with `i`.
const BOOTSTRAP_CHUNK: usize = 1000;

/// A metric over all documents of a task or a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aggregate {
    /// The value: 0 to 1 for shares, whatever the metric counts for others.
    pub value: f64,
    /// Its standard error; `None` where none is defined (one document, say).
    pub stderr: Option<f64>,
    /// Documents.
    pub n: usize,
}

/// How values become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// The mean; standard error s/√n.
    Mean,
    /// The value in the middle, the upper of two; standard error by bootstrap.
    Median,
    /// exp(−mean of log-likelihoods); standard error by bootstrap.
    Perplexity,
    /// exp(−sum of log-likelihoods / sum of units); no standard error.
    WeightedPerplexity,
    /// −sum of log-likelihoods / sum of bytes, in bits; no standard error.
    BitsPerByte,
    /// BLEU of all answers together; standard error by a short bootstrap.
    Bleu,
}

impl Aggregation {
    /// The names that [`Aggregation::by_name`] knows.
    pub const NAMES: [&str; 7] =
        ["mean", "median", "perplexity", "weighted_perplexity", "bits_per_byte", "bleu", "brier_score"];

    /// By the name that task files use.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "mean" | "brier_score" => Some(Self::Mean),
            "median" => Some(Self::Median),
            "perplexity" => Some(Self::Perplexity),
            "weighted_perplexity" => Some(Self::WeightedPerplexity),
            "bits_per_byte" => Some(Self::BitsPerByte),
            "bleu" => Some(Self::Bleu),
            _ => None,
        }
    }

    /// The value and standard error over documents; `None` if there are none or their values are of another kind
    /// than this aggregation takes.
    pub fn of_documents(self, values: &[DocValue]) -> Option<Aggregate> {
        match self {
            Self::Mean | Self::Median | Self::Perplexity => {
                let number = |value: &DocValue| match value {
                    DocValue::Number(number) => Some(*number),
                    _ => None,
                };
                self.of(&values.iter().map(number).collect::<Option<Vec<_>>>()?)
            }
            Self::WeightedPerplexity | Self::BitsPerByte => {
                let (mut sum, mut units) = (0.0, 0.0);
                for value in values {
                    let DocValue::Weighted(part, weight) = value else { return None };
                    sum += part;
                    units += weight;
                }
                let mean = sum / units;
                let value =
                    if self == Self::BitsPerByte { -mean / std::f64::consts::LN_2 } else { (-mean).exp() };
                (!values.is_empty()).then_some(Aggregate { value, stderr: None, n: values.len() })
            }
            Self::Bleu => {
                let counts = |value: &DocValue| match value {
                    DocValue::Pair(gold, answer) => {
                        Some(BleuCounts::of(gold, answer, BleuTokenizer::Mteval13a))
                    }
                    _ => None,
                };
                let counts: Vec<BleuCounts> = values.iter().map(counts).collect::<Option<_>>()?;
                let score = |drawn: &[BleuCounts]| {
                    drawn.iter().copied().fold(BleuCounts::default(), BleuCounts::and).score()
                };
                let n = counts.len();
                let stderr = (n > 1).then(|| bootstrap(&counts, SLOW_ITERATIONS, score));
                (n > 0).then(|| Aggregate { value: score(&counts), stderr, n })
            }
        }
    }

    /// The value and standard error of `values`; `None` if there are none, or if this aggregation is not one of
    /// plain numbers.
    pub fn of(self, values: &[f64]) -> Option<Aggregate> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let value: fn(&[f64]) -> f64 = match self {
            Self::Mean => mean,
            Self::Median => median,
            Self::Perplexity => |values| (-mean(values)).exp(),
            Self::WeightedPerplexity | Self::BitsPerByte | Self::Bleu => return None,
        };
        let stderr = match self {
            _ if n < 2 => None,
            Self::Mean => Some(sample_deviation(values) / (n as f64).sqrt()),
            _ => Some(bootstrap(values, BOOTSTRAP_ITERATIONS, value)),
        };
        Some(Aggregate { value: value(values), stderr, n })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The value in the middle of one or more, the upper of two.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The sample deviation of `iterations` values over resampled documents, with Python's generator.
fn bootstrap<T: Copy + Sync>(values: &[T], iterations: usize, value: impl Fn(&[T]) -> f64 + Sync) -> f64 {
    let n = values.len();
    let chunk = BOOTSTRAP_CHUNK.min(iterations);
    let value = &value;
    let replicates: Vec<f64> = (0..iterations / chunk)
        .into_par_iter()
        .flat_map_iter(|seed| {
            let mut random = PyRandom::new(seed as u64);
            let mut drawn = Vec::with_capacity(n);
            (0..chunk).map(move |_| {
                drawn.clear();
                drawn.extend((0..n).map(|_| values[(random.random() * n as f64) as usize]));
                value(&drawn)
            })
        })
        .collect();
    sample_deviation(&replicates)
}

/// √(Σ(x−μ)²/(n−1)).
fn sample_deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_the_error_of_its_sample() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(u8::from(i < 10))).collect();
        let result = Aggregation::Mean.of(&values).unwrap();
        // As Python prints it for these values in this order.
        assert_eq!((result.value, result.stderr), (0.2, Some(0.057142857142857155)));
    }

    #[test]
    fn one_document_has_no_error_and_none_has_no_value() {
        assert_eq!(Aggregation::Mean.of(&[1.0]).unwrap().stderr, None);
        assert!(Aggregation::Mean.of(&[]).is_none());
    }

    #[test]
    fn a_bootstrap_repeats_itself_and_is_near_the_delta_method() {
        let values: Vec<f64> = (0..40).map(|i| -f64::from(i % 7) * 0.3).collect();
        let aggregation = Aggregation::Perplexity;
        let perplexity = |values: &[f64]| (-mean(values)).exp();
        let error = bootstrap(&values, 2000, perplexity);
        assert_eq!(error, bootstrap(&values, 2000, perplexity));
        let expected = aggregation.of(&values).unwrap().value * sample_deviation(&values) / (40f64).sqrt();
        assert!((error / expected - 1.0).abs() < 0.1, "{error} {expected}");
    }

    #[test]
    fn values_and_errors_are_the_reference_harness_s_to_the_last_digit_on_any_number_of_threads() {
        let stored: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/metrics/reference.json")).unwrap();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for case in stored["tasks"].as_array().unwrap() {
                let number = |at: usize| case["values"][at].as_f64().unwrap();
                let (n, a, b) = (number(0) as u64, number(1) as u64, number(2) as u64);
                let values: Vec<f64> = (0..n).map(|i| -((i * a % b) as f64) / number(3)).collect();
                for (name, aggregation) in [
                    ("mean", Aggregation::Mean),
                    ("median", Aggregation::Median),
                    ("perplexity", Aggregation::Perplexity),
                ] {
                    let ours = pool.install(|| aggregation.of(&values)).unwrap();
                    assert_eq!(Some(ours.value), case[name].as_f64(), "{name} of {case}");
                    assert_eq!(ours.stderr, case[format!("{name}_stderr")].as_f64(), "{name} of {case}");
                }
            }
        }
    }

    #[test]
    fn weights_count_and_other_kinds_are_refused() {
        let values = [DocValue::Weighted(-6.0, 2.0), DocValue::Weighted(-2.0, 2.0)];
        let perplexity = Aggregation::WeightedPerplexity.of_documents(&values).unwrap();
        assert_eq!((perplexity.value, perplexity.stderr, perplexity.n), (2f64.exp(), None, 2));
        let bits = Aggregation::BitsPerByte.of_documents(&values).unwrap().value;
        assert!((bits - 2.0 / std::f64::consts::LN_2).abs() < 1e-15);
        assert_eq!(Aggregation::Mean.of_documents(&values), None);
        assert_eq!(Aggregation::BitsPerByte.of_documents(&[DocValue::Number(1.0)]), None);
        assert_eq!(Aggregation::Bleu.of(&[1.0]), None);
    }

    #[test]
    fn the_middle_value_and_a_corpus() {
        assert_eq!(Aggregation::Median.of(&[3.0, 1.0, 2.0, 9.0]).unwrap().value, 3.0);
        let pair = |gold: &str, answer: &str| DocValue::Pair(gold.into(), answer.into());
        let values = [pair("a b c d e", "a b c d e"), pair("f g h i", "f g h i")];
        let bleu = Aggregation::Bleu.of_documents(&values).unwrap();
        assert!((bleu.value - 100.0).abs() < 1e-9 && bleu.stderr.unwrap() < 1e-9);
    }

    #[test]
    fn only_known_aggregations_have_a_name() {
        assert_eq!(Aggregation::by_name("mean"), Some(Aggregation::Mean));
        assert_eq!(Aggregation::by_name("median_of_moons"), None);
        assert!(Aggregation::NAMES.iter().all(|name| Aggregation::by_name(name).is_some()));
    }
}
