//! Statistics against SciPy, statsmodels and Python's own generator (`tests/fixtures/metrics/make_inference.py`), and what must
//! hold of them in any case.

use std::sync::LazyLock;

use serde_json::Value;

use super::*;
use crate::metrics::average::mean;
use crate::metrics::{Aggregation, CALIBRATION_BINS, DocValue, Gold, Positions, calibration};

/// Absolute and, for what is small, relative.
const EXACT: f64 = 1e-9;

static STORED: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../tests/fixtures/metrics/inference.json")).unwrap()
});

fn cases(name: &str, count: usize) -> &'static [Value] {
    let cases = STORED[name].as_array().unwrap();
    assert_eq!(cases.len(), count, "{name}");
    cases
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(float).collect()
}

fn counts(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|count| count.as_u64().unwrap() as usize).collect()
}

#[track_caller]
fn near(found: f64, expected: &Value, of: &Value) {
    let expected = float(expected);
    let apart = (found - expected).abs();
    assert!(apart <= EXACT * expected.abs() || apart < 1e-15, "{found}, not {expected}, of {of}");
}

#[track_caller]
fn near_interval(found: [f64; 2], expected: &Value, of: &Value) {
    for (found, expected) in found.iter().zip(floats(expected)) {
        assert!((found - expected).abs() < EXACT, "{found}, not {expected}, of {of}");
    }
}

fn numbers(values: &[f64]) -> Vec<DocValue> {
    values.iter().map(|value| DocValue::Number(*value)).collect()
}

#[test]
fn mcnemar_s_test_is_statsmodels_from_no_document_to_all_of_mmlu() {
    for case in cases("mcnemar", 22) {
        let [b, c] = ["b", "c"].map(|key| case[key].as_u64().unwrap() as usize);
        near(mcnemar(b, c), &case["p"], case);
    }
    // Below the least positive number.
    assert_eq!(mcnemar(0, 14_042), 0.0);
}

#[test]
fn mcnemar_s_test_is_the_permutation_test_of_0_and_1() {
    for (b, c) in [(0, 0), (1, 0), (2, 1), (3, 9), (6, 6), (0, 20), (12, 8)] {
        let signs = [vec![1.0; b], vec![-1.0; c], vec![0.0; 7]].concat();
        let found = sign_flips(&signs);
        assert!((found.p - mcnemar(b, c)).abs() < EXACT, "{b} {c}");
        assert_eq!((found.arrangements, found.exact), (1 << (b + c), true));
    }
}

#[test]
fn few_arrangements_are_all_taken_as_by_scipy() {
    for case in cases("flips", 11) {
        let sums = floats(&case["sums"]);
        let found = sign_flips(&sums);
        near(found.p, &case["p"], case);
        assert!(found.exact);
        // Changing sides of documents one by one is the same test.
        let zeros = vec![0.0; sums.len()];
        let swapped = swaps([&sums, &zeros], &Clusters::singletons(sums.len()), mean);
        near(swapped.p, &case["p"], case);
    }
}

#[test]
fn many_are_drawn_with_python_s_generator() {
    for case in cases("drawn_flips", 4) {
        let sums = floats(&case["sums"]);
        let found = sign_flips(&sums);
        near(found.p, &case["p"], case);
        assert_eq!(found.arrangements as u64, case["arrangements"].as_u64().unwrap());
        assert!(!found.exact);
        let zeros = vec![0.0; sums.len()];
        let swapped = swaps([&sums, &zeros], &Clusters::singletons(sums.len()), mean);
        if found.arrangements == swapped.arrangements {
            assert_eq!(found.p, swapped.p, "the same bits, the same arrangements");
        }
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| sign_flips(&sums)), found, "on any number of threads");
    }
}

#[test]
fn drawn_arrangements_are_near_all_of_them() {
    // Nineteen differences are few; with three more that hardly count they are many.
    let mut sums: Vec<f64> = (0..19).map(|i| f64::from(i * 7 % 11) - 4.2).collect();
    let all = sign_flips(&sums);
    sums.extend([1e-9, -1e-9, 1e-9]);
    let drawn = sign_flips(&sums);
    assert!(all.exact && !drawn.exact && drawn.arrangements == 10_000);
    // Five standard errors of a share of 10,000.
    assert!((all.p - drawn.p).abs() < 5.0 * (all.p * (1.0 - all.p) / 1e4).sqrt(), "{all:?} {drawn:?}");
}

#[test]
fn ties_are_ties_in_any_order_of_summing() {
    // 0.1 + 0.2 is not 0.3 in doubles; all of these differences are as extreme as the one seen.
    let found = sign_flips(&[0.1, 0.2, -0.3]);
    assert_eq!(found.p, 1.0);
    assert_eq!(sign_flips(&[]).p, 1.0);
    assert_eq!(sign_flips(&[0.0; 100]).p, 1.0, "no disagreement");
}

#[test]
fn bootstrap_intervals_are_numpy_s_percentiles_of_python_s_draws() {
    for case in cases("percentiles", 5) {
        let (a, b) = (floats(&case["a"]), floats(&case["b"]));
        let clusters = Clusters::by(counts(&case["keys"]));
        let found = percentile_interval([&a, &b], &clusters, mean).unwrap();
        near_interval(found, &case["mean"], case);
        let perplexity = |values: &[f64]| (-mean(values)).exp();
        near_interval(
            percentile_interval([&a, &b], &clusters, perplexity).unwrap(),
            &case["perplexity"],
            case,
        );
    }
    let nothing = percentile_interval([&[1.0], &[2.0]], &Clusters::singletons(1), |_| f64::NAN);
    assert_eq!(nothing, None);
}

#[test]
fn intervals_of_means_are_student_s() {
    for case in cases("means", 7) {
        let n = case["n"].as_u64().unwrap() as usize;
        let found = interval_of_mean(float(&case["difference"]), float(&case["stderr"]), n).unwrap();
        near_interval(found, &case["interval"], case);
    }
    assert_eq!(interval_of_mean(0.5, 0.1, 1), None);
    let normal = interval_of_mean(0.0, 1.0, 100_000_000).unwrap()[1];
    assert!((normal - 1.959_963_984_540_054).abs() < 1e-7, "{normal}");
}

#[test]
fn intervals_of_shares_are_newcombe_s() {
    for case in cases("shares", 14) {
        let [both, first_alone, second_alone, neither] = counts(&case["counts"])[..] else {
            panic!("{case}")
        };
        let table = Disagreement { both, first_alone, second_alone, neither };
        near_interval(interval_of_paired_shares(table).unwrap(), &case["interval"], case);
    }
    assert_eq!(interval_of_paired_shares(Disagreement::default()), None);
    // As printed in Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables, 2017, for Bentur et al. 2009.
    let table = Disagreement { both: 1, first_alone: 1, second_alone: 7, neither: 12 };
    let found = interval_of_paired_shares(table).unwrap().map(|end| format!("{end:.3}"));
    assert_eq!(found, ["-0.507", "-0.026"]);
}

#[test]
fn errors_of_clusters_are_statsmodels() {
    for case in cases("clusters", 6) {
        let (values, clusters) = (floats(&case["values"]), Clusters::by(counts(&case["keys"])));
        match (clusters.error_of_mean(&values), &case["error"]) {
            (found, Value::Null) => assert_eq!(found, None, "one cluster has no error"),
            (Some(found), expected) => near(found, expected, case),
            (None, expected) => panic!("none, not {expected}, of {case}"),
        }
    }
    // Each by itself is s/√n.
    let values = [1.0, 0.0, 0.0, 1.0, 1.0];
    let alone = Clusters::singletons(5).error_of_mean(&values).unwrap();
    let known = Aggregation::Mean.of(&values).unwrap().stderr.unwrap();
    assert!((alone - known).abs() < 1e-15);
}

#[test]
fn clusters_keep_documents_and_their_order() {
    let clusters = Clusters::by(["b", "a", "b", "c"]);
    assert_eq!((clusters.len(), clusters.documents(), clusters.are_any_together()), (3, 4, true));
    assert_eq!(clusters.sums(&[1.0, 2.0, 4.0, 8.0]), [5.0, 2.0, 8.0]);
    let both = Clusters::concat([&clusters, &Clusters::singletons(2)]);
    assert_eq!(both.sums(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]), [5.0, 2.0, 8.0, 16.0, 32.0]);
    assert!(Clusters::singletons(0).is_empty() && !Clusters::singletons(3).are_any_together());
}

#[test]
fn many_tests_are_adjusted_as_by_statsmodels() {
    for case in cases("holm", 7) {
        let p: Vec<Option<f64>> = floats(&case["p"]).into_iter().map(Some).collect();
        for (found, expected) in holm(&p).iter().zip(case["adjusted"].as_array().unwrap()) {
            near(found.unwrap(), expected, case);
        }
    }
    assert_eq!(holm(&[None, Some(0.01), None, Some(0.04)]), [None, Some(0.02), None, Some(0.04)]);
    assert!(holm(&[]).is_empty());
}

#[test]
fn what_could_have_been_found_is_statsmodels_power() {
    for case in cases("detectable", 3) {
        let stderr = float(&case["deviation"]) / float(&case["n"]).sqrt();
        near(detectable(stderr).unwrap(), &case["detectable"], case);
    }
    assert_eq!(detectable(0.0), None);
}

#[test]
fn positions_are_tested_as_by_statsmodels() {
    for case in cases("homogeneity", 5) {
        let table: Vec<Vec<usize>> = case["table"].as_array().unwrap().iter().map(counts).collect();
        let k = table.len();
        let cells = (0..k).flat_map(|right| (0..k).map(move |chosen| [right, chosen]));
        let documents = cells.flat_map(|cell| std::iter::repeat_n(cell, table[cell[0]][cell[1]]));
        let positions = Positions::of(k, documents);
        let found = positions.homogeneity().unwrap();
        near(found.statistic, &case["statistic"], case);
        assert_eq!(found.freedom as u64, case["freedom"].as_u64().unwrap());
        assert!((found.p - float(&case["p"])).abs() < EXACT, "{found:?} of {case}");
        assert_eq!(positions.right(), table.iter().map(|row| row.iter().sum()).collect::<Vec<usize>>());
        assert_eq!(positions.chosen().iter().sum::<usize>(), positions.n());
        assert_eq!(positions.chosen_intervals().len(), k);
    }
}

#[test]
fn positions_that_nothing_joins_are_tested_by_themselves() {
    assert_eq!(Positions::of(4, [[0, 0], [3, 3]]).homogeneity(), None, "all right");
    assert_eq!(Positions::of(4, []).homogeneity(), None);
    assert!(Positions::of(4, []).chosen_intervals().is_empty());
    // A with B and C with D: two tests of McNemar's kind, (9 − 3)² / 12 and (8 − 2)² / 10.
    let of = |cell: [usize; 2], n| std::iter::repeat_n(cell, n);
    let documents = of([0, 1], 9).chain(of([1, 0], 3)).chain(of([2, 3], 8)).chain(of([3, 2], 2));
    let found = Positions::of(4, documents).homogeneity().unwrap();
    assert_eq!(found.freedom, 2);
    assert!((found.statistic - (3.0 + 3.6)).abs() < EXACT, "{found:?}");
}

#[test]
fn tails_of_chi_square_are_scipy_s() {
    for case in cases("chi_square", 12) {
        let found = chi_square_tail(float(&case["x"]), case["freedom"].as_u64().unwrap() as usize);
        near(found, &case["p"], case);
    }
}

#[test]
fn calibration_is_as_defined() {
    for case in cases("calibration", 4) {
        let logprobs: Vec<Vec<f64>> = case["logprobs"].as_array().unwrap().iter().map(floats).collect();
        let gold: Vec<Gold> = counts(&case["gold"]).into_iter().map(Gold::Index).collect();
        let found = calibration(logprobs.iter().map(Vec::as_slice).zip(&gold)).unwrap();
        near(found.ece, &case["ece"], case);
        near(found.brier, &case["brier"], case);
        assert_eq!(found.n, gold.len());
        assert_eq!(found.bins.iter().map(|bin| bin.n).sum::<usize>(), gold.len());
    }
    let sure = calibration([(&[0.0, -900.0][..], &Gold::Index(0))]).unwrap();
    assert_eq!((sure.ece, sure.brier, sure.bins[CALIBRATION_BINS - 1].n), (0.0, 0.0, 1));
    let wrong = calibration([(&[0.0, -900.0][..], &Gold::OutOfRange)]).unwrap();
    assert_eq!((wrong.ece, wrong.brier), (1.0, 1.0));
    assert_eq!(calibration([]), None);
    assert_eq!(calibration([(&[][..], &Gold::OutOfRange)]), None);
}

fn of(aggregation: Aggregation, first: &[DocValue], second: &[DocValue], clusters: &Clusters) -> Contrast {
    contrast(Part { aggregation, first, second, clusters }).unwrap()
}

#[test]
fn a_metric_has_the_test_of_its_values() {
    let (right, wrong) = (vec![1.0; 30], [vec![1.0; 21], vec![0.0; 9]].concat());
    let alone = Clusters::singletons(30);
    let found = of(Aggregation::Mean, &numbers(&right), &numbers(&wrong), &alone);
    assert_eq!(found.test.unwrap(), Test::McNemar { p: mcnemar(9, 0), first_alone: 9, second_alone: 0 });
    assert_eq!((found.n, found.clusters), (30, 30));
    assert!((found.difference - 0.3).abs() < EXACT);
    assert_eq!(
        found.stderr,
        Aggregation::Mean.paired_error(&numbers(&right), &numbers(&wrong)),
        "one error of a difference"
    );
    // The same documents in five passages: the sides of passages change.
    let passages = Clusters::by((0..30).map(|i| i / 6));
    let found = of(Aggregation::Mean, &numbers(&right), &numbers(&wrong), &passages);
    assert_eq!(found.clusters, 5);
    let test = found.test.unwrap();
    assert_eq!((test.name(), test.p()), ("permutation, exact", 0.5));

    let halves = [vec![0.5; 4], vec![0.25; 26]].concat();
    let found = of(Aggregation::Mean, &numbers(&right), &numbers(&halves), &alone);
    assert_eq!(found.test.unwrap().name(), "permutation");
    let [low, high] = found.interval.unwrap();
    assert!(low < found.difference && found.difference < high);

    let found = of(Aggregation::Median, &numbers(&right), &numbers(&wrong), &alone);
    assert_eq!((found.difference, found.test, found.interval, found.stderr), (0.0, None, None, None));
    let refused = contrast(Part {
        aggregation: Aggregation::F1,
        first: &numbers(&right),
        second: &numbers(&wrong),
        clusters: &alone,
    });
    assert!(refused.unwrap_err().contains("another kind"));
}

#[test]
fn what_cannot_be_known_is_not_said() {
    let alone = Clusters::singletons(1);
    let found = of(Aggregation::Mean, &numbers(&[1.0]), &numbers(&[0.0]), &alone);
    assert_eq!((found.stderr, found.detectable, found.test.unwrap().p()), (None, None, 1.0));
    assert!(found.interval.is_some_and(|[low, high]| low < 0.0 && high == 1.0), "{found:?}");
    let found = of(Aggregation::Mean, &numbers(&[0.5]), &numbers(&[0.0]), &alone);
    assert_eq!((found.interval, found.test.unwrap().p()), (None, 1.0));
    let found = of(Aggregation::Perplexity, &numbers(&[-1.0]), &numbers(&[-2.0]), &alone);
    assert_eq!((found.interval, found.stderr, found.test.unwrap().p()), (None, None, 1.0));
    // Models that agree on every document are not certainly equal.
    let all = numbers(&[1.0; 50]);
    let found = of(Aggregation::Mean, &all, &all, &Clusters::singletons(50));
    assert_eq!((found.difference, found.stderr, found.detectable), (0.0, Some(0.0), None));
    assert!(found.interval.is_some_and(|[low, high]| low < -0.05 && high > 0.05));
    let found = of(Aggregation::Mean, &all, &all, &Clusters::by([0; 50]));
    assert_eq!((found.stderr, found.interval, found.test.unwrap().p()), (None, None, 1.0));
    let none = contrast(Part {
        aggregation: Aggregation::Mean,
        first: &[],
        second: &[],
        clusters: &Clusters::singletons(0),
    });
    assert!(none.is_err());
}

#[test]
fn values_of_all_documents_together_have_a_test_and_an_interval() {
    let documents = |seed: f64| -> Vec<DocValue> {
        (0..60).map(|i| DocValue::Weighted(-(f64::from(i * 13 % 17) + seed), f64::from(i % 5 + 3))).collect()
    };
    let (a, b) = (documents(2.0), documents(3.0));
    let alone = Clusters::singletons(60);
    for aggregation in [Aggregation::WeightedPerplexity, Aggregation::BitsPerByte] {
        let found = of(aggregation, &a, &b, &alone);
        let [own, other] = [&a, &b].map(|values| aggregation.of_documents(values).unwrap().value);
        assert!((found.difference - (own - other)).abs() < EXACT);
        assert_eq!(found.stderr, aggregation.paired_error(&a, &b));
        let [low, high] = found.interval.unwrap();
        assert!(low < found.difference && found.difference < high && high < 0.0, "{found:?}");
        assert_eq!(found.test.unwrap().p(), 1e-4, "none of 9,999 is as extreme");
    }
    let by_fours = Clusters::by((0..60).map(|i| i / 4));
    let found = of(Aggregation::BitsPerByte, &a, &b, &by_fours);
    assert!(found.stderr.unwrap() > 0.0 && found.clusters == 15);
    let classes = |shift: i64| -> Vec<DocValue> {
        (0..60).map(|i| DocValue::Classes([i % 2, (i + i / 7 * shift) % 2])).collect()
    };
    let found = of(Aggregation::F1, &classes(0), &classes(1), &alone);
    assert!(found.difference > 0.2 && found.test.unwrap().p() <= 0.01, "{found:?}");
}

#[test]
fn groups_by_size_are_their_documents_together_and_others_count_tasks() {
    let values = |n: u32, step: u32, share: u32| -> Vec<DocValue> {
        (0..n).map(|i| DocValue::Number(f64::from(u8::from(i * step % 10 < share)))).collect()
    };
    let (a, b) = ([values(10, 3, 7), values(30, 7, 5)], [values(10, 1, 4), values(30, 1, 4)]);
    let clusters = [10, 30].map(Clusters::singletons);
    let parts: Vec<Part<'_>> = (0..2)
        .map(|at| Part {
            aggregation: Aggregation::Mean,
            first: &a[at],
            second: &b[at],
            clusters: &clusters[at],
        })
        .collect();
    let together = contrast_of_group(&parts, true).unwrap();
    let all = of(Aggregation::Mean, &a.concat(), &b.concat(), &Clusters::singletons(40));
    assert_eq!(together, all);
    let own: Vec<Contrast> = parts.iter().map(|part| contrast(*part).unwrap()).collect();
    let each = contrast_of_group(&parts, false).unwrap();
    assert!((each.difference - (own[0].difference + own[1].difference) / 2.0).abs() < EXACT);
    let error = own.iter().map(|own| own.stderr.unwrap().powi(2)).sum::<f64>().sqrt() / 2.0;
    assert!((each.stderr.unwrap() - error).abs() < EXACT && each.n == 40);
    // Of one task it is that task's, but for McNemar's test, which the permutation of its documents is.
    let one = contrast_of_group(&parts[..1], false).unwrap();
    assert!((one.test.unwrap().p() - own[0].test.unwrap().p()).abs() < EXACT);
    assert!(contrast_of_group(&[], true).is_err());
    // Perplexities of tasks are averaged, and there is no test of that.
    let logprobs = [numbers(&[-1.0, -2.0, -2.5]), numbers(&[-2.0, -1.5, -3.0])];
    let three = Clusters::singletons(3);
    let part = Part {
        aggregation: Aggregation::Perplexity,
        first: &logprobs[0],
        second: &logprobs[1],
        clusters: &three,
    };
    let found = contrast_of_group(&[part, part], false).unwrap();
    let own = contrast(part).unwrap();
    assert!((found.difference - own.difference).abs() < EXACT && found.test.is_none());
    assert!((found.stderr.unwrap() - own.stderr.unwrap() / 2f64.sqrt()).abs() < EXACT);
}
