//! Groups of tasks: the mean of their values, each with the standard error that belongs to it.
//!
//! Formulas of lm-evaluation-harness 0.4.13, `pooled_sample_stderr` and `unweighted_mean_stderr`.

use super::Aggregate;

/// The mean over `k` tasks and its standard error.
///
/// * By size (micro): each task counts by its documents, as if all were one task. The error is the pooled
///   √(Σ(nᵢ−1)·seᵢ²·nᵢ / (Σnᵢ−k) / Σnᵢ).
/// * Each task once (macro, `weight_by_size` false): the error is that of a mean of independent means,
///   √(Σseᵢ²) / k.
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
    let stderr = if weight_by_size {
        let variance: Option<f64> =
            members.iter().map(|m| m.stderr.map(|se| (m.n as f64 - 1.0) * se * se * m.n as f64)).sum();
        let freedom = total as f64 - members.len() as f64;
        variance.filter(|_| freedom > 0.0).map(|v| (v / freedom / total as f64).sqrt())
    } else {
        let squares: Option<f64> = members.iter().map(|m| m.stderr.map(|se| se * se)).sum();
        squares.map(|sum| sum.sqrt() / members.len() as f64)
    };
    Some(Aggregate { value: weighted / weights, stderr, n: total })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(value: f64, stderr: Option<f64>, n: usize) -> Aggregate {
        Aggregate { value, stderr, n }
    }

    #[test]
    fn both_averages_and_their_errors_are_the_reference_harness_s() {
        let stored: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/metrics/reference.json")).unwrap();
        for case in stored["groups"].as_array().unwrap() {
            let members: Vec<Aggregate> = case["members"]
                .as_array()
                .unwrap()
                .iter()
                .map(|m| member(m[0].as_f64().unwrap(), m[1].as_f64(), m[2].as_u64().unwrap() as usize))
                .collect();
            for (by_size, name) in [(true, "micro"), (false, "macro")] {
                let group = combine(&members, by_size).unwrap();
                let near = |ours: f64, key: String| {
                    assert!((ours - case[&key].as_f64().unwrap()).abs() < 1e-15, "{key} of {case}: {ours}");
                };
                near(group.value, name.to_owned());
                near(group.stderr.unwrap(), format!("{name}_stderr"));
                assert_eq!(group.n, members.iter().map(|m| m.n).sum::<usize>());
            }
        }
    }

    #[test]
    fn a_member_without_an_error_leaves_the_group_without_one() {
        assert_eq!(combine(&[member(0.5, None, 1), member(0.5, Some(0.1), 9)], true).unwrap().stderr, None);
        assert!(combine(&[], true).is_none());
    }
}
