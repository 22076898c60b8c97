//! The figures of a comparison: bars of its suites, a heat map of the subjects of each large one, and scores against parameters,
//! time and tokens.

use std::collections::BTreeSet;

use super::figure::{Bar, BarGroup, Bars, HeatCell, HeatMap, Scatter, ScatterPoint};
use super::numbers::{short_count, spaced};
use super::wide::{Wide, WideRow};
use super::{Row, TaskKind};

/// The metrics that are scores between 0 and 1; of a suite that has several the first counts.
const SCORES: [&str; 8] = ["acc", "exact_match", "em", "pass@1", "pass_at_1", "acc_norm", "acc_token", "f1"];
/// From so many tasks on a suite has subjects.
const SUBJECTS: usize = 8;
/// Fewer points say nothing about how a score goes with anything.
const POINTS: usize = 2;

/// What is known of a column beside its values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subject {
    /// Its head.
    pub label: String,
    /// What gives it its look.
    pub family: String,
    /// The column that it was made from, by its place.
    pub base: Option<usize>,
    /// Parameters of the model.
    pub parameters: Option<u64>,
}

/// What a value has cost: the model of its row in the run of its row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Seconds of scoring, all suites of the run together.
    pub seconds: Option<f64>,
    /// Tokens that were computed for them.
    pub tokens: Option<u64>,
}

/// What is known beside rows.
#[derive(Debug, Clone, Copy)]
struct Known<'k> {
    rows: &'k [Row],
    /// Of each row.
    costs: &'k [Cost],
    subjects: &'k [Subject],
}

impl Known<'_> {
    /// What this one of the rows has cost.
    fn cost(&self, row: &Row) -> Cost {
        let place = self.rows.iter().position(|own| std::ptr::eq(own, row));
        place.and_then(|place| self.costs.get(place)).copied().unwrap_or_default()
    }
}

/// A figure with its names.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// For a file, without its ending.
    pub name: String,
    /// For people.
    pub title: String,
    /// The SVG document.
    pub svg: String,
}

/// All that rows, what each of them has cost, and what is known of their columns give.
pub fn pictures(rows: &[Row], costs: &[Cost], subjects: &[Subject]) -> Vec<Picture> {
    let wide = Wide::new(rows);
    let known = Known { rows, costs, subjects };
    let scores = scores(&wide);
    let mut all = Vec::new();
    let mut add = |name: String, title: String, svg: String| all.push(Picture { name, title, svg });
    if !scores.is_empty() {
        let title = "Scores by suite".to_owned();
        add("bars".to_owned(), title.clone(), bars(title, &wide, &scores).svg());
    }
    for score in &scores {
        let title = |what: &str| format!("{}: {what}", said(score));
        if let Some(map) = subjects_of(&wide, score, title("by subject")) {
            add(format!("subjects-{}", named(score, &scores)), map.title.clone(), map.svg());
        }
    }
    type Kind<'k> = (&'k str, &'k str, &'k str, Of, fn(f64) -> String);
    let kinds: [Kind<'_>; 3] = [
        (
            "parameters",
            "by parameters and lineage",
            "parameters",
            |s, _| s.parameters.map(|n| n as f64),
            whole,
        ),
        (
            "time",
            "against time",
            "seconds of scoring, all suites of the run together",
            |_, cost| cost.seconds,
            seconds,
        ),
        (
            "tokens",
            "against tokens",
            "tokens computed, all suites of the run together",
            |_, cost| cost.tokens.map(|n| n as f64),
            whole,
        ),
    ];
    for score in &scores {
        for (name, what, label, of, number) in kinds {
            let title = format!("{}: {what}", said(score));
            let with_lineage = name == "parameters";
            let figure = scatter(&wide, score, known, (title, label, with_lineage), of, number);
            if figure.points.len() >= POINTS {
                add(format!("{name}-{}", named(score, &scores)), figure.title.clone(), figure.svg());
            }
        }
    }
    tell_apart(&mut all);
    all
}

/// The name of a score for a file: its task, with its examples where there are several numbers of them.
fn named(score: &WideRow<'_>, scores: &[&WideRow<'_>]) -> String {
    let Row { task, num_fewshot, .. } = score.first;
    let is_alone = scores.iter().filter(|other| other.first.task == *task).count() == 1;
    match num_fewshot {
        Some(shots) if !is_alone => format!("{task}-{shots}-shots"),
        _ => task.clone(),
    }
}

/// No name twice: a file would take the place of another.
fn tell_apart(pictures: &mut [Picture]) {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for picture in pictures {
        let numbered = (2..).map(|n| format!("{}-{n}", picture.name));
        let free = std::iter::once(picture.name.clone()).chain(numbered).find(|name| !taken.contains(name));
        picture.name = free.expect("there is always one more number");
        taken.insert(picture.name.clone());
    }
}

fn whole(value: f64) -> String {
    short_count(value as u64).replace(".00", "")
}

fn seconds(value: f64) -> String {
    if value < 1.0 { value.to_string() } else { spaced(value as u64) }
}

fn percent(value: f64) -> String {
    format!("{:.1}", 100.0 * value)
}

/// A score in words.
fn said(score: &WideRow<'_>) -> String {
    let Row { task, metric, num_fewshot, .. } = score.first;
    match num_fewshot {
        Some(shots) => format!("{task}, {metric}, {shots} shots"),
        None => format!("{task}, {metric}"),
    }
}

fn rank(row: &Row) -> Option<usize> {
    SCORES.iter().position(|score| *score == row.metric)
}

/// Of each suite and number of examples the line with its score.
fn scores<'w>(wide: &'w Wide<'w>) -> Vec<&'w WideRow<'w>> {
    let mut scores: Vec<&WideRow<'_>> = Vec::new();
    for row in wide.rows.iter().filter(|row| row.first.depth == 0 && rank(row.first).is_some()) {
        let same = |known: &&mut &WideRow<'_>| {
            known.first.suite == row.first.suite && known.first.num_fewshot == row.first.num_fewshot
        };
        match scores.iter_mut().find(same) {
            Some(known) if rank(row.first) < rank(known.first) => *known = row,
            Some(_) => {}
            None => scores.push(row),
        }
    }
    scores
}

/// A value that can be drawn.
fn share(row: Option<&Row>) -> Option<f64> {
    row?.value.filter(|value| (0.0..=1.0).contains(value))
}

fn interval(row: &Row, value: f64) -> Option<[f64; 2]> {
    let by_error = |stderr: f64| [(value - 1.96 * stderr).max(0.0), (value + 1.96 * stderr).min(1.0)];
    row.interval().or_else(|| row.stderr.map(by_error))
}

fn bars(title: String, wide: &Wide<'_>, scores: &[&WideRow<'_>]) -> Bars {
    let bar = |row: Option<&Row>| match (row, share(row)) {
        (Some(row), Some(value)) => Ok(Bar { value, interval: interval(row, value) }),
        (Some(row), None) => Err(row.missing.clone().unwrap_or_else(|| "data missing".to_owned())),
        (None, _) => Err("not asked".to_owned()),
    };
    let group = |score: &&WideRow<'_>| BarGroup {
        name: said(score),
        reference: None,
        bars: wide.models.iter().cloned().zip(score.cells.iter().map(|row| bar(*row))).collect(),
    };
    Bars {
        title,
        subtitle: "with 95 % intervals: Wilson's for shares of documents, else 1.96 standard errors"
            .to_owned(),
        label: "score (per cent)".to_owned(),
        reference_label: String::new(),
        number: percent,
        groups: scores.iter().map(group).collect(),
    }
}

fn subjects_of(wide: &Wide<'_>, score: &WideRow<'_>, title: String) -> Option<HeatMap> {
    let Row { suite, metric, filter, num_fewshot, .. } = score.first;
    let is_subject = |row: &&WideRow<'_>| {
        let own = row.first;
        let same =
            (&own.suite, &own.metric, &own.filter, own.num_fewshot) == (suite, metric, filter, *num_fewshot);
        same && own.kind == TaskKind::Task && own.depth > 0
    };
    let lines: Vec<&WideRow<'_>> = wide.rows.iter().filter(is_subject).collect();
    let cell = |row: &Option<&Row>| share(*row).map_or(HeatCell::Absent, HeatCell::Value);
    let line = |row: &&WideRow<'_>| {
        let name =
            row.first.task.strip_prefix(suite.as_str()).map(|name| name.trim_start_matches(['_', '-']));
        let name = name.filter(|name| !name.is_empty()).unwrap_or(&row.first.task);
        (name.to_owned(), row.cells.iter().map(cell).collect())
    };
    (lines.len() >= SUBJECTS).then(|| HeatMap {
        title,
        subtitle: "each number is a score in per cent; a grey cell has none".to_owned(),
        row_label: "subject".to_owned(),
        columns: wide.models.clone(),
        rows: lines.iter().map(line).collect(),
        above: Vec::new(),
        below: Vec::new(),
        measure: format!("{metric} (per cent)"),
        floor: None,
        equal_label: String::new(),
        number: percent,
    })
}

/// A place on the horizontal axis.
type Of = fn(&Subject, Cost) -> Option<f64>;

fn scatter(
    wide: &Wide<'_>,
    score: &WideRow<'_>,
    known: Known<'_>,
    (title, x_label, with_lineage): (String, &str, bool),
    of: Of,
    x_number: fn(f64) -> String,
) -> Scatter {
    let subjects = known.subjects;
    let mut points: Vec<ScatterPoint> = Vec::new();
    let mut place_of: Vec<Option<usize>> = vec![None; subjects.len()];
    for (at, subject) in subjects.iter().enumerate() {
        let column = wide.models.iter().position(|label| *label == subject.label);
        let row = column.and_then(|column| score.cells[column]);
        let x = row.and_then(|row| of(subject, known.cost(row))).filter(|x| *x > 0.0);
        let (Some(row), Some(y), Some(x)) = (row, share(row), x) else {
            continue;
        };
        let (name, family) = (subject.label.clone(), subject.family.clone());
        place_of[at] = Some(points.len());
        points.push(ScatterPoint { name, family, x, y, interval: interval(row, y) });
    }
    let edge = |(at, subject): (usize, &Subject)| Some((place_of[subject.base?]?, place_of[at]?));
    let edges: Vec<(usize, usize)> =
        if with_lineage { subjects.iter().enumerate().filter_map(edge).collect() } else { Vec::new() };
    let lineage =
        "lines lead from a base to what was made of it, which stands to its right, with what was gained";
    Scatter {
        title,
        subtitle: if edges.is_empty() { "with 95 % intervals".to_owned() } else { lineage.to_owned() },
        x_label: x_label.to_owned(),
        y_label: "score (per cent)".to_owned(),
        x_number,
        y_number: percent,
        points,
        edges,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::{row, rows};

    fn subject(label: &str, base: Option<usize>) -> Subject {
        let (label, family) = (label.to_owned(), "LLaMA".to_owned());
        Subject { label, family, base, parameters: Some(6_738_415_616) }
    }

    #[test]
    fn a_comparison_has_bars_and_points_with_lineage() {
        let subjects = [subject("llama-7b", None), subject("alpaca-7b", Some(0)), subject("ziya", Some(1))];
        let rows = rows();
        let costs = vec![Cost { seconds: Some(12.5), tokens: None }; rows.len()];
        let pictures = pictures(&rows, &costs, &subjects);
        let names: Vec<&str> = pictures.iter().map(|picture| picture.name.as_str()).collect();
        assert_eq!(names, ["bars", "parameters-zoology", "time-zoology"]);
        assert!(pictures[0].svg.contains(">51.2  [") && pictures[0].svg.contains("zoology, acc, 5 shots"));
        // 0.25 − 0.512345, along the one edge of which both ends are there.
        let svg = &pictures[1].svg;
        assert!(svg.contains(">−26.2<") && svg.contains(">5B<"), "{svg}");
        assert_eq!(svg.matches('−').count(), 1);
        assert!(!pictures[2].svg.contains('−'));
    }

    #[test]
    fn large_suites_have_a_map_of_their_subjects() {
        let mut all = vec![row("m", "zoology", "acc", 0.5), row("m", "zoology", "word_perplexity", 9.0)];
        all.extend((0..SUBJECTS).map(|n| row("m", &format!("zoology_subject_{n}"), "acc", 0.25)));
        all[4].value = None;
        let pictures = pictures(&all, &[], &[]);
        assert_eq!(pictures.len(), 2);
        let map = &pictures[1];
        assert_eq!(map.name, "subjects-zoology");
        assert!(map.svg.contains(">subject_0<") && map.svg.matches(">25.0<").count() >= SUBJECTS - 1);
        assert!(!map.svg.contains("perplexity"));
    }

    #[test]
    fn a_score_stands_at_what_its_own_run_has_cost() {
        let names = ["llama-7b", "alpaca-7b"];
        let of = |suite: &str, model: &str| Row {
            suite: suite.to_owned(),
            depth: 0,
            ..row(model, suite, "acc", 0.5)
        };
        let rows: Vec<Row> =
            ["zoology", "botany"].iter().flat_map(|suite| names.map(|model| of(suite, model))).collect();
        let cost = |seconds: f64| Cost { seconds: Some(seconds), tokens: None };
        let costs = [cost(1.0), cost(2.0), cost(300.0), cost(400.0)];
        let subjects = names.map(|name| subject(name, None));
        let known = Known { rows: &rows, costs: &costs, subjects: &subjects };
        let wide = Wide::new(&rows);
        let x = |score: &WideRow<'_>| {
            let of: Of = |_, cost| cost.seconds;
            let figure = scatter(&wide, score, known, (String::new(), "", false), of, seconds);
            figure.points.iter().map(|point| point.x).collect::<Vec<_>>()
        };
        assert_eq!(wide.rows.iter().map(x).collect::<Vec<_>>(), [[1.0, 2.0], [300.0, 400.0]]);
    }

    #[test]
    fn figures_of_two_numbers_of_examples_have_two_names() {
        let with = |shots: usize| rows().into_iter().map(move |own| Row { num_fewshot: Some(shots), ..own });
        let all: Vec<Row> = with(5).chain(with(0)).collect();
        let subjects = ["llama-7b", "alpaca-7b"].map(|name| subject(name, None));
        let pictures = pictures(&all, &[], &subjects);
        let names: Vec<&str> = pictures.iter().map(|picture| picture.name.as_str()).collect();
        assert_eq!(names, ["bars", "parameters-zoology-5-shots", "parameters-zoology-0-shots"]);
        let picture = Picture { name: "bars".to_owned(), title: String::new(), svg: String::new() };
        let mut same = vec![picture; 3];
        tell_apart(&mut same);
        let names: Vec<&str> = same.iter().map(|picture| picture.name.as_str()).collect();
        assert_eq!(names, ["bars", "bars-2", "bars-3"]);
    }

    #[test]
    fn one_suite_has_one_score() {
        let all = [row("m", "zoology", "acc_norm", 0.5), row("m", "zoology", "acc", 0.25)];
        let wide = Wide::new(&all);
        let scores = scores(&wide);
        assert_eq!((scores.len(), scores[0].first.metric.as_str()), (1, "acc"));
    }
}
