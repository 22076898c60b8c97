//! The interval of a difference of two accuracies on the same documents.
//!
//! Two models that agree on all of 50 documents need not be equally good, but the difference's standard error is 0. The interval
//! of R. Newcombe, Statist. Med. 17, 1998, pp. 2635–2650 (method 10), puts Wilson's intervals of both accuracies together, less what
//! both have in common by their correlation φ, so it holds for few documents, for shares near 0 and 1, and without disagreement.

use super::Disagreement;
use crate::metrics::wilson;

/// The 95 % interval of the first model's accuracy less the second's; `None` for no documents.
///
/// √((p₁ − l₁)² − 2φ(p₁ − l₁)(u₂ − p₂) + (u₂ − p₂)²) below the difference and √((u₁ − p₁)² − 2φ(u₁ − p₁)(p₂ − l₂) + (p₂ − l₂)²)
/// above it, where [l, u] is Wilson's interval, and φ the correlation of right answers, a positive one lessened
/// by n/2 in its numerator.
pub fn interval_of_paired_shares(counts: Disagreement) -> Option<[f64; 2]> {
    let n = counts.n();
    if n == 0 {
        return None;
    }
    let [both, first, second, neither] =
        [counts.both, counts.first_alone, counts.second_alone, counts.neither].map(|count| count as f64);
    let whole = n as f64;
    let [p, q] = [(both + first) / whole, (both + second) / whole];
    let [[p_low, p_high], [q_low, q_high]] = [wilson(p, n), wilson(q, n)];
    let common = both * neither - first * second;
    let common = if common > 0.0 { (common - whole / 2.0).max(0.0) } else { common };
    let margins = (both + first) * (second + neither) * (both + second) * (first + neither);
    let phi = if margins > 0.0 { common / margins.sqrt() } else { 0.0 };
    let apart = |a: f64, b: f64| (a * a - 2.0 * phi * a * b + b * b).max(0.0).sqrt();
    let difference = (first - second) / whole;
    Some([difference - apart(p - p_low, q_high - q), difference + apart(p_high - p, q - q_low)])
}
