//! Means, groups and paired differences against the formulas written out over all values.

use proptest::prelude::*;

use super::*;

/// How far two ways of summing may part, relative to the size of the values.
const NEAR: f64 = 1e-9;

fn near(ours: f64, direct: f64) -> Result<(), TestCaseError> {
    prop_assert!((ours - direct).abs() <= NEAR * direct.abs().max(1.0), "{ours}, not {direct}");
    Ok(())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Σ(xᵢ − xⱼ)² / (2n(n − 1)) over all pairs: the sample variance without a mean.
fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let pairs = values.iter().flat_map(|a| values.iter().map(move |b| (a - b).powi(2)));
    pairs.sum::<f64>() / (2.0 * n * (n - 1.0))
}

fn values(least: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), -50.0..50.0f64], least..20)
}

proptest! {
    #[test]
    fn a_mean_and_its_error(values in values(2)) {
        let ours = Aggregation::Mean.of(&values).unwrap();
        near(ours.value, mean(&values))?;
        near(ours.stderr.unwrap(), (variance(&values) / values.len() as f64).sqrt())?;
        prop_assert_eq!(ours.n, values.len());
    }

    #[test]
    fn half_of_the_values_lie_on_each_side_of_the_middle_one(values in values(1)) {
        // No bootstrap for one value; the others are cut short, since only the value counts.
        let ours = Aggregation::Median.of(&values[..1]).unwrap();
        prop_assert_eq!(ours.value, values[0]);
        let ours = super::average::median(&values);
        let (below, above) = (values.iter().filter(|v| **v < ours), values.iter().filter(|v| **v > ours));
        prop_assert!(below.count() <= values.len() / 2 && above.count() <= (values.len() - 1) / 2);
    }

    #[test]
    fn sums_over_units(parts in prop::collection::vec((-50.0..0.0f64, 1u32..90), 1..20)) {
        let weighted: Vec<DocValue> =
            parts.iter().map(|(sum, units)| DocValue::Weighted(*sum, f64::from(*units))).collect();
        let (sum, units) = parts.iter().fold((0.0, 0), |(s, u), (sum, units)| (s + sum, u + units));
        let nats = -sum / f64::from(units);
        near(Aggregation::WeightedPerplexity.of_documents(&weighted).unwrap().value, nats.exp())?;
        near(Aggregation::BitsPerByte.of_documents(&weighted).unwrap().value, nats / 2f64.ln())?;
    }

    #[test]
    fn a_group_by_size_is_one_task_with_its_variance_pooled(
        tasks in prop::collection::vec(values(2), 1..6)
    ) {
        let members: Vec<Aggregate> = tasks.iter().map(|task| Aggregation::Mean.of(task).unwrap()).collect();
        let ours = combine(&members, true).unwrap();
        let all = tasks.concat();
        near(ours.value, mean(&all))?;
        let squares: f64 = tasks.iter().map(|task| variance(task) * (task.len() - 1) as f64).sum();
        let pooled = squares / (all.len() - tasks.len()) as f64;
        near(ours.stderr.unwrap(), (pooled / all.len() as f64).sqrt())?;
        prop_assert_eq!(ours.n, all.len());
    }

    #[test]
    fn a_group_of_equal_tasks_is_the_mean_of_independent_means(
        tasks in prop::collection::vec(values(2), 1..6)
    ) {
        let members: Vec<Aggregate> = tasks.iter().map(|task| Aggregation::Mean.of(task).unwrap()).collect();
        let ours = combine(&members, false).unwrap();
        near(ours.value, mean(&tasks.iter().map(|task| mean(task)).collect::<Vec<_>>()))?;
        let variances: f64 = tasks.iter().map(|task| variance(task) / task.len() as f64).sum();
        near(ours.stderr.unwrap(), variances.sqrt() / tasks.len() as f64)?;
    }

    #[test]
    fn a_paired_difference_is_the_mean_of_differences(pairs in prop::collection::vec((0u8..3, 0u8..3), 2..30)) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(a, b)| (f64::from(*a), f64::from(*b))).unzip();
        let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        let [own, other] = [&a, &b].map(|v| v.iter().map(|x| DocValue::Number(*x)).collect::<Vec<_>>());
        let error = Aggregation::Mean.paired_error(&own, &other).unwrap();
        near(error, (variance(&differences) / a.len() as f64).sqrt())?;
        prop_assert_eq!(Aggregation::Mean.paired_error(&other, &own), Some(error));
        // Both means have their own errors; what the models have in common is in the covariance.
        let covariance = variance(&a) + variance(&b) - variance(&differences);
        let apart = (variance(&a) + variance(&b)) / a.len() as f64;
        near(error.powi(2), apart - covariance / a.len() as f64)?;
    }
}
