//! Groups of tasks: a weighted mean of their values and a pooled standard error.

use super::Aggregate;

/// The mean over tasks, weighted by documents unless `weight_by_size` is false, and the pooled
/// standard error √(Σ(nᵢ−1)·seᵢ²·nᵢ / (Σnᵢ−k) / Σnᵢ), which is always weighted by documents.
///
/// `None` for no members. A member without a standard error leaves the group without one.
pub fn combine(members: &[Aggregate], weight_by_size: bool) -> Option<Aggregate> {
    let total: usize = members.iter().map(|m| m.n).sum();
    if members.is_empty() || total == 0 {
        return None;
    }
    let weight = |m: &Aggregate| if weight_by_size { m.n as f64 } else { 1.0 };
    let weighted: f64 = members.iter().map(|m| m.value * weight(m)).sum();
    let weights: f64 = members.iter().map(weight).sum();
    let variance: Option<f64> =
        members.iter().map(|m| m.stderr.map(|se| (m.n as f64 - 1.0) * se * se * m.n as f64)).sum();
    let freedom = total as f64 - members.len() as f64;
    let stderr = variance.filter(|_| freedom > 0.0).map(|v| (v / freedom / total as f64).sqrt());
    Some(Aggregate { value: weighted / weights, stderr, n: total })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(value: f64, stderr: Option<f64>, n: usize) -> Aggregate {
        Aggregate { value, stderr, n }
    }

    #[test]
    fn the_pooled_error_is_the_reference_harness_s() {
        let members =
            [member(0.2, Some(0.04), 100), member(0.3, Some(0.03), 135), member(0.4, Some(0.05), 90)];
        let group = combine(&members, true).unwrap();
        assert!((group.stderr.unwrap() - 0.022_322_4).abs() < 1e-7);
        assert!((group.value - (20.0 + 40.5 + 36.0) / 325.0).abs() < 1e-15);
        assert_eq!(group.n, 325);
    }

    #[test]
    fn equal_weights_change_the_value_and_not_the_error() {
        let members = [member(0.0, Some(0.1), 10), member(1.0, Some(0.1), 30)];
        let (sized, equal) = (combine(&members, true).unwrap(), combine(&members, false).unwrap());
        assert_eq!((sized.value, equal.value), (0.75, 0.5));
        assert_eq!(sized.stderr, equal.stderr);
    }

    #[test]
    fn a_member_without_an_error_leaves_the_group_without_one() {
        assert_eq!(combine(&[member(0.5, None, 1), member(0.5, Some(0.1), 9)], true).unwrap().stderr, None);
        assert!(combine(&[], true).is_none());
    }
}
