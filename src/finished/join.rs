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
    /// The chat template that wrote its prompts.
    pub template: Option<String>,
    /// The arithmetic.
    pub precision: Option<String>,
    /// By how many places its options were moved on.
    pub rotation: usize,
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

/// Puts runs side by side, in the order in which they are given. A task that one run was asked by itself and another one as a part
/// of a suite stands in that suite.
pub fn join(runs: &[Run]) -> Joined {
    let mut runs = runs.to_vec();
    let mut places: HashMap<String, Row> = HashMap::new();
    for row in runs.iter().flat_map(|run| &run.rows).filter(|row| row.depth > 0) {
        places.entry(row.task.clone()).or_insert_with(|| row.clone());
    }
    for run in &mut runs {
        let moved: HashMap<String, Row> = run
            .rows
            .iter()
            .filter(|row| row.suite == row.task)
            .filter_map(|row| {
                Some((
                    row.suite.clone(),
                    places.get(&row.task).filter(|there| there.suite != row.suite)?.clone(),
                ))
            })
            .collect();
        for row in &mut run.rows {
            let Some(group) = moved.get(&row.suite) else { continue };
            // With a group go its tasks.
            let there = places.get(&row.task).filter(|there| there.suite == group.suite);
            (row.place, row.depth) =
                there.map_or((group.place, group.depth + row.depth), |there| (there.place, there.depth));
            row.suite.clone_from(&group.suite);
        }
    }
    join_placed(&runs)
}

fn join_placed(runs: &[Run]) -> Joined {
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
        template: row.template.clone(),
        precision: row.precision.clone(),
        card: model.and_then(|model| model.card.clone()),
        parameters: match &run.about {
            About::Run(_) => model.map(|model| model.parameters),
            About::Harness(file) => file.parameters,
        },
        rotation: model.map_or(0, |model| model.rotation),
        runs: Vec::new(),
    }
}

/// What a run says on a line: value, documents, data, version of the task.
type Said<'r> = (Option<u64>, usize, &'r str, Option<&'r str>);

/// The columns of which two runs say different things.
fn disagreeing(runs: &[Run], identities: &[Vec<Identity>]) -> BTreeSet<Identity> {
    let mut first: HashMap<(&Identity, Line<'_>), (usize, Said<'_>)> = HashMap::new();
    let mut split = BTreeSet::new();
    for (at, run) in runs.iter().enumerate() {
        for (row, identity) in run.rows.iter().zip(&identities[at]) {
            let said = (row.value.map(f64::to_bits), row.n, row.data_sha256.as_str(), row.version.as_deref());
            let known = *first.entry((identity, line(row))).or_insert((at, said));
            if known.0 != at && known.1 != said {
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
    let further: [&dyn Fn(&Identity) -> String; 2] = [
        &|own| {
            own.weights
                .get(..8)
                .map_or_else(|| "unknown weights".to_owned(), |digest| format!("weights {digest}"))
        },
        &|own| own.run.map_or_else(|| "other run".to_owned(), |run| runs[run].name()),
    ];
    for part in further {
        // Only where it tells apart what has one name.
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (label, own) in labels.iter().zip(order) {
            values.entry(label.clone()).or_default().insert(part(own));
        }
        for (label, own) in labels.iter_mut().zip(order) {
            if values[label].len() > 1 {
                *label = format!("{label} [{}]", part(own));
            }
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

#[cfg(test)]
mod tests {
    use super::super::harness::HarnessFile;
    use super::*;
    use crate::report::{TaskKind, read_results};

    const HEAD: &str = "model,suite,task,num_fewshot,metric,filter,value,stderr,n,published,published_source,protocol,\
                        weights_sha256,data_sha256,precision,template";

    /// A run of these lines: model, task, value, digest of the weights, arithmetic, template.
    fn run(path: &str, lines: &[(&str, &str, f64, &str, &str, &str)]) -> Run {
        let mut csv = format!("{HEAD}\n");
        for (model, task, value, weights, precision, template) in lines {
            csv += &format!(
                "{model},zoology,{task},5,acc,none,{value},0.1,100,,,p,{weights},d,{precision},{template}\n"
            );
        }
        let file = HarnessFile {
            model: String::new(),
            version: "0.4.13".to_owned(),
            date: String::new(),
            parameters: None,
            limit: None,
        };
        let rows = read_results(csv.as_bytes()).unwrap();
        assert!(rows.iter().all(|row| row.kind == TaskKind::Task));
        Run { path: path.into(), about: About::Harness(Box::new(file)), rows }
    }

    fn labels_of(runs: &[Run]) -> Vec<String> {
        join(runs).columns.into_iter().map(|column| column.label).collect()
    }

    #[test]
    fn runs_of_one_model_are_one_column_where_they_agree() {
        let one = run("a", &[("m", "birds", 0.5, "w", "exact", ""), ("m", "fish", 0.25, "w", "exact", "")]);
        let two = run("b", &[("m", "birds", 0.5, "w", "exact", ""), ("m", "cats", 0.75, "w", "exact", "")]);
        let joined = join(&[one.clone(), two]);
        assert_eq!(joined.columns.len(), 1);
        assert_eq!((joined.columns[0].label.as_str(), &joined.columns[0].runs), ("m", &vec![0, 1]));
        assert_eq!((joined.rows.len(), joined.run_of), (3, vec![0, 0, 1]), "what both say is said once");
        let other = run("b", &[("m", "birds", 0.625, "w", "exact", "")]);
        assert_eq!(labels_of(&[one.clone(), other]), ["m [a]", "m [b]"]);
        let same_name = run("c/a", &[("m", "birds", 0.625, "w", "exact", "")]);
        assert_eq!(labels_of(&[one, same_name]), ["m", "m [2]"]);
    }

    #[test]
    fn heads_say_what_differs() {
        let line = |weights, precision, template| ("m", "birds", 0.5, weights, precision, template);
        let runs =
            |lines: &[(&'static str, &'static str, f64, &'static str, &'static str, &'static str)]| {
                lines.iter().enumerate().map(|(at, line)| run(&at.to_string(), &[*line])).collect::<Vec<_>>()
            };
        assert_eq!(
            labels_of(&runs(&[line("w", "exact", ""), line("w", "bf16", "")])),
            ["m [exact]", "m [bf16]"]
        );
        assert_eq!(
            labels_of(&runs(&[line("w", "exact", ""), line("w", "exact", "chat")])),
            ["m [no template]", "m [chat]"]
        );
        assert_eq!(
            labels_of(&runs(&[line("0123456789", "exact", ""), line("abcdefghij", "exact", "")])),
            ["m [weights 01234567]", "m [weights abcdefgh]"]
        );
    }
}
