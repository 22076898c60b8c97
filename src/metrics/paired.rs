//! The difference of two means over the same documents.

/// Mean difference with its standard error; what both values of a document have in common cancels out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedDifference {
    /// Mean of `a − b`.
    pub mean: f64,
    /// s/√n of the differences; `None` for a single document.
    pub stderr: Option<f64>,
    /// Documents.
    pub n: usize,
}

/// Of the values of two models, document by document; `None` if there are none or not as many of each.
pub fn paired_difference(a: &[f64], b: &[f64]) -> Option<PairedDifference> {
    if a.is_empty() || a.len() != b.len() {
        return None;
    }
    let n = a.len();
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let mean = differences.iter().sum::<f64>() / n as f64;
    let squares: f64 = differences.iter().map(|d| (d - mean) * (d - mean)).sum();
    let stderr = (n > 1).then(|| (squares / (n as f64 - 1.0) / n as f64).sqrt());
    Some(PairedDifference { mean, stderr, n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_cancels_out() {
        let (a, b) = ([1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0]);
        let found = paired_difference(&a, &b).unwrap();
        assert_eq!((found.mean, found.n), (0.25, 4));
        assert!((found.stderr.unwrap() - 0.25).abs() < 1e-12);
        assert_eq!(paired_difference(&a, &a).unwrap().stderr, Some(0.0));
        assert_eq!(paired_difference(&a[..1], &b[..1]).unwrap().stderr, None);
        assert_eq!((paired_difference(&[], &[]), paired_difference(&a, &b[..2])), (None, None));
    }
}
