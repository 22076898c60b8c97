//! Rows of several runs in one list: which of them stand in one column, and what that is called.
//!
//! A column is a model as it was asked: its weights, the protocol, the chat template, the arithmetic. What runs of one column have
//! in common they must agree on; where they do not, each run has a column of its own, and no value hides another.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::run::{About, Run};
use crate::report::Row;

/// A model as it was asked.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its head, which no other column has.
    pub label: String,
    /// The model's name in its runs.
    pub model: String,
    /// Whose rules.
    pub protocol: String,
    /// The model in the registry, if it came from there.
    pub card: Option<String>,
    /// Parameters, where the run says them.
    pub parameters: Option<u64>,
    /// The runs that have rows of it, by their places in what was joined.
    pub runs: Vec<usize>,
}

/// Runs, as one table has them.
#[derive(Debug, Clone)]
pub struct Joined {
    /// In the order of runs and rows; each has its column's label.
    pub rows: Vec<Row>,
    /// In the order of the table.
    pub columns: Vec<Column>,
    /// For each row the run it is of.
    pub run_of: Vec<usize>,
}

/// What makes a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Identity {
    model: String,
    weights: String,
    protocol: String,
    template: Option<String>,
    precision: Option<String>,
    /// The run, where runs do not agree.
    run: Option<usize>,
}

/// What makes a line.
type Line<'r> = (&'r str, &'r str, Option<usize>, &'r str, &'r str);

fn line(row: &Row) -> Line<'_> {
    (&row.suite, &row.task, row.num_fewshot, &row.metric, &row.filter)
}

/// Puts runs side by side, in the order in which they are given.
pub fn join(runs: &[Run]) -> Joined {
    let identities: Vec<Vec<Identity>> =
        runs.iter().map(|run| run.rows.iter().map(identity).collect()).collect();
    let split = disagreeing(runs, &identities);
    let mut order: Vec<Identity> = Vec::new();
    let mut columns: Vec<Column> = Vec::new();
    let mut places: HashMap<Identity, usize> = HashMap::new();
    let mut seen: HashSet<(usize, Line<'_>)> = HashSet::new();
    let (mut rows, mut run_of, mut column_of) = (Vec::new(), Vec::new(), Vec::new());
    for (at, run) in runs.iter().enumerate() {
        for (row, identity) in run.rows.iter().zip(&identities[at]) {
            let own = split.contains(identity).then_some(at);
            let identity = Identity { run: own, ..identity.clone() };
            let place = *places.entry(identity.clone()).or_insert_with(|| {
                order.push(identity);
                columns.push(column(row, run));
                columns.len() - 1
            });
            let column = &mut columns[place];
            if !column.runs.contains(&at) {
                column.runs.push(at);
            }
            // What two runs agree on is said once.
            if seen.insert((place, line(row))) {
                rows.push(row.clone());
                run_of.push(at);
                column_of.push(place);
            }
        }
    }
    let labels = labels(&order, runs);
    for (column, label) in columns.iter_mut().zip(&labels) {
        column.label.clone_from(label);
    }
    for (row, place) in rows.iter_mut().zip(column_of) {
        row.label = Some(labels[place].clone());
    }
    Joined { rows, columns, run_of }
}

fn identity(row: &Row) -> Identity {
    Identity {
        model: row.model.clone(),
        weights: row.weights_sha256.clone(),
        protocol: row.protocol.clone(),
        template: row.template.clone(),
        precision: row.precision.clone(),
        run: None,
    }
}

fn column(row: &Row, run: &Run) -> Column {
    let model = run.model(row);
    Column {
        label: String::new(),
        model: row.model.clone(),
        protocol: row.protocol.clone(),
        card: model.and_then(|model| model.card.clone()),
        parameters: match &run.about {
            About::Run(_) => model.map(|model| model.parameters),
            About::Harness(file) => file.parameters,
        },
        runs: Vec::new(),
    }
}

/// The columns of which two runs say different things.
fn disagreeing(runs: &[Run], identities: &[Vec<Identity>]) -> BTreeSet<Identity> {
    let mut first: HashMap<(&Identity, Line<'_>), (usize, Option<u64>, usize)> = HashMap::new();
    let mut split = BTreeSet::new();
    for (at, run) in runs.iter().enumerate() {
        for (row, identity) in run.rows.iter().zip(&identities[at]) {
            let own = (at, row.value.map(f64::to_bits), row.n);
            let known = *first.entry((identity, line(row))).or_insert(own);
            if known.0 != at && (known.1, known.2) != (own.1, own.2) {
                split.insert(identity.clone());
            }
        }
    }
    split
}

/// The model's name, and in brackets what tells it from the other columns.
fn labels(order: &[Identity], runs: &[Run]) -> Vec<String> {
    // What differs anywhere is said everywhere, so that columns read alike.
    let differs = |of: &dyn Fn(&Identity) -> String| {
        let values: BTreeSet<String> = order.iter().map(of).collect();
        values.len() > 1
    };
    let protocol = |own: &Identity| own.protocol.clone();
    let template = |own: &Identity| own.template.clone().unwrap_or_else(|| "no template".to_owned());
    let precision = |own: &Identity| own.precision.clone().unwrap_or_default();
    let parts: [&dyn Fn(&Identity) -> String; 3] = [&protocol, &template, &precision];
    let said: Vec<&&dyn Fn(&Identity) -> String> = parts.iter().filter(|part| differs(*part)).collect();
    let mut labels: Vec<String> = order
        .iter()
        .map(|own| {
            let said: Vec<String> =
                said.iter().map(|part| part(own)).filter(|part| !part.is_empty()).collect();
            let said = said.join(", ");
            // A variant's name may say its template already.
            if said.is_empty() || own.model.contains(&format!("[{said}]")) {
                own.model.clone()
            } else {
                format!("{} [{said}]", own.model)
            }
        })
        .collect();
    let further: [&dyn Fn(&Identity) -> String; 2] =
        [&|own| own.weights.get(..8).unwrap_or("other weights").to_owned(), &|own| {
            own.run.map_or_else(|| "other run".to_owned(), |run| runs[run].name())
        }];
    for part in further {
        let mut count: BTreeMap<&String, usize> = BTreeMap::new();
        labels.iter().for_each(|label| *count.entry(label).or_default() += 1);
        let double: BTreeSet<String> =
            count.into_iter().filter(|(_, n)| *n > 1).map(|(label, _)| label.clone()).collect();
        for (label, own) in labels.iter_mut().zip(order).filter(|(label, _)| double.contains(*label)) {
            *label = format!("{label} [{}]", part(own));
        }
    }
    // Runs of one name in different folders.
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for label in &mut labels {
        let numbered = (2..).map(|n| format!("{label} [{n}]"));
        let free = std::iter::once(label.clone()).chain(numbered).find(|name| !taken.contains(name));
        *label = free.expect("there is always one more number");
        taken.insert(label.clone());
    }
    labels
}
