//! Per-document values → one value with its standard error.

use rayon::prelude::*;

use super::DocValue;
use super::average::{mean, median, nan_mean, ratio, sample_deviation};
use super::bootstrap::{BOOTSTRAP_ITERATIONS, SLOW_ITERATIONS, bootstrap};
use super::classes::{Classes, check_two_classes, f1, matthews};
use super::similarity::{BleuCounts, BleuTokenizer, ChrfCounts, TerCounts, corpus_score};

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
    /// The mean over the documents that have a value, which is NaN for the others; standard error by bootstrap.
    NanMean,
    /// The mean of documents' Brier scores. The reference harness gives it no standard error; it has that of a mean.
    BrierScore,
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
    /// chrF of all answers together; standard error by a short bootstrap.
    Chrf,
    /// The same with words, chrF++.
    ChrfPlusPlus,
    /// The translation edit rate of all answers together, in per cent; standard error by a short bootstrap.
    Ter,
    /// F1 of the class 1 among two; standard error by bootstrap.
    F1,
    /// Matthews' correlation of right and chosen classes; standard error by bootstrap.
    Matthews,
}

/// The names of aggregations in task files.
const BY_NAME: [(&str, Aggregation); 13] = [
    ("mean", Aggregation::Mean),
    ("nanmean", Aggregation::NanMean),
    ("median", Aggregation::Median),
    ("perplexity", Aggregation::Perplexity),
    ("weighted_perplexity", Aggregation::WeightedPerplexity),
    ("bits_per_byte", Aggregation::BitsPerByte),
    ("bleu", Aggregation::Bleu),
    ("chrf", Aggregation::Chrf),
    ("chrf++", Aggregation::ChrfPlusPlus),
    ("ter", Aggregation::Ter),
    ("f1", Aggregation::F1),
    ("matthews_corrcoef", Aggregation::Matthews),
    ("brier_score", Aggregation::BrierScore),
];

/// The values of documents in the kind that an aggregation takes.
pub(super) enum Column {
    Numbers(Vec<f64>),
    /// Parts and units.
    Weighted(Vec<(f64, f64)>),
    Bleu(Vec<BleuCounts>),
    Chrf(Vec<ChrfCounts>),
    Ter(Vec<TerCounts>),
    Classes(Vec<Classes>),
}

impl Column {
    /// Documents.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(all) => all.len(),
            Self::Weighted(all) => all.len(),
            Self::Bleu(all) => all.len(),
            Self::Chrf(all) => all.len(),
            Self::Ter(all) => all.len(),
            Self::Classes(all) => all.len(),
        }
    }
}

impl Aggregation {
    /// The names that [`Aggregation::by_name`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BY_NAME.iter().map(|(name, _)| *name)
    }

    /// By the name that task files use.
    pub fn by_name(name: &str) -> Option<Self> {
        BY_NAME.iter().find(|(known, _)| *known == name).map(|(_, aggregation)| *aggregation)
    }

    /// Whether the reference harness gives values of several documents a standard error.
    pub fn has_error_in_the_reference(self) -> bool {
        !matches!(self, Self::BrierScore | Self::WeightedPerplexity | Self::BitsPerByte)
    }

    /// The value and standard error over documents.
    ///
    /// # Errors
    /// No documents, and values that this aggregation does not take, in words.
    pub fn of_documents(self, values: &[DocValue]) -> Result<Aggregate, String> {
        if values.is_empty() {
            return Err("there are no documents".to_owned());
        }
        let n = values.len();
        Ok(match self.column(values)? {
            Column::Numbers(numbers) => self.of(&numbers).ok_or("no document has a value")?,
            Column::Weighted(parts) => {
                let mean = ratio(&parts);
                let value =
                    if self == Self::BitsPerByte { -mean / std::f64::consts::LN_2 } else { (-mean).exp() };
                Aggregate { value, stderr: None, n }
            }
            Column::Bleu(counts) => resampled(&counts, SLOW_ITERATIONS, corpus_score),
            Column::Chrf(counts) => resampled(&counts, SLOW_ITERATIONS, corpus_score),
            Column::Ter(counts) => resampled(&counts, SLOW_ITERATIONS, corpus_score),
            Column::Classes(classes) => {
                let value: fn(&[Classes]) -> f64 = if self == Self::F1 { f1 } else { matthews };
                resampled(&classes, BOOTSTRAP_ITERATIONS, value)
            }
        })
    }

    /// The values in the kind that this aggregation takes.
    pub(super) fn column(self, values: &[DocValue]) -> Result<Column, String> {
        let all = match self {
            Self::Mean | Self::NanMean | Self::BrierScore | Self::Median | Self::Perplexity => {
                let number = |value: &DocValue| match value {
                    DocValue::Number(number) => Some(*number),
                    _ => None,
                };
                values.iter().map(number).collect::<Option<_>>().map(Column::Numbers)
            }
            Self::WeightedPerplexity | Self::BitsPerByte => {
                let weighted = |value: &DocValue| match value {
                    DocValue::Weighted(part, units) => Some((*part, *units)),
                    _ => None,
                };
                values.iter().map(weighted).collect::<Option<_>>().map(Column::Weighted)
            }
            Self::Bleu => {
                let bleu = |gold: &str, answer: &str| BleuCounts::of(gold, answer, BleuTokenizer::Mteval13a);
                of_pairs(values, bleu).map(Column::Bleu)
            }
            Self::Chrf => {
                of_pairs(values, |gold, answer| ChrfCounts::of(gold, answer, false)).map(Column::Chrf)
            }
            Self::ChrfPlusPlus => {
                of_pairs(values, |gold, answer| ChrfCounts::of(gold, answer, true)).map(Column::Chrf)
            }
            Self::Ter => of_pairs(values, TerCounts::of).map(Column::Ter),
            Self::F1 | Self::Matthews => {
                let classes = |value: &DocValue| match value {
                    DocValue::Classes(classes) => Some(*classes),
                    _ => None,
                };
                let all = values.iter().map(classes).collect::<Option<Vec<Classes>>>();
                if let (Self::F1, Some(all)) = (self, &all) {
                    check_two_classes(all)?;
                }
                all.map(Column::Classes)
            }
        };
        all.ok_or_else(|| "it does not fit the metric, whose values are of another kind".to_owned())
    }

    /// The value of numbers without its error, which takes long where it is a bootstrap's; `None` as of [`Aggregation::of`].
    pub fn value_of(self, values: &[f64]) -> Option<f64> {
        let value = match self {
            _ if values.is_empty() => return None,
            Self::Mean | Self::BrierScore => mean(values),
            Self::NanMean => nan_mean(values),
            Self::Median => median(values),
            Self::Perplexity => (-mean(values)).exp(),
            _ => return None,
        };
        Some(value).filter(|value| !value.is_nan())
    }

    /// The value and standard error of `values`; `None` if there are none, if all are NaN where these do not count, or if this
    /// aggregation is not one of plain numbers.
    pub fn of(self, values: &[f64]) -> Option<Aggregate> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        match self {
            Self::Mean | Self::BrierScore => {
                let stderr = (n > 1).then(|| sample_deviation(values) / (n as f64).sqrt());
                Some(Aggregate { value: mean(values), stderr, n })
            }
            Self::NanMean => Some(resampled(values, BOOTSTRAP_ITERATIONS, nan_mean))
                .filter(|aggregate| !aggregate.value.is_nan()),
            Self::Median => Some(resampled(values, BOOTSTRAP_ITERATIONS, median)),
            Self::Perplexity => {
                Some(resampled(values, BOOTSTRAP_ITERATIONS, |values: &[f64]| (-mean(values)).exp()))
            }
            Self::WeightedPerplexity
            | Self::BitsPerByte
            | Self::Bleu
            | Self::Chrf
            | Self::ChrfPlusPlus
            | Self::Ter
            | Self::F1
            | Self::Matthews => None,
        }
    }
}

/// The counts of pairs of texts; `None` where a value is of another kind. Documents are taken by all threads, as shifts of
/// words take long to find.
fn of_pairs<C: Send>(values: &[DocValue], count: impl Fn(&str, &str) -> C + Sync) -> Option<Vec<C>> {
    let count = |value: &DocValue| match value {
        DocValue::Pair(gold, answer) => Some(count(gold, answer)),
        _ => None,
    };
    values.par_iter().map(count).collect()
}

/// A value of all documents together, its error by bootstrap.
fn resampled<T: Copy + Sync>(
    values: &[T],
    iterations: usize,
    value: impl Fn(&[T]) -> f64 + Sync + Copy,
) -> Aggregate {
    let n = values.len();
    // Where few documents have a value, replicates may have none; the error is none then.
    let stderr = (n > 1).then(|| bootstrap(values, iterations, value)).filter(|error| !error.is_nan());
    Aggregate { value: value(values), stderr, n }
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
    fn documents_without_a_value_do_not_count_in_their_mean() {
        let stored: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/metrics/reference.json")).unwrap();
        for case in stored["gaps"].as_array().unwrap() {
            let number = |at: usize| case["values"][at].as_f64().unwrap();
            let (n, a, b, each) =
                (number(0) as u64, number(1) as u64, number(2) as u64, case["each"].as_u64().unwrap());
            let value =
                |i: u64| if i % each == each - 1 { f64::NAN } else { -((i * a % b) as f64) / number(3) };
            let ours = Aggregation::NanMean.of(&(0..n).map(value).collect::<Vec<_>>()).unwrap();
            assert_eq!(Some(ours.value), case["nanmean"].as_f64(), "{case}");
            assert_eq!(ours.stderr, case["nanmean_stderr"].as_f64(), "{case}");
            assert_eq!(ours.n as u64, n, "{case}");
        }
        let none =
            Aggregation::NanMean.of_documents(&[DocValue::Number(f64::NAN), DocValue::Number(f64::NAN)]);
        assert_eq!(none, Err("no document has a value".to_owned()));
        // Of two documents drawn from these two both may be without a value.
        let half = Aggregation::NanMean.of(&[0.5, f64::NAN]).unwrap();
        assert_eq!((half.value, half.stderr, half.n), (0.5, None, 2));
    }

    #[test]
    fn weights_count_and_other_kinds_are_refused() {
        let values = [DocValue::Weighted(-6.0, 2.0), DocValue::Weighted(-2.0, 2.0)];
        let perplexity = Aggregation::WeightedPerplexity.of_documents(&values).unwrap();
        assert_eq!((perplexity.value, perplexity.stderr, perplexity.n), (2f64.exp(), None, 2));
        let bits = Aggregation::BitsPerByte.of_documents(&values).unwrap().value;
        assert!((bits - 2.0 / std::f64::consts::LN_2).abs() < 1e-15);
        for (aggregation, values) in
            [(Aggregation::Mean, &values[..]), (Aggregation::BitsPerByte, &[DocValue::Number(1.0)])]
        {
            let said = aggregation.of_documents(values).unwrap_err();
            assert!(said.contains("another kind"), "{said}");
        }
        assert!(Aggregation::Mean.of_documents(&[]).is_err());
        assert_eq!(Aggregation::Bleu.of(&[1.0]), None);
    }

    #[test]
    fn classes_are_scored_as_by_the_reference_harness() {
        let stored: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/metrics/reference.json")).unwrap();
        for case in stored["classes"].as_array().unwrap() {
            let number = |value: &serde_json::Value| value.as_i64().unwrap();
            let documents: Vec<Classes> = case["documents"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| [number(&d[0]), number(&d[1])])
                .collect();
            let mcc = (matthews as fn(&[Classes]) -> f64, "mcc", Aggregation::Matthews);
            for (value, name, aggregation) in [(f1 as fn(&[Classes]) -> f64, "f1", Aggregation::F1), mcc] {
                let values: Vec<DocValue> = documents.iter().copied().map(DocValue::Classes).collect();
                if case[name].is_null() {
                    assert!(aggregation.of_documents(&values).is_err(), "{name} of {case}");
                    continue;
                }
                assert_eq!(Some(value(&documents)), case[name].as_f64(), "{name} of {case}");
                let error = bootstrap(&documents, 1000, value);
                assert_eq!(Some(error), case[format!("{name}_stderr")].as_f64(), "{name} of {case}");
            }
        }
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
        let names: std::collections::BTreeSet<&str> = Aggregation::names().collect();
        assert!(
            names.len() == BY_NAME.len() && names.iter().all(|name| Aggregation::by_name(name).is_some())
        );
    }
}
