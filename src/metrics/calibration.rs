//! How far a model's probabilities of choices are what they say: calibration.
//!
//! The probabilities are the choices' likelihoods, normalised over a document's choices; the model's confidence is the highest of
//! them, and it is right if that choice is (the metric `acc`).

use super::Gold;
use super::choice::{is_right, probabilities};
use super::first_highest;

/// Bins of equal width between 0 and 1, as in C. Guo et al., "On Calibration of Modern Neural Networks", 2017.
pub const CALIBRATION_BINS: usize = 15;

/// The documents whose confidence is in one bin, (low, low + 1/15]; exactly 0 is in the first.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CalibrationBin {
    /// Documents.
    pub n: usize,
    /// The mean of their confidence; 0 if there are none.
    pub confidence: f64,
    /// The share that is right; 0 if there are none.
    pub accuracy: f64,
}

/// Calibration over the documents of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Documents.
    pub n: usize,
    /// The expected calibration error, Σ (n_b / n) · |accuracy_b − confidence_b|: M. Naeini et al., AAAI 2015.
    pub ece: f64,
    /// The mean of Σ_k (p_k − y_k)², 0 to 2: G. Brier, Monthly Weather Review 78, 1950; the metric `brier_score`.
    pub brier: f64,
    /// From low to high confidence.
    pub bins: [CalibrationBin; CALIBRATION_BINS],
}

/// Calibration of documents, each with its choices' log-likelihoods and its right answer; `None` for no documents. Documents
/// without choices do not count.
pub fn calibration<'d>(documents: impl IntoIterator<Item = (&'d [f64], &'d Gold)>) -> Option<Calibration> {
    let mut bins = [CalibrationBin::default(); CALIBRATION_BINS];
    let (mut n, mut brier) = (0, 0.0);
    for (logprobs, gold) in documents.into_iter().filter(|(logprobs, _)| !logprobs.is_empty()) {
        let chosen = first_highest(logprobs);
        let probabilities = probabilities(logprobs);
        let confidence = probabilities[chosen];
        let truth = |choice| f64::from(u8::from(is_right(gold, choice)));
        n += 1;
        brier += probabilities.iter().enumerate().map(|(at, p)| (p - truth(at)).powi(2)).sum::<f64>();
        let bin = &mut bins[bin_of(confidence)];
        bin.n += 1;
        bin.confidence += confidence;
        bin.accuracy += truth(chosen);
    }
    if n == 0 {
        return None;
    }
    for bin in bins.iter_mut().filter(|bin| bin.n > 0) {
        bin.confidence /= bin.n as f64;
        bin.accuracy /= bin.n as f64;
    }
    let error = |bin: &CalibrationBin| bin.n as f64 / n as f64 * (bin.accuracy - bin.confidence).abs();
    Some(Calibration { n, ece: bins.iter().map(error).sum(), brier: brier / n as f64, bins })
}

fn bin_of(confidence: f64) -> usize {
    assert!((0.0..=1.0).contains(&confidence), "a probability, found {confidence}");
    ((confidence * CALIBRATION_BINS as f64).ceil() as usize).clamp(1, CALIBRATION_BINS) - 1
}
