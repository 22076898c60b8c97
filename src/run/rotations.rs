//! `--rotate-options`: how far answers depend on where options stand.
//!
//! Each task is asked as often as its documents have options, each time with all options moved on by one place. Consistency is the
//! share of documents of which the same option is chosen whichever place it has.

use std::collections::HashMap;

use super::outcome::Outcome;
use crate::evaluate::TaskResult;
use crate::metrics::first_highest;
use crate::records::SampleLine;
use crate::report::Table;
use crate::report::table::{Cell, data, number, text};

/// A line of `rotations.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotations {
    pub model: String,
    pub protocol: String,
    /// Empty for all tasks together.
    pub task: String,
    /// Documents.
    pub n: usize,
    /// Orders in which the options stood.
    pub rotations: usize,
    /// Share of right answers with the options as they are.
    pub accuracy: f64,
    /// Mean, lowest and highest over all orders.
    pub mean: f64,
    pub lowest: f64,
    pub highest: f64,
    /// Share of documents of which the same option is chosen in every order.
    pub consistency: f64,
    /// Share of documents that are right in every order.
    pub always_right: f64,
    /// Share of all answers that each place has; without a leaning each has the same.
    pub places: Vec<f64>,
}

/// What every document was answered, order by order.
struct Document {
    /// The option that was chosen, by its place in the data set.
    chosen: Vec<usize>,
    right: Vec<bool>,
}

/// What rotations say of the models of a run: of each task, and of all of them together.
pub fn rotations(models: &[Outcome]) -> Vec<Rotations> {
    let mut lines = Vec::new();
    let mut rest = models;
    while let Some(first) = rest.first() {
        let more = rest[1..].iter().take_while(|model| model.rotation > 0).count();
        let (orders, after) = rest.split_at(1 + more);
        rest = after;
        if more == 0 {
            continue;
        }
        let mut all = Vec::new();
        for task in &first.tasks {
            let own: Option<Vec<&TaskResult>> = orders
                .iter()
                .map(|model| model.tasks.iter().find(|other| other.name() == task.name()))
                .collect();
            let own = own.expect("every order of options has the same tasks");
            let documents = documents(&own);
            lines.push(line(first, task.name(), &documents));
            all.extend(documents);
        }
        if first.tasks.len() > 1 {
            lines.push(line(first, "", &all));
        }
    }
    lines
}

/// The documents that every order has: one that does not fit may be left out of some.
fn documents(orders: &[&TaskResult]) -> Vec<Document> {
    let by_id = |task: &&'_ TaskResult| -> HashMap<usize, (usize, usize, bool)> {
        task.samples.iter().map(|line| (line.doc_id, answer(line))).collect()
    };
    let answers: Vec<_> = orders.iter().map(by_id).collect();
    let one = |line: &SampleLine| {
        let of_document = answers.iter().enumerate().map(|(by, own)| {
            let &(place, options, right) = own.get(&line.doc_id)?;
            Some(((place + options - by % options) % options, right))
        });
        let (chosen, right) = of_document.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        Some(Document { chosen, right })
    };
    orders[0].samples.iter().filter_map(one).collect()
}

/// The place that was chosen, of how many, and whether it is right.
fn answer(line: &SampleLine) -> (usize, usize, bool) {
    let scores: Vec<f64> = line.choices.iter().map(|choice| choice.logprob).collect();
    let place = first_highest(&scores);
    (place, scores.len(), line.target.as_u64() == Some(place as u64))
}

fn line(model: &Outcome, task: &str, documents: &[Document]) -> Rotations {
    let share = |count: usize| count as f64 / documents.len().max(1) as f64;
    let rotations = documents.first().map_or(1, |document| document.right.len());
    debug_assert!(documents.iter().all(|document| document.right.len() == rotations));
    let accuracy = |order: usize| share(documents.iter().filter(|document| document.right[order]).count());
    let all: Vec<f64> = (0..rotations).map(accuracy).collect();
    let same = |document: &&Document| document.chosen.iter().all(|option| *option == document.chosen[0]);
    let mut places = vec![0_usize; rotations];
    for document in documents {
        for (by, option) in document.chosen.iter().enumerate() {
            places[(option + by) % rotations] += 1;
        }
    }
    Rotations {
        model: model.identity.name.clone(),
        protocol: model.identity.protocol.clone(),
        task: task.to_owned(),
        n: documents.len(),
        rotations,
        accuracy: all[0],
        mean: all.iter().sum::<f64>() / rotations as f64,
        lowest: all.iter().copied().fold(f64::INFINITY, f64::min),
        highest: all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        consistency: share(documents.iter().filter(same).count()),
        always_right: share(
            documents.iter().filter(|document| document.right.iter().all(|right| *right)).count(),
        ),
        places: places.into_iter().map(|count| share(count) / rotations as f64).collect(),
    }
}

/// `rotations.csv`, and what of it is printed.
pub fn rotations_table(rows: &[Rotations]) -> Table<&Rotations> {
    let four = |value: f64| format!("{value:.4}");
    let shares =
        |row: &Rotations| row.places.iter().map(|share| format!("{share:.2}")).collect::<Vec<_>>().join(" ");
    Table::of(rows)
        .column(text("model").wraps(), |row| &row.model)
        .column(data("protocol"), |row| &row.protocol)
        .column(text("task").wraps(), |row| match row.task.as_str() {
            "" => Cell::from("").shown("all tasks"),
            task => Cell::from(task),
        })
        .column(number("n"), |row| row.n)
        .column(number("rotations").spare(3), |row| row.rotations)
        .column(number("acc"), |row| Cell::written(row.accuracy, four))
        .column(number("acc_mean").titled("mean"), |row| Cell::written(row.mean, four))
        .column(number("acc_lowest").titled("lowest").spare(2), |row| Cell::written(row.lowest, four))
        .column(number("acc_highest").titled("highest").spare(2), |row| Cell::written(row.highest, four))
        .column(number("consistency"), |row| Cell::written(row.consistency, four))
        .column(number("always_right").titled("always right"), |row| Cell::written(row.always_right, four))
        .column(text("places").titled("answers by place").spare(1), shares)
}
