//! Models of joined runs two by two: what differs on the documents that both have answered, and whether that is more than luck.
//!
//! Samples are read a task at a time, and of them the values of documents are kept. What two models were not asked alike is not
//! compared: the cell says why.

use std::collections::HashMap;

use rayon::prelude::*;

use super::join::Joined;
use super::run::Run;
use super::scores::{Scores, scores};
use crate::evaluate::EXTRACTED;
use crate::metrics::DocValue;
use crate::metrics::inference::{Clusters, Contrast, Part, contrast, contrast_of_group};
use crate::report::{Difference, Row, TaskKind, adjust};

/// How far a value of a group may be from that of its tasks, which were rounded on their way to a file.
const SAME: f64 = 1e-9;

/// Which models are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs<'p> {
    /// The best of each line with all others.
    WithBest,
    /// All others with the one whose column has this label.
    With(&'p str),
    /// Each with each.
    All,
}

/// A row in its place.
#[derive(Debug, Clone, Copy)]
struct Cell<'j> {
    at: usize,
    row: &'j Row,
}

/// Two rows' scores on the documents of a task that both have.
struct Common<'s> {
    scores: [&'s Scores; 2],
    sides: [Vec<DocValue>; 2],
    clusters: Clusters,
}

impl Common<'_> {
    fn part(&self) -> Part<'_> {
        let [first, second] = &self.sides;
        Part { aggregation: self.scores[0].aggregation, first, second, clusters: &self.clusters }
    }
}

/// The rows of each line of the table that have a value.
fn lines(joined: &Joined) -> Vec<Vec<Cell<'_>>> {
    let mut lines: Vec<Vec<Cell<'_>>> = Vec::new();
    let mut places = HashMap::new();
    let rows = joined.rows.iter().enumerate();
    for (at, row) in rows.filter(|(_, row)| row.value.is_some() && row.metric != EXTRACTED) {
        let key = (&row.suite, &row.task, row.num_fewshot, &row.metric, &row.filter);
        let place = *places.entry(key).or_insert_with(|| {
            lines.push(Vec::new());
            lines.len() - 1
        });
        lines[place].push(Cell { at, row });
    }
    lines
}

fn wanted<'j>(line: &[Cell<'j>], pairs: Pairs<'_>) -> Vec<[Cell<'j>; 2]> {
    let with = |one: Option<usize>| {
        let one = one.map(|place| line[place]);
        let others = line.iter().filter(move |cell| one.is_some_and(|one| one.at != cell.at));
        others.filter_map(move |other| Some([one?, *other])).collect::<Vec<_>>()
    };
    match pairs {
        Pairs::All => {
            let later = |(place, first): (usize, &Cell<'j>)| {
                let first = *first;
                line[place + 1..].iter().map(move |second| [first, *second]).collect::<Vec<_>>()
            };
            line.iter().enumerate().flat_map(later).collect()
        }
        // The baseline is what is taken off.
        Pairs::With(label) => {
            let own = line.iter().position(|cell| cell.row.label.as_deref() == Some(label));
            with(own).into_iter().map(|[baseline, other]| [other, baseline]).collect()
        }
        Pairs::WithBest => with(best(line)),
    }
}

fn best(line: &[Cell<'_>]) -> Option<usize> {
    let goodness = |cell: &Cell<'_>| cell.row.goodness().unwrap_or(f64::NEG_INFINITY);
    // The first of equals.
    (0..line.len()).rev().max_by(|a, b| goodness(&line[*a]).total_cmp(&goodness(&line[*b])))
}

/// The rows of a group's tasks, and whether each of their documents counts the same in it.
type Members<'j> = Result<(Vec<Cell<'j>>, bool), String>;

/// The values of all documents of joined runs.
#[derive(Debug)]
pub struct Comparison<'j> {
    joined: &'j Joined,
    /// Of rows of tasks.
    scores: Vec<Option<Result<Scores, String>>>,
    /// Of rows of groups.
    members: Vec<Option<Members<'j>>>,
}

impl<'j> Comparison<'j> {
    /// Reads the samples of all tasks. What cannot be read is said of the differences that lack it.
    pub fn read(joined: &'j Joined, runs: &[Run]) -> Self {
        let key = |row: &'j Row| Key { label: row.label.as_deref(), ..Key::of(row) };
        let places = joined.rows.iter().enumerate().map(|(at, row)| (key(row), Cell { at, row })).collect();
        let members = |(row, run): (&Row, &usize)| {
            (row.kind == TaskKind::Group).then(|| members(row, &runs[*run].rows, &places))
        };
        let members = joined.rows.iter().zip(&joined.run_of).map(members).collect();
        Self { joined, scores: scores(joined, runs), members }
    }

    /// The differences of every line of the table in its order, with p that are adjusted over all of them.
    pub fn differences(&self, pairs: Pairs<'_>) -> Vec<Difference> {
        let lines = lines(self.joined);
        let wanted: Vec<[Cell<'_>; 2]> = lines.iter().flat_map(|line| wanted(line, pairs)).collect();
        let mut all: Vec<Difference> =
            wanted.par_iter().map(|[first, second]| self.difference(*first, *second)).collect();
        adjust(&mut all);
        all
    }

    fn difference(&self, first: Cell<'j>, second: Cell<'j>) -> Difference {
        let found = match first.row.kind {
            TaskKind::Task => self.common(first, second).and_then(|common| contrast(common.part())),
            TaskKind::Group => self.of_group(first, second),
        };
        let Row { suite, task, num_fewshot, metric, filter, kind, .. } = first.row.clone();
        let label = |cell: Cell<'_>| cell.row.label.clone().unwrap_or_else(|| cell.row.model.clone());
        let (first, second) = (label(first), label(second));
        Difference { suite, task, kind, num_fewshot, metric, filter, first, second, found, p_holm: None }
    }

    /// The documents of a task that both have.
    fn common(&self, first: Cell<'j>, second: Cell<'j>) -> Result<Common<'_>, String> {
        let of = |cell: Cell<'_>| match &self.scores[cell.at] {
            Some(Ok(scores)) => Ok(scores),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(format!("{}: it is a group in one of both", cell.row.task)),
        };
        let scores = [of(first)?, of(second)?];
        let (own, other) = (&first.row.data_sha256, &second.row.data_sha256);
        if own != other || own.is_empty() {
            let short = |digest: &str| match digest {
                "" => "unknown".to_owned(),
                digest => digest.chars().take(8).collect::<String>(),
            };
            let (task, own, other) = (&first.row.task, short(own), short(other));
            return Err(format!("{task}: not the same data (sha256 {own} and {other})"));
        }
        if scores[0].aggregation != scores[1].aggregation {
            return Err(format!("{}: values of documents become one in two ways", first.row.task));
        }
        let pairs = in_both(&scores[0].documents.ids, &scores[1].documents.ids);
        if pairs.is_empty() {
            return Err(format!("{}: they have no document in common", first.row.task));
        }
        let side = |side: usize| {
            let values = &scores[side].values;
            pairs.iter().map(|pair| DocValue::Number(values[pair[side]])).collect::<Vec<_>>()
        };
        let clusters = match &scores[0].documents.clusters {
            Some(keys) => Clusters::by(pairs.iter().map(|[own, _]| &keys[*own])),
            None => Clusters::singletons(pairs.len()),
        };
        Ok(Common { scores, sides: [side(0), side(1)], clusters })
    }

    fn of_group(&self, first: Cell<'j>, second: Cell<'j>) -> Result<Contrast, String> {
        let of = |cell: Cell<'_>| match &self.members[cell.at] {
            Some(members) => members.as_ref().map_err(Clone::clone),
            None => Err(format!("{}: it is a task in one of both", cell.row.task)),
        };
        let ((own, by_size), (others, other_by_size)) = (of(first)?, of(second)?);
        if own.len() != others.len() || by_size != other_by_size {
            return Err("the group is not one of the same tasks in both".to_owned());
        }
        let mut tasks = Vec::new();
        for cell in own {
            let other = others.iter().find(|other| other.row.task == cell.row.task);
            let other = other.ok_or_else(|| format!("{} is not in both", cell.row.task))?;
            tasks.push(self.common(*cell, *other)?);
        }
        contrast_of_group(&tasks.iter().map(Common::part).collect::<Vec<_>>(), *by_size)
    }
}

/// What finds a row of a table, in whatever suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key<'j> {
    label: Option<&'j str>,
    task: &'j str,
    num_fewshot: Option<usize>,
    metric: &'j str,
    filter: &'j str,
}

impl<'j> Key<'j> {
    fn of(row: &'j Row) -> Self {
        let Row { task, num_fewshot, metric, filter, .. } = row;
        Self { label: None, task, num_fewshot: *num_fewshot, metric, filter }
    }
}

/// The tasks of the group of a row, of a run's rows as they are in its file: there they stand below it. What they are is only
/// believed if the group's value is that of theirs.
fn members<'j>(group: &Row, rows: &[Row], places: &HashMap<Key<'_>, Cell<'j>>) -> Members<'j> {
    // In the table the group may stand in another suite.
    let is_own = |row: &&Row| row.model == group.model && row.protocol == group.protocol;
    let is_group = |row: &&Row| is_own(row) && row.task == group.task && row.kind == TaskKind::Group;
    let head = rows.iter().find(is_group).ok_or("it is not in its run")?;
    let below: Vec<&Row> = rows
        .iter()
        .filter(is_own)
        .skip_while(|row| row.task != head.task || row.suite != head.suite)
        .skip_while(|row| row.task == head.task)
        .take_while(|row| row.suite == head.suite && row.depth > head.depth)
        .filter(|row| row.kind == TaskKind::Task && row.filter == group.filter)
        .collect();
    let of = |metric: &str| -> Vec<&Row> {
        let mut found: Vec<&Row> = Vec::new();
        for row in below.iter().filter(|row| row.metric == metric) {
            // A task may be in two groups below.
            if found.iter().all(|known| known.task != row.task) {
                found.push(row);
            }
        }
        found
    };
    let averaged = group.metric.strip_suffix("_macro").or(group.metric.strip_suffix("_micro"));
    let mut metrics = [Some(group.metric.as_str()), averaged].into_iter().flatten().map(of);
    let members = metrics.find(|members| !members.is_empty()).ok_or("its tasks are not known")?;
    let average = |weight: fn(&Row) -> f64| -> Option<f64> {
        let sum: Option<f64> = members.iter().map(|row| Some(weight(row) * row.value?)).sum();
        let weights: f64 = members.iter().map(|row| weight(row)).sum();
        sum.map(|sum| sum / weights)
    };
    let is_it = |found: Option<f64>| {
        let both = found.zip(group.value);
        both.is_some_and(|(found, value)| (found - value).abs() <= SAME * value.abs().max(1.0))
    };
    let by_size = is_it(average(|row| row.n as f64));
    if !by_size && !is_it(average(|_| 1.0)) {
        return Err("its value is not that of the tasks below it".to_owned());
    }
    let cell = |row: &&Row| places.get(&Key { label: group.label.as_deref(), ..Key::of(row) }).copied();
    let cells: Option<Vec<Cell<'j>>> = members.iter().map(cell).collect();
    Ok((cells.ok_or("its tasks are not in the table")?, by_size))
}

/// The places of what is in both of two lists in rising order.
fn in_both(first: &[usize], second: &[usize]) -> Vec<[usize; 2]> {
    let mut pairs = Vec::with_capacity(first.len().min(second.len()));
    let (mut a, mut b) = (0, 0);
    while a < first.len() && b < second.len() {
        match first[a].cmp(&second[b]) {
            std::cmp::Ordering::Less => a += 1,
            std::cmp::Ordering::Greater => b += 1,
            std::cmp::Ordering::Equal => {
                pairs.push([a, b]);
                (a, b) = (a + 1, b + 1);
            }
        }
    }
    pairs
}
