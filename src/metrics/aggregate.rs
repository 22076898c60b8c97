//! Per-document values → one value with its standard error.

use rayon::prelude::*;

use crate::tasks::pyrandom::PyRandom;

/// Replicates of a bootstrap, as the reference harness has it by default.
pub const BOOTSTRAP_ITERATIONS: usize = 100_000;
/// Replicates drawn from one generator; chunk `i` is seeded with `i`.
const BOOTSTRAP_CHUNK: usize = 1000;

/// A metric over all documents of a task or a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aggregate {
    /// The value.
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
    /// exp(−mean of log-likelihoods); standard error by bootstrap.
    Perplexity,
}

impl Aggregation {
    /// By the name that task files use.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "mean" | "brier_score" => Some(Self::Mean),
            "perplexity" => Some(Self::Perplexity),
            _ => None,
        }
    }

    /// The value and standard error of `values`; `None` if there are none.
    pub fn of(self, values: &[f64]) -> Option<Aggregate> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let value = self.value(values.iter().copied(), n);
        let stderr = match self {
            _ if n < 2 => None,
            Self::Mean => Some(sample_deviation(values) / (n as f64).sqrt()),
            Self::Perplexity => Some(self.bootstrap(values, BOOTSTRAP_ITERATIONS)),
        };
        Some(Aggregate { value, stderr, n })
    }

    fn value(self, values: impl Iterator<Item = f64>, n: usize) -> f64 {
        let mean = values.sum::<f64>() / n as f64;
        match self {
            Self::Mean => mean,
            Self::Perplexity => (-mean).exp(),
        }
    }

    /// The sample deviation of `iterations` values over resampled documents, with Python's generator.
    fn bootstrap(self, values: &[f64], iterations: usize) -> f64 {
        let n = values.len();
        let chunk = BOOTSTRAP_CHUNK.min(iterations);
        let replicates: Vec<f64> = (0..iterations / chunk)
            .into_par_iter()
            .flat_map_iter(|seed| {
                let mut random = PyRandom::new(seed as u64);
                (0..chunk).map(move |_| {
                    let drawn = (0..n).map(|_| values[(random.random() * n as f64) as usize]);
                    self.value(drawn, n)
                })
            })
            .collect();
        sample_deviation(&replicates)
    }
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
        let error = aggregation.bootstrap(&values, 2000);
        assert_eq!(error, aggregation.bootstrap(&values, 2000));
        let expected = aggregation.of(&values).unwrap().value * sample_deviation(&values) / (40f64).sqrt();
        assert!((error / expected - 1.0).abs() < 0.1, "{error} {expected}");
    }

    #[test]
    fn only_known_aggregations_have_a_name() {
        assert_eq!(Aggregation::by_name("mean"), Some(Aggregation::Mean));
        assert_eq!(Aggregation::by_name("median_of_moons"), None);
    }
}
