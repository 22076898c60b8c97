//! A report as one page for a browser: the table, the figures, and the documents behind both.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::page::Page;
use crate::base::printable::{WHOLE, printable};
use crate::finished::{Column, FinishedError, Joined, Run, texts};
use crate::records::{SampleLine, TextLine};
use crate::registry::{Card, Registry};
use crate::report::html::{
    self, Around, Blocks, ColumnSamples, Fact, PageColumn, PageFigure, PagePart, PageSection, TaskSamples,
    Tasks,
};
use crate::report::{
    Answering, CALIBRATED, Calibrated, Cost, DIFFERENCES, Picture, Row, Source, Subject, beside, calibrated,
    differences, pictures, sources, steps,
};

/// The figures of a report, and the documents behind it.
pub struct Looked {
    tasks: Tasks,
    /// All figures.
    pub pictures: Vec<Picture>,
    /// How sure models are, suite by suite.
    pub calibrated: Vec<Calibrated>,
    blocks: Blocks,
    /// Of columns the tasks of which they were asked other data than the first one.
    other_data: BTreeMap<String, Vec<String>>,
}

/// Reads all samples, a task at a time.
pub fn look(page: &Page, joined: &Joined, runs: &[Run], registry: &Registry) -> anyhow::Result<Looked> {
    let labels = labels(joined);
    let tasks = html::tasks(&page.rows, &labels);
    let mut pictures = pictures(&page.rows, &costs(joined, runs), &subjects(joined, registry));
    let (mut blocks, mut calibrated) = (Blocks::default(), Vec::new());
    let mut other_data: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Answers after other numbers of examples are other answers.
    let mut answering: BTreeMap<(usize, Option<usize>), Answering> = BTreeMap::new();
    for (task, own) in tasks.tasks.iter().enumerate() {
        let mut answers = answers(&tasks, task, page, joined, runs)?;
        let shots = tasks.rows[task].iter().flatten().next().and_then(|row| page.rows[*row].num_fewshot);
        for suite in &own.suites {
            let of_suite = answering.entry((*suite, shots)).or_insert_with(|| Answering::new(labels.len()));
            for (column, lines) in answers.iter().enumerate() {
                of_suite.add(column, lines.as_deref().unwrap_or_default());
            }
        }
        for column in leave_out_other_data(&tasks.rows[task], &page.rows, &mut answers) {
            other_data.entry(labels[column].clone()).or_default().push(own.name.clone());
        }
        blocks.add(&samples(&tasks, task, &answers, page, joined, runs)?);
    }
    for ((suite, shots), own) in &answering {
        let shots = shots.map_or_else(String::new, |shots| format!(", {shots} shots"));
        let suite = format!("{}{shots}", tasks.suites[*suite]);
        pictures.extend(own.pictures(&suite, &labels));
        calibrated.extend(own.calibrated(&suite, &labels));
    }
    Ok(Looked { tasks, pictures, calibrated, blocks, other_data })
}

/// The whole text.
pub fn page(page: &Page, joined: &Joined, runs: &[Run], looked: Looked) -> anyhow::Result<String> {
    let Looked { tasks, pictures, calibrated: lines_of_suites, blocks, other_data } = looked;
    let labels = labels(joined);
    let around = Around { published: &page.published, tasks: Some(&tasks) };
    let (columns, lines) = html::lines(&page.rows, around);
    assert!(columns == labels, "the table has the columns of what was joined");
    let mut sections = Vec::new();
    let (shown, note) = page.shown_differences();
    if !shown.is_empty() {
        let notes = vec![format!("{note}{DIFFERENCES}")];
        sections.push(PageSection::of("Differences", notes, &differences(&shown)));
    }
    if !page.published.is_empty() {
        let notes = vec!["Errors are standard errors of the measured value.".to_owned()];
        sections.push(PageSection::of("Published beside measured", notes, &beside(&page.published)));
    }
    if !page.steps.is_empty() {
        sections.push(PageSection::of("What each step gained", Vec::new(), &steps(&page.steps)));
    }
    if !lines_of_suites.is_empty() {
        sections.push(PageSection::of(
            "How sure models are",
            vec![CALIBRATED.to_owned()],
            &calibrated(&lines_of_suites),
        ));
    }
    sections.push(PageSection::of("Runs", Vec::new(), &sources(&page.sources)));
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let counts = [count(labels.len(), "model"), count(tasks.tasks.len(), "task"), count(runs.len(), "run")];
    let mut notes = vec![counts.join(", ")];
    notes.extend(other_data.iter().map(|(label, own)| {
        let own = few(own, "tasks");
        format!("{label} was asked other data of {own}: its answers are not among the documents.")
    }));
    let whole = html::Page {
        title: title(&labels, &tasks.suites),
        notes,
        columns: labels.iter().map(|label| column(label, &page.sources)).collect(),
        lines,
        legend: html::legend(&page.rows),
        sections,
        figures: pictures.into_iter().map(|own| PageFigure { title: own.title, svg: own.svg }).collect(),
        suites: tasks.suites,
        tasks: tasks.tasks,
        provenance: page.sources.iter().map(provenance).collect(),
    };
    let mut out = Vec::new();
    html::write(&whole, &blocks, &mut out)?;
    Ok(String::from_utf8(out)?)
}

fn labels(joined: &Joined) -> Vec<String> {
    joined.columns.iter().map(|column| column.label.clone()).collect()
}

/// Some names, or how many they are.
fn few(names: &[String], what: &str) -> String {
    match names {
        [] | [_] | [_, _] | [_, _, _] => names.join(", "),
        _ => format!("{} {what}", names.len()),
    }
}

fn title(models: &[String], suites: &[String]) -> String {
    printable(&format!("{} on {}", few(models, "models"), few(suites, "suites")), WHOLE).into_owned()
}

fn column(label: &str, sources: &[Source]) -> PageColumn {
    let own = sources.iter().find(|source| source.label == label);
    let remarks = own.map_or_else(Vec::new, |source| {
        source.precision.iter().cloned().chain([source.protocol.clone()]).collect()
    });
    PageColumn { label: label.to_owned(), remarks }
}

fn provenance(source: &Source) -> PagePart {
    let known = [
        ("run", Some(source.run.clone())),
        ("began", Some(source.started.clone())),
        ("program", Some(source.program.clone())),
        ("protocol", Some(source.protocol.clone())),
        ("chat template", source.template.clone()),
        ("precision", source.precision.clone()),
        ("parameters", source.parameters.map(|n| n.to_string())),
        ("revision", source.revision.clone()),
        ("weights, sha256", Some(source.weights_sha256.clone())),
        ("tokenizer, sha256", source.tokenizer_sha256.clone()),
        ("documents of each task at most", source.limit.clone()),
        ("processor", source.cpu.clone()),
        ("seconds of scoring", source.seconds.map(|seconds| format!("{seconds:.1}"))),
        ("tokens asked", source.tokens_asked.map(|n| n.to_string())),
        ("tokens computed", source.tokens_computed.map(|n| n.to_string())),
    ];
    let facts =
        known.into_iter().filter_map(|(name, value)| Some(Fact::new(name, value.filter(|v| !v.is_empty())?)));
    PagePart { title: source.label.clone(), facts: facts.collect() }
}

/// What figures show of columns beside their values.
fn subjects(joined: &Joined, registry: &Registry) -> Vec<Subject> {
    let card = |id: &Option<String>| registry.find(id.as_ref()?).ok();
    let column = |at: usize| {
        let own = &joined.columns[at];
        let card = card(&own.card);
        Subject {
            label: own.label.clone(),
            family: card.map_or_else(|| "other models".to_owned(), |card| card.family.clone()),
            base: card.and_then(|card| base(card, at, joined, registry)),
            parameters: own.parameters,
        }
    };
    (0..joined.columns.len()).map(column).collect()
}

/// What each row has cost, as its own run says.
fn costs(joined: &Joined, runs: &[Run]) -> Vec<Cost> {
    let cost = |(row, run): (&Row, &usize)| match runs[*run].model(row) {
        Some(model) => Cost {
            seconds: model.seconds.get("scoring").copied(),
            tokens: Some(model.tokens.computed).filter(|tokens| *tokens > 0),
        },
        None => Cost::default(),
    };
    joined.rows.iter().zip(&joined.run_of).map(cost).collect()
}

/// The column of the nearest model that this one was made from, asked by the same protocol in the same arithmetic, with its options
/// where they are; of several the one with the same template.
fn base(card: &Card, at: usize, joined: &Joined, registry: &Registry) -> Option<usize> {
    let own = &joined.columns[at];
    let mut next = card.base.as_ref();
    while let Some(id) = next {
        let same = |(place, column): &(usize, &Column)| {
            let is_alike = (&column.protocol, &column.precision, column.rotation, own.rotation)
                == (&own.protocol, &own.precision, 0, 0);
            *place != at && column.card.as_ref() == Some(id) && is_alike
        };
        let bases = joined.columns.iter().enumerate().filter(same);
        if let Some((place, _)) = bases.min_by_key(|(_, column)| column.template != own.template) {
            return Some(place);
        }
        next = registry.find(id).ok()?.base.as_ref();
    }
    None
}

/// The run and the row of each column that was asked a task.
fn asked<'a>(
    tasks: &'a Tasks,
    task: usize,
    page: &'a Page,
    joined: &'a Joined,
    runs: &'a [Run],
) -> Vec<Option<(&'a Run, &'a Row)>> {
    let own = |row: usize| (&runs[joined.run_of[row]], &page.rows[row]);
    tasks.rows[task].iter().map(|row| row.map(own)).collect()
}

/// What each column answered to a task; `None` where nothing is known of it.
fn answers(
    tasks: &Tasks,
    task: usize,
    page: &Page,
    joined: &Joined,
    runs: &[Run],
) -> Result<Vec<Option<Vec<SampleLine>>>, FinishedError> {
    let read = |own: &Option<(&Run, &Row)>| match own {
        Some((run, row)) => Ok(run.samples(row)?.map(|(_, lines)| lines)),
        None => Ok(None),
    };
    asked(tasks, task, page, joined, runs).par_iter().map(read).collect()
}

/// Takes away the answers of columns whose data of a task are not those of the first that has answers: documents of one number are
/// not the same there. Says which columns these are.
fn leave_out_other_data(
    of_task: &[Option<usize>],
    rows: &[Row],
    answers: &mut [Option<Vec<SampleLine>>],
) -> Vec<usize> {
    let data = |column: usize| of_task[column].map(|row| &rows[row].data_sha256);
    let Some(first) = answers.iter().position(Option::is_some) else { return Vec::new() };
    let is_other = |column: &usize| answers[*column].is_some() && data(*column) != data(first);
    let others: Vec<usize> = (0..answers.len()).filter(is_other).collect();
    for column in &others {
        answers[*column] = None;
    }
    others
}

/// The same with what was asked.
fn samples(
    tasks: &Tasks,
    task: usize,
    answers: &[Option<Vec<SampleLine>>],
    page: &Page,
    joined: &Joined,
    runs: &[Run],
) -> Result<TaskSamples, FinishedError> {
    // Many columns of a run were asked the same.
    let asked_here = asked(tasks, task, page, joined, runs);
    let paths: Vec<Option<PathBuf>> =
        asked_here.iter().map(|own| own.and_then(|(run, row)| run.texts_path(row))).collect();
    let mut known: BTreeMap<&PathBuf, Vec<TextLine>> = BTreeMap::new();
    for path in paths.iter().flatten() {
        if !known.contains_key(path) {
            known.insert(path, texts(path)?);
        }
    }
    let columns = answers.iter().zip(&paths).map(|(lines, path)| {
        let texts = path.as_ref().map_or(&[][..], |path| &known[path]);
        lines.as_ref().map(|lines| ColumnSamples { lines, texts })
    });
    Ok(html::task_samples(&columns.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_other_data_are_left_out() {
        let text = "model,suite,task,num_fewshot,metric,filter,value,stderr,n,published,published_source,protocol,\
                    weights_sha256,data_sha256\n";
        let line = |data: &str| format!("m,zoology,birds,5,acc,none,0.5,0.1,100,,,p,w,{data}\n");
        let lines = ["other", "d", "e", "d"].map(line).concat();
        let rows = crate::report::read_results(format!("{text}{lines}").as_bytes()).unwrap();
        let of_task = [Some(0), Some(1), None, Some(2), Some(3)];
        // The first one kept no answers.
        let mut answers = [None, Some(Vec::new()), None, Some(Vec::new()), Some(Vec::new())];
        assert_eq!(leave_out_other_data(&of_task, &rows, &mut answers), [3]);
        let left: Vec<bool> = answers.iter().map(Option::is_some).collect();
        assert_eq!(left, [false, true, false, false, true]);
    }

    #[test]
    fn lineage_leads_to_a_base_that_was_asked_alike() {
        let registry = Registry::load(None).unwrap();
        let column = |card: &str, precision: &str, rotation: usize, template: Option<&str>| Column {
            label: String::new(),
            model: card.to_owned(),
            protocol: "p".to_owned(),
            template: template.map(str::to_owned),
            precision: Some(precision.to_owned()),
            rotation,
            card: Some(card.to_owned()),
            parameters: None,
            runs: Vec::new(),
        };
        let columns = vec![
            column("llama-7b", "bf16", 0, None),
            column("llama-7b", "exact", 1, None),
            column("llama-7b", "exact", 0, None),
            column("llama-7b", "exact", 0, Some("chat")),
            column("alpaca-7b", "exact", 0, Some("chat")),
            column("alpaca-7b", "exact", 0, None),
            column("alpaca-7b", "exact", 1, None),
            column("alpaca-7b", "int8", 0, None),
        ];
        let joined = Joined { rows: Vec::new(), columns, run_of: Vec::new() };
        let card = registry.find("alpaca-7b").unwrap();
        let found = [4, 5, 6, 7].map(|at| base(card, at, &joined, &registry));
        assert_eq!(found, [Some(3), Some(2), None, None]);
    }
}
