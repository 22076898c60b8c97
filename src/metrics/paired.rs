//! The standard error of a difference of two values over the same documents.
//!
//! What both have in common cancels out, so it is less than that of two independent values. It belongs to the
//! aggregation: of a mean it is that of the documents' differences, of a smooth function of means (a perplexity) the same
//! after the documents' influence on the value (the delta method), of a value of all documents together (BLEU, chrF,
//! TER, F1, Matthews' correlation) that of a bootstrap that draws both sides alike. A median has none: its distribution at a
//! step of few distinct values is not what any of these describe.

use super::aggregate::Column;
use super::average::{mean, nan_mean, ratio, sample_deviation};
use super::bootstrap::{PAIRED_ITERATIONS, paired_bootstrap};
use super::classes::{f1, matthews};
use super::{Aggregation, DocValue, similarity};

impl Aggregation {
    /// The standard error of this value over `a` less that over `b`, the same documents in the same order; `None` for
    /// fewer than two documents, for a median, and for values of another kind than this aggregation takes.
    ///
    /// # Panics
    /// If there are not as many of each.
    pub fn paired_error(self, a: &[DocValue], b: &[DocValue]) -> Option<f64> {
        assert_eq!(a.len(), b.len(), "two answers to each document");
        self.error_of_columns(&self.column(a).ok()?, &self.column(b).ok()?)
    }

    /// The same of values in the kind that this aggregation takes.
    pub(super) fn error_of_columns(self, a: &Column, b: &Column) -> Option<f64> {
        if a.len() < 2 {
            return None;
        }
        match (self, (a, b)) {
            (Self::Mean | Self::BrierScore, (Column::Numbers(a), Column::Numbers(b))) => {
                Some(error_of([a, b]))
            }
            (Self::Perplexity, (Column::Numbers(a), Column::Numbers(b))) => {
                let influence = |own: &[f64]| -> Vec<f64> {
                    let perplexity = (-mean(own)).exp();
                    own.iter().map(|x| -perplexity * x).collect()
                };
                Some(error_of([&influence(a), &influence(b)]))
            }
            (Self::WeightedPerplexity | Self::BitsPerByte, (Column::Weighted(a), Column::Weighted(b))) => {
                Some(error_of([&self.influence_on_ratio(a), &self.influence_on_ratio(b)]))
            }
            // Where few documents have a value, replicates may have none.
            (Self::NanMean, (Column::Numbers(a), Column::Numbers(b))) => {
                Some(paired_bootstrap([a, b], PAIRED_ITERATIONS, nan_mean)).filter(|error| !error.is_nan())
            }
            (Self::Bleu, (Column::Bleu(a), Column::Bleu(b))) => {
                Some(paired_bootstrap([a, b], PAIRED_ITERATIONS, similarity::corpus_score))
            }
            (Self::Chrf | Self::ChrfPlusPlus, (Column::Chrf(a), Column::Chrf(b))) => {
                Some(paired_bootstrap([a, b], PAIRED_ITERATIONS, similarity::corpus_score))
            }
            (Self::Ter, (Column::Ter(a), Column::Ter(b))) => {
                Some(paired_bootstrap([a, b], PAIRED_ITERATIONS, similarity::corpus_score))
            }
            (Self::F1, (Column::Classes(a), Column::Classes(b))) => {
                Some(paired_bootstrap([a, b], PAIRED_ITERATIONS, f1))
            }
            (Self::Matthews, (Column::Classes(a), Column::Classes(b))) => {
                Some(paired_bootstrap([a, b], PAIRED_ITERATIONS, matthews))
            }
            (Self::Median, _) => None,
            (aggregation, _) => unreachable!("a column is of the kind that {aggregation:?} takes"),
        }
    }

    /// n times what each document adds to a function of Σ parts / Σ units, to first order.
    fn influence_on_ratio(self, documents: &[(f64, f64)]) -> Vec<f64> {
        let ratio = ratio(documents);
        let units = documents.iter().map(|(_, units)| units).sum::<f64>() / documents.len() as f64;
        let slope = match self {
            Self::BitsPerByte => -1.0 / std::f64::consts::LN_2,
            _ => -(-ratio).exp(),
        };
        documents.iter().map(|(part, own)| slope * (part - ratio * own) / units).collect()
    }
}

/// s/√n of the differences.
fn error_of([a, b]: [&[f64]; 2]) -> f64 {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    sample_deviation(&differences) / (differences.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of some hundred doubles in another order, relative.
    const SUMS: f64 = 1e-12;
    /// 1000 replicates against the delta method or 20,000 of them: their own error is 1/√2000, and there is a bias of 1/n.
    const BOOTSTRAP: f64 = 0.1;

    fn numbers(values: &[f64]) -> Vec<DocValue> {
        values.iter().map(|value| DocValue::Number(*value)).collect()
    }

    fn error(aggregation: Aggregation, a: &[DocValue], b: &[DocValue]) -> f64 {
        aggregation.paired_error(a, b).unwrap()
    }

    #[test]
    fn what_is_common_cancels_out() {
        let (a, b) = (numbers(&[1.0, 0.0, 1.0, 1.0]), numbers(&[1.0, 0.0, 0.0, 1.0]));
        assert!((error(Aggregation::Mean, &a, &b) - 0.25).abs() < SUMS);
        for aggregation in [Aggregation::Mean, Aggregation::NanMean, Aggregation::Perplexity] {
            assert_eq!(error(aggregation, &a, &a), 0.0);
            assert_eq!(aggregation.paired_error(&a[..1], &b[..1]), None);
        }
        assert_eq!(Aggregation::Median.paired_error(&a, &b), None);
        assert_eq!(Aggregation::F1.paired_error(&a, &b), None, "numbers are no classes");
    }

    #[test]
    fn errors_are_numpy_s_and_near_a_bootstrap() {
        let stored: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/metrics/paired.json")).unwrap();
        assert_eq!(stored.as_array().unwrap().len(), 9);
        for case in stored.as_array().unwrap() {
            let name = case["aggregation"].as_str().unwrap();
            let documents = |key: &str| -> Vec<DocValue> {
                let value = |value: &serde_json::Value| match (name, value) {
                    ("f1" | "matthews_corrcoef", value) => {
                        DocValue::Classes([0, 1].map(|at| value[at].as_i64().unwrap()))
                    }
                    ("bleu" | "chrf" | "ter", value) => {
                        let [gold, answer] = [0, 1].map(|at| value[at].as_str().unwrap().to_owned());
                        DocValue::Pair(gold, answer)
                    }
                    (_, serde_json::Value::Array(own)) => {
                        DocValue::Weighted(own[0].as_f64().unwrap(), own[1].as_f64().unwrap())
                    }
                    (_, value) => DocValue::Number(value.as_f64().unwrap()),
                };
                case[key].as_array().unwrap().iter().map(value).collect()
            };
            let (a, b) = (documents("a"), documents("b"));
            let aggregation = Aggregation::by_name(name).unwrap();
            let difference =
                aggregation.of_documents(&a).unwrap().value - aggregation.of_documents(&b).unwrap().value;
            let near = |found: f64, key: &str, tolerance: f64| {
                let expected = case[key].as_f64().unwrap();
                assert!((found / expected - 1.0).abs() < tolerance, "{name}, {key}: {found}, not {expected}");
            };
            near(difference, "difference", 1e-9);
            let found = error(aggregation, &a, &b);
            near(found, "bootstrap", BOOTSTRAP);
            if !case["delta"].is_null() {
                near(found, "delta", 1e-9);
            }
            if aggregation == Aggregation::Mean {
                near(error(Aggregation::NanMean, &a, &b), "bootstrap", BOOTSTRAP);
            }
        }
    }
}
