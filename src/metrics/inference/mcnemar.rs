//! McNemar's test of two accuracies on the same documents, exact.
//!
//! Only the documents that one model has right and the other wrong tell the two apart. If both are equally good, each of these
//! n = b + c is a fair coin, so p = min(1, 2 · Σ_{i ≤ min(b, c)} C(n, i) / 2ⁿ): Q. McNemar, Psychometrika 12, 1947, with the
//! binomial distribution in place of its approximation. The exact value, not the mid-p: it is never too small, and it is what
//! statsmodels and SciPy give.
//!
//! The largest term is computed by its logarithm with the saddle-point expansion of C. Loader, "Fast and Accurate Computation of
//! Binomial Probabilities", 2000, which keeps its digits for any n; the others follow by their ratios.

use std::f64::consts::{LN_2, PI};

use super::special::stirling_error;

/// How two models answered the same documents, each right or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disagreement {
    /// Documents that both have right.
    pub both: usize,
    /// Those that the first one alone has right: b.
    pub first_alone: usize,
    /// Those that the second one alone has right: c.
    pub second_alone: usize,
    /// Those that none has right.
    pub neither: usize,
}

impl Disagreement {
    /// Counts documents; `None` if any value is neither 0 nor 1.
    ///
    /// # Panics
    /// If there are not as many of each.
    pub fn of(first: &[f64], second: &[f64]) -> Option<Self> {
        assert_eq!(first.len(), second.len(), "two answers to each document");
        let mut counts = Self::default();
        for (first, second) in first.iter().zip(second) {
            let count = match (*first, *second) {
                (1.0, 1.0) => &mut counts.both,
                (1.0, 0.0) => &mut counts.first_alone,
                (0.0, 1.0) => &mut counts.second_alone,
                (0.0, 0.0) => &mut counts.neither,
                _ => return None,
            };
            *count += 1;
        }
        Some(counts)
    }

    /// Documents.
    pub fn n(self) -> usize {
        self.both + self.first_alone + self.second_alone + self.neither
    }
}

/// The two-sided p of `b` documents that only the first model has right and `c` that only the second has; 1 for none.
pub fn mcnemar(b: usize, c: usize) -> f64 {
    let (n, fewer) = (b + c, b.min(c));
    let mut term = probability(n, fewer);
    let mut sum = term;
    for i in (1..=fewer).rev() {
        term *= i as f64 / (n - i + 1) as f64;
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    (2.0 * sum).min(1.0)
}

/// C(n, k) / 2ⁿ for k ≤ n / 2.
fn probability(n: usize, k: usize) -> f64 {
    let (whole, fewer, more) = (n as f64, k as f64, (n - k) as f64);
    if k == 0 {
        return (-whole * LN_2).exp();
    }
    let apart = (more - fewer) / whole;
    let deviance = fewer * (-apart).ln_1p() + more * apart.ln_1p();
    // Of n! = Γ(n + 1), whose Stirling's formula in n is that of Γ(n) times n.
    let correction = stirling_error(whole) - stirling_error(fewer) - stirling_error(more);
    (correction - deviance).exp() * (whole / (2.0 * PI * fewer * more)).sqrt()
}
