//! Two models on the same documents: the table of differences, and the marks that it gives to the table of values.

use std::collections::{HashMap, HashSet};

use super::table::{Cell, Stress, data, number, people, text};
use super::{Row, Table, TaskKind};
use crate::metrics::inference::{Contrast, Test, holm};

/// The level of tests, over all of a table.
const LEVEL: f64 = 0.05;

/// A line: two columns of a comparison, a task and a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The suite that was asked for.
    pub suite: String,
    /// The task or group.
    pub task: String,
    /// Which of the two.
    pub kind: TaskKind,
    /// Few-shot examples.
    pub num_fewshot: Option<usize>,
    /// The metric.
    pub metric: String,
    /// The filter pipeline.
    pub filter: String,
    /// The column whose value it is,
    pub first: String,
    /// less the value of this one.
    pub second: String,
    /// What is known of the difference, or why the two cannot be compared.
    pub found: Result<Contrast, String>,
    /// The p of the test, adjusted over all tests of the table.
    pub p_holm: Option<f64>,
}

impl Difference {
    /// The p of the test by itself.
    pub fn p(&self) -> Option<f64> {
        Some(self.test()?.p())
    }

    /// Whether there is more than luck in it, with all of the table considered; `None` without a test.
    pub fn is_significant(&self) -> Option<bool> {
        self.p_holm.map(|p| p < LEVEL)
    }

    fn test(&self) -> Option<Test> {
        self.found.as_ref().ok()?.test
    }

    fn line(&self) -> Line<'_> {
        (&self.suite, &self.task, self.num_fewshot, &self.metric, &self.filter)
    }
}

/// What makes a line of a comparison: suite, task, shots, metric and filter.
type Line<'d> = (&'d str, &'d str, Option<usize>, &'d str, &'d str);

/// What has to be known to read the table.
pub const DIFFERENCES: &str = "Differences are of the same documents, paired: ± is the standard error of the difference, 95 % its interval, p \
                               two-sided, p (Holm) the same with all tests of the table considered (* below 0.05), detectable what would \
                               be found in 80 % of such samples. docs/statistics.md has the formulas.";

/// How far a difference of values may be from that of their documents, relative, to be the same: sums in another order.
const SAME: f64 = 1e-9;
/// Lines beyond which tasks are folded into their groups.
const MOST_LINES: usize = 40;

/// Adjusts the p of all these over all of them.
pub fn adjust(lines: &mut [Difference]) {
    let p: Vec<Option<f64>> = lines.iter().map(Difference::p).collect();
    for (own, adjusted) in lines.iter_mut().zip(holm(&p)) {
        own.p_holm = adjusted;
    }
}

/// What people are shown of many differences, those of suites and groups, and how many others there are.
pub fn fold_differences(lines: &[Difference]) -> (Vec<Difference>, usize) {
    let is_group = |line: &&Difference| line.kind == TaskKind::Group || line.suite == line.task;
    if lines.len() <= MOST_LINES || !lines.iter().any(|line| is_group(&line)) {
        return (lines.to_vec(), 0);
    }
    let shown: Vec<Difference> = lines.iter().filter(is_group).cloned().collect();
    let others = lines.len() - shown.len();
    (shown, others)
}

/// A line for each difference.
pub fn differences(lines: &[Difference]) -> Table<&Difference> {
    let of = |line: &Difference, part: fn(&Contrast) -> Option<f64>| line.found.as_ref().ok().and_then(part);
    let signed = |value: f64| format!("{value:+.4}");
    let mut table = Table::of(lines)
        .column(data("suite"), |line| &line.suite)
        .column(text("task").wraps(), |line| &line.task)
        .column(number("num_fewshot").titled("shots").spare(7), |line| line.num_fewshot)
        .column(text("metric"), |line| match line.filter.as_str() {
            "none" => Cell::from(&line.metric),
            filter => Cell::from(&line.metric).shown(format!("{}, {filter}", line.metric)),
        })
        .column(data("filter"), |line| &line.filter)
        .column(text("first").titled("model").wraps(), |line| &line.first)
        .column(text("second").titled("less").wraps(), |line| &line.second)
        .column(number("n").spare(4), |line| line.found.as_ref().ok().map(|found| found.n))
        .column(number("difference"), move |line| {
            let stress = if line.is_significant() == Some(true) { Stress::First } else { Stress::None };
            Cell::written(of(line, |found| Some(found.difference)), signed).or_dash().stressed(stress)
        })
        .column(number("stderr").titled("±").spare(3), move |line| {
            Cell::written(of(line, |found| found.stderr), |value: f64| format!("{value:.4}"))
        })
        .column(data("interval_low"), move |line| of(line, |found| Some(found.interval?[0])))
        .column(data("interval_high"), move |line| of(line, |found| Some(found.interval?[1])))
        .column(people(number("95 %")).spare(1), |line| {
            let interval = line.found.as_ref().ok().and_then(|found| found.interval);
            interval.map(|[low, high]| format!("{low:+.3} to {high:+.3}"))
        })
        .column(number("p").spare(2), |line| Cell::written(line.p(), probability))
        .column(number("p_holm").titled("p (Holm)"), |line| Cell::written(line.p_holm, probability))
        .column(text("test").spare(6), |line| line.test().map(Test::name))
        .column(number("detectable").spare(5), move |line| {
            Cell::written(of(line, |found| found.detectable), |value: f64| format!("{value:.4}"))
        });
    let in_clusters = |line: &Difference| line.found.as_ref().is_ok_and(|found| found.clusters < found.n);
    let clusters = number("clusters").spare(8);
    let clusters = if lines.iter().any(in_clusters) { clusters } else { data("clusters") };
    table = table.column(clusters, |line| line.found.as_ref().ok().map(|found| found.clusters));
    let reason = text("reason").titled("not comparable").wraps();
    let reason = if lines.iter().any(|line| line.found.is_err()) { reason } else { data("reason") };
    table.column(reason, |line| line.found.as_ref().err())
}

/// Three digits behind the point, and what is less as that.
fn probability(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// Marks the best of each line and whatever is not worse by more than luck, where all of the line could be tested against the
/// best. `lines` are differences of the best of each line and all others.
pub fn mark_best(rows: &mut [Row], lines: &[Difference]) {
    let value = |label: &str, line: &Difference| {
        let own = rows.iter().find(|row| {
            let Row { suite, task, num_fewshot, metric, filter, .. } = row;
            row.label.as_deref().unwrap_or(&row.model) == label
                && (suite.as_str(), task.as_str(), *num_fewshot, metric.as_str(), filter.as_str())
                    == line.line()
        });
        own.and_then(|row| row.value)
    };
    // Values over other documents say nothing of who is better on those that both have.
    let is_of_values = |line: &Difference| {
        let values = value(&line.first, line).zip(value(&line.second, line));
        let found = line.found.as_ref().ok().map(|found| found.difference);
        values.zip(found).is_some_and(|((first, second), found)| {
            (first - second - found).abs() <= SAME * (1.0 + first.abs() + second.abs())
        })
    };
    let is_tested = |line: &&Difference| line.is_significant().is_some() && is_of_values(line);
    let untested: HashSet<Line<'_>> =
        lines.iter().filter(|line| !is_tested(line)).map(Difference::line).collect();
    let mut marks: HashMap<(&str, Line<'_>), Stress> = HashMap::new();
    for line in lines.iter().filter(|line| !untested.contains(&line.line())) {
        marks.insert((&line.first, line.line()), Stress::First);
        if line.is_significant() == Some(false) {
            // What is as high is the best as well.
            let as_high = line.found.as_ref().is_ok_and(|found| found.difference == 0.0);
            let stress = if as_high { Stress::First } else { Stress::Second };
            marks.insert((&line.second, line.line()), stress);
        }
    }
    for row in rows {
        let Row { suite, task, num_fewshot, metric, filter, .. } = &*row;
        let label = row.label.as_deref().unwrap_or(&row.model);
        if let Some(mark) = marks.get(&(label, (suite, task, *num_fewshot, metric, filter))) {
            row.stress = *mark;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::inference::{Clusters, Part, contrast, holm};
    use crate::metrics::{Aggregation, DocValue};
    use crate::report::row::tests::row;

    fn difference(task: &str, second: &str, right: usize, of: usize) -> Difference {
        let side = |right: usize| {
            (0..of).map(|i| DocValue::Number(f64::from(u8::from(i < right)))).collect::<Vec<_>>()
        };
        let clusters = Clusters::singletons(of);
        let (first, other) = (side(of), side(right));
        let part =
            Part { aggregation: Aggregation::Mean, first: &first, second: &other, clusters: &clusters };
        Difference {
            suite: "zoology".to_owned(),
            task: task.to_owned(),
            kind: TaskKind::Task,
            num_fewshot: Some(5),
            metric: "acc".to_owned(),
            filter: "none".to_owned(),
            first: "llama-7b".to_owned(),
            second: second.to_owned(),
            found: contrast(part),
            p_holm: None,
        }
    }

    fn lines() -> Vec<Difference> {
        let mut lines = vec![
            difference("zoology_birds", "alpaca-7b", 60, 100),
            difference("zoology_birds", "=cmd()", 98, 100),
            difference("zoology_fish", "alpaca-7b", 2, 2),
            difference("zoology_fish", "=cmd()", 1, 2),
        ];
        lines[3].found = Err("zoology_fish: not the same data (sha256 abababab and cdcdcdcd)".to_owned());
        let p: Vec<Option<f64>> = lines.iter().map(Difference::p).collect();
        lines.iter_mut().zip(holm(&p)).for_each(|(line, p)| line.p_holm = p);
        lines
    }

    #[test]
    fn every_difference_says_what_it_is_worth() {
        let lines = lines();
        let csv = differences(&lines).csv();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let cells = |record: csv::StringRecord| -> HashMap<String, String> {
            head.iter().cloned().zip(record.iter().map(str::to_owned)).collect()
        };
        let rows: Vec<HashMap<String, String>> =
            reader.records().map(|record| cells(record.unwrap())).collect();
        let number = |row: usize, key: &str| rows[row][key].parse::<f64>().unwrap();
        assert_eq!(rows.len(), 4);
        assert!((number(0, "difference") - 0.4).abs() < 1e-9 && number(0, "p_holm") < 1e-9);
        assert_eq!((rows[0]["test"].as_str(), rows[0]["n"].as_str()), ("McNemar", "100"));
        assert!(number(0, "interval_low") > 0.0 && number(0, "interval_high") < 0.6);
        // Two of a hundred: p is 0.5, and three tests are in the table.
        assert_eq!((rows[1]["second"].as_str(), number(1, "p"), number(1, "p_holm")), ("'=cmd()", 0.5, 1.0));
        // Both right twice: no difference, no error, and no certainty.
        assert_eq!((number(2, "difference"), rows[2]["detectable"].as_str()), (0.0, ""));
        assert!(number(2, "interval_low") < -0.3 && number(2, "interval_high") > 0.3);
        assert_eq!((rows[3]["difference"].as_str(), rows[3]["p"].as_str()), ("", ""));
        assert!(rows[3]["reason"].contains("not the same data"));
        let text = differences(&lines).text(200);
        assert!(
            text.contains("p (Holm)") && text.contains("not comparable") && text.contains("+0.4000*"),
            "{text}"
        );
        assert!(!text.contains("clusters"), "documents stand alone: {text}");
        assert!(differences(&lines[..3]).markdown().contains("**+0.4000**"));
        assert!(differences(&lines[..2]).text(80).lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn of_many_differences_those_of_groups_are_shown() {
        let group = Difference { kind: TaskKind::Group, ..difference("zoology", "alpaca-7b", 60, 100) };
        let mut all = vec![group.clone()];
        all.extend((0..50).map(|task| difference(&format!("zoology_{task}"), "alpaca-7b", 60, 100)));
        assert_eq!(fold_differences(&all), (vec![group], 50));
        assert_eq!(fold_differences(&all[1..]).1, 0, "there are but tasks");
        assert_eq!(fold_differences(&all[..40]).0.len(), 40);
    }

    #[test]
    fn the_best_and_what_is_as_good_are_marked() {
        let named = |label: &str, task: &str, value: f64| Row {
            label: Some(label.to_owned()),
            ..row(label, task, "acc", value)
        };
        let mut rows = vec![
            named("llama-7b", "zoology_birds", 1.0),
            named("alpaca-7b", "zoology_birds", 0.6),
            named("=cmd()", "zoology_birds", 0.98),
            named("llama-7b", "zoology_fish", 1.0),
            named("=cmd()", "zoology_fish", 0.5),
            named("llama-7b", "zoology_frogs", 1.0),
        ];
        mark_best(&mut rows, &lines());
        let found: Vec<Stress> = rows.iter().map(|row| row.stress).collect();
        // Where some could not be compared, or there is but one, none is called the best.
        let nothing = [Stress::None; 3];
        assert_eq!(found[..3], [Stress::First, Stress::None, Stress::Second]);
        assert_eq!(found[3..], nothing);
    }
}
