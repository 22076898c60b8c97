//! The uncertainty of a share of documents.
//!
//! The standard error of a mean, which the reference harness prints, is estimated from the sample: for 2 right answers
//! of 2 it is 0, as if that were certain. Wilson's interval (E. B. Wilson, JASA 22, 1927) asks which true shares would
//! make what was seen likely; it is right for few documents and for shares near 0 and 1, and never leaves 0 to 1.

/// The quantile of the normal distribution for 95 %, two-sided.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % interval of a true share, where `share` of `n` documents was seen.
///
/// # Panics
/// For no documents, and a share outside 0 to 1.
pub fn wilson(share: f64, n: usize) -> [f64; 2] {
    assert!(n > 0 && (0.0..=1.0).contains(&share), "a share of documents, found {share} of {n}");
    let n = n as f64;
    let shrunk = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / shrunk;
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt() / shrunk;
    // The ends are exact where nothing or all was right; sums may be a rounding error beside them.
    let low = if share == 0.0 { 0.0 } else { centre - half };
    let high = if share == 1.0 { 1.0 } else { centre + half };
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_scipy_s() {
        // scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson"), of SciPy 1.17
        for (k, n, low, high) in WILSON {
            let [ours_low, ours_high] = wilson(k as f64 / n as f64, n);
            assert!((ours_low - low).abs() < 1e-12 && (ours_high - high).abs() < 1e-12, "{k} of {n}");
        }
    }

    #[test]
    fn nothing_is_certain_and_nothing_is_impossible() {
        for n in [1, 2, 100, 14_042] {
            let ([low, none], [all, high]) = (wilson(1.0, n), wilson(0.0, n));
            assert!(low > 0.0 && low < 1.0 && none == 1.0 && all == 0.0 && high > 0.0, "{n}");
            assert!((low - (1.0 - high)).abs() < 1e-12, "{n}: both ends are alike");
        }
    }

    /// Right answers, documents, and both ends.
    const WILSON: [(usize, usize, f64, f64); 8] = [
        (0, 1, 0.0, 0.7934506856227626),
        (2, 2, 0.34238022750665303, 1.0),
        (1, 2, 0.09453120573423074, 0.9054687942657693),
        (0, 60, 0.0, 0.06017185214208986),
        (12, 60, 0.1182850532289749, 0.31781805805627894),
        (89, 100, 0.8136870349691969, 0.9374580364293543),
        (255, 440, 0.5329280666865774, 0.6247859066452357),
        (14041, 14042, 0.9995966860058175, 0.9999874287061546),
    ];
}
