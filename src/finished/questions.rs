//! The documents behind the values: what each model was asked, what it answered, and what that is worth.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::error::FinishedError;
use super::join::Joined;
use super::run::Run;
use super::samples::texts;
use crate::metrics::first_highest;
use crate::records::{SampleLine, TextLine};
use crate::report::{Row, Sample, SampleChoice, TaskKind};

/// Which documents are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Labels of columns; none means all.
    pub columns: Vec<String>,
    /// The metric that tells right from wrong; none means the first of each task that does.
    pub metric: Option<String>,
    /// Numbers of documents; none means all.
    pub documents: Vec<usize>,
    /// Only those with this verdict.
    pub right: Option<bool>,
    /// Only those that some of the models have right and others wrong.
    pub disagree: bool,
    /// So many documents at most.
    pub limit: Option<usize>,
}

/// Documents that were found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Task by task, document by document, model by model.
    pub samples: Vec<Sample>,
    /// Documents that are wanted, of which the first are in `samples`.
    pub documents: usize,
}

/// The wanted documents of joined runs, read a task at a time.
///
/// # Errors
/// Samples or texts that cannot be read, a verdict or a disagreement that is asked of a metric without right and wrong, and a
/// disagreement of models that were not asked the same documents or are not judged alike.
pub fn questions(joined: &Joined, runs: &[Run], wanted: &Wanted) -> Result<Found, FinishedError> {
    let mut found = Found::default();
    let mut tasks = tasks(joined, wanted)?;
    if wanted.right.is_some() || wanted.disagree {
        // What has no right and wrong has none that is wanted, unless that is all there is.
        let first = tasks.first().map(|rows| rows[0].0.clone());
        tasks.retain(|rows| rows.iter().all(|(row, run)| row.is_share || says_no_shares(&runs[*run])));
        if let (Some(row), true) = (first, tasks.is_empty()) {
            return Err(FinishedError::new(format!(
                "{}: {} does not tell right from wrong; --metric names one that does",
                row.task, row.metric
            )));
        }
    }
    let mut shots: BTreeMap<String, BTreeSet<Option<usize>>> = BTreeMap::new();
    for (row, _) in tasks.iter().flatten() {
        shots.entry(row.task.clone()).or_default().insert(row.num_fewshot);
    }
    for rows in tasks {
        let has_other_shots = shots[&rows[0].0.task].len() > 1;
        let mut documents: BTreeMap<usize, Vec<(usize, SampleLine)>> = BTreeMap::new();
        for (place, (row, run)) in rows.iter().enumerate() {
            let (_, lines) = runs[*run].answers::<SampleLine>(row)?;
            let is_wanted =
                |line: &SampleLine| wanted.documents.is_empty() || wanted.documents.contains(&line.doc_id);
            for line in lines.into_iter().filter(is_wanted) {
                documents.entry(line.doc_id).or_default().push((place, line));
            }
        }
        let verdict = |(place, line): &(usize, SampleLine)| right(rows[*place].0, line);
        documents.retain(|_, answers| {
            let verdicts: BTreeSet<Option<bool>> = answers.iter().map(verdict).collect();
            if wanted.disagree {
                return verdicts.contains(&Some(true)) && verdicts.contains(&Some(false));
            }
            if wanted.right.is_some() {
                answers.retain(|answer| verdict(answer) == wanted.right);
            }
            !answers.is_empty()
        });
        let room = wanted.limit.map_or(usize::MAX, |limit| limit.saturating_sub(found.documents));
        found.documents += documents.len();
        let shown: Vec<(usize, SampleLine)> = documents.into_values().take(room).flatten().collect();
        let mut texts: Vec<Texts> = Vec::new();
        for (place, (row, run)) in rows.iter().enumerate() {
            let own = shown.iter().filter(|(of, _)| *of == place).map(|(_, line)| line);
            texts.push(texts_of(&runs[*run], row, own)?);
        }
        found.samples.extend(shown.into_iter().map(|(place, line)| {
            let text = texts[place].get(&(line.doc_id, line.prompt_sha256.clone()));
            Sample { has_other_shots, ..sample(rows[place].0, line, text) }
        }));
    }
    Ok(found)
}

/// A row, and the run it is of.
type Asked<'j> = (&'j Row, usize);

/// The tasks of the table: of each the rows by which its documents are judged, a row for each column, and the runs they are of.
fn tasks<'j>(joined: &'j Joined, wanted: &Wanted) -> Result<Vec<Vec<Asked<'j>>>, FinishedError> {
    // Task by task, column by column.
    let mut tasks: Vec<Vec<Vec<Asked<'j>>>> = Vec::new();
    let mut places: HashMap<(&str, Option<usize>), usize> = HashMap::new();
    for (row, run) in joined.rows.iter().zip(&joined.run_of) {
        let label = row.label.as_deref().unwrap_or(&row.model);
        let of_column = wanted.columns.is_empty() || wanted.columns.iter().any(|column| column == label);
        let of_metric = wanted.metric.as_ref().is_none_or(|metric| *metric == row.metric);
        if row.kind != TaskKind::Task || row.value.is_none() || !of_column || !of_metric {
            continue;
        }
        let place = *places.entry((row.task.as_str(), row.num_fewshot)).or_insert_with(|| {
            tasks.push(Vec::new());
            tasks.len() - 1
        });
        match tasks[place].iter_mut().find(|known| known[0].0.label == row.label) {
            Some(known) => known.push((row, *run)),
            None => tasks[place].push(vec![(row, *run)]),
        }
    }
    let judged = |columns: &Vec<Vec<Asked<'j>>>| {
        if wanted.disagree && columns.len() > 1 {
            return in_common(columns);
        }
        // Of one column the first metric with right and wrong, else the first.
        let first =
            |rows: &Vec<Asked<'j>>| rows.iter().find(|(row, _)| row.is_share).copied().unwrap_or(rows[0]);
        Ok(columns.iter().map(first).collect())
    };
    tasks.iter().map(judged).collect()
}

/// Of a task's columns the rows of one metric that all of them have: the first that tells right from wrong in most of them.
///
/// # Errors
/// That there is none, and rows that are not of the same documents.
fn in_common<'j>(columns: &[Vec<Asked<'j>>]) -> Result<Vec<Asked<'j>>, FinishedError> {
    let line = |own: &Asked<'j>| -> Option<Vec<Asked<'j>>> {
        let same = |rows: &Vec<Asked<'j>>| rows.iter().find(|(row, _)| metric(row) == metric(own.0)).copied();
        columns.iter().map(same).collect()
    };
    let without = |rows: &Vec<Asked<'j>>| rows.iter().filter(|(row, _)| !row.is_share).count();
    let Some(rows) = columns[0].iter().filter_map(line).min_by_key(without) else {
        let said = |rows: &Vec<Asked<'j>>| {
            let metrics: Vec<String> = rows.iter().map(|(row, _)| metric(row)).collect();
            format!("{} of {}", metrics.join(" and "), model(rows[0].0))
        };
        let said: Vec<String> = columns.iter().map(said).collect();
        return Err(FinishedError::new(format!(
            "{}: expected a metric that all of the models have, found {}; --task names tasks to compare",
            columns[0][0].0.task,
            said.join(", ")
        )));
    };
    let first = rows[0].0;
    let is_other = |row: &Row| row.data_sha256.is_empty() || row.data_sha256 != first.data_sha256;
    let Some(other) = rows.iter().map(|(row, _)| *row).find(|row| is_other(row)) else { return Ok(rows) };
    let data = |row: &Row| match row.data_sha256.get(..8).unwrap_or(&row.data_sha256) {
        "" => format!("unknown data of {}", model(row)),
        digest => format!("{digest} of {}", model(row)),
    };
    // Of the first alone if it is the one that is unknown.
    let found =
        if other.data_sha256.is_empty() { data(other) } else { [first, other].map(data).join(" and ") };
    Err(FinishedError::new(format!(
        "{}: expected the same data for all of the models, found sha256 {found}; --task names tasks to compare",
        first.task
    )))
}

/// What a row's documents are judged by.
fn metric(row: &Row) -> String {
    format!("{},{}", row.metric, row.filter)
}

/// The column that a row is of.
fn model(row: &Row) -> &str {
    row.label.as_deref().unwrap_or(&row.model)
}

/// Whether a run is of an earlier version, which did not say which metrics tell right from wrong: values do.
fn says_no_shares(run: &Run) -> bool {
    run.record().is_some_and(|record| record.tasks.iter().all(|task| task.shares.is_empty()))
}

/// Whether an answer is right, where its value is 1 or 0.
fn right(row: &Row, line: &SampleLine) -> Option<bool> {
    let value = line.metrics.get(&metric(row)).copied()?;
    match value {
        1.0 => Some(true),
        0.0 => Some(false),
        _ => None,
    }
}

/// By document and digest of the prompt.
type Texts = HashMap<(usize, String), TextLine>;

/// What was asked in these lines; nothing if the run keeps no texts.
fn texts_of<'l>(
    run: &Run,
    row: &Row,
    lines: impl Iterator<Item = &'l SampleLine>,
) -> Result<Texts, FinishedError> {
    let wanted: BTreeSet<(usize, &str)> =
        lines.map(|line| (line.doc_id, line.prompt_sha256.as_str())).collect();
    let mut found = Texts::new();
    let Some(path) = run.texts_path(row).filter(|_| !wanted.is_empty()) else { return Ok(found) };
    for text in texts(&path)? {
        if wanted.contains(&(text.doc_id, text.prompt_sha256.as_str())) {
            found.insert((text.doc_id, text.prompt_sha256.clone()), text);
        }
    }
    Ok(found)
}

fn sample(row: &Row, line: SampleLine, text: Option<&TextLine>) -> Sample {
    let metric = metric(row);
    let logprobs: Vec<f64> = line.choices.iter().map(|choice| choice.logprob).collect();
    let likeliest = (logprobs.len() > 1).then(|| first_highest(&logprobs));
    let right_ones: Vec<u64> = match &line.target {
        serde_json::Value::Array(several) => several.iter().filter_map(serde_json::Value::as_u64).collect(),
        one => one.as_u64().into_iter().collect(),
    };
    let right = right(row, &line);
    let choices = line.choices.into_iter().enumerate().map(|(place, choice)| SampleChoice {
        text: text.and_then(|text| text.choices.get(place).cloned()),
        prompt: text.and_then(|text| text.prompts.get(place).cloned()),
        logprob: choice.logprob,
        is_greedy: choice.is_greedy,
        n_tokens: choice.n_tokens,
        tokens: choice.tokens,
        is_right: logprobs.len() > 1 && right_ones.contains(&(place as u64)),
        is_likeliest: likeliest == Some(place),
    });
    let found = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Sample {
        model: model(row).to_owned(),
        suite: row.suite.clone(),
        task: row.task.clone(),
        doc_id: line.doc_id,
        value: line.metrics.get(&metric).copied(),
        metric,
        right,
        prompt: text.map(|text| text.prompt.clone()),
        question_from: text.and_then(|text| text.question_from),
        prompt_sha256: line.prompt_sha256,
        n_prompt_tokens: line.n_prompt_tokens,
        truncated: line.truncated,
        choices: choices.collect(),
        written: line.text.into_iter().chain(line.turns).collect(),
        extracted: line.filtered.iter().map(|(filter, value)| (filter.clone(), found(value))).collect(),
        target: line.target,
        target_text: text.and_then(|text| text.target.clone()),
        num_fewshot: row.num_fewshot,
        has_other_shots: false,
    }
}
