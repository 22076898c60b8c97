//! Contents of a run's files, written when everything is known, `run.yaml` last.

use std::collections::BTreeMap;
use std::path::Path;

use super::RunError;
use super::instructions;
use super::outcome::Outcome;
use super::rows::{ModelIdentity, version};
use crate::base::atomic::write_atomically;
use crate::evaluate::{SanityFinding, TaskMetric, TaskResult, continuations_sha256};
use crate::finished::RUN_FILE;
use crate::records::{
    BuiltRecord, ChatRecord, RunRecord, SampleHeader, SuiteRecord, file_name, own_file_name, write_samples,
};
use crate::report::table::{data, in_markdown};
use crate::report::{Row, Table, comparison_csv, comparison_markdown, details_markdown, results};
use crate::store::Lock;
use crate::tasks::Chat;

/// As many notes stand below a table as they are.
const FEW_NOTES: usize = 3;

/// SHA-256 of the samples of one model, by task.
pub type SamplesDigests = BTreeMap<String, String>;

/// Writes the samples; gives their digests, model by model.
pub fn write_all_samples(folder: &Path, models: &[Outcome]) -> Result<Vec<SamplesDigests>, RunError> {
    let of_model = |model: &Outcome| {
        let samples = folder.join("samples").join(file_name(&model.folder));
        let of_task = |task: &TaskResult| {
            let path = samples.join(own_file_name(task.name()) + ".jsonl");
            let digest = write_samples(&path, &header(&model.identity, task), &task.samples)?;
            Ok((task.name().to_owned(), digest))
        };
        model.tasks.iter().map(of_task).collect()
    };
    models.iter().map(of_model).collect()
}

/// Writes tables, findings and the record. Times are in the record alone: a run that was interrupted ends in the same tables and
/// samples as one that was not.
pub fn write(folder: &Path, rows: &[Row], models: &[Outcome], record: &RunRecord) -> Result<(), RunError> {
    let provenance = provenance(record);
    let comparison = [comparison_markdown(rows), folded_notes(models), provenance.clone()];
    let details = [details_markdown(rows), list(&record.findings), provenance];
    let is_shard = record.shard().map_or_else(String::new, |shard| {
        format!("Shard {shard} of a run: answers to some of its documents, and no results. `zoo merge` makes those of all.\n")
    });
    let page = |parts: [String; 3]| {
        let parts = std::iter::once(is_shard.clone()).chain(parts);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    };
    write_atomically(&folder.join("results.csv"), results(rows).csv().as_bytes())?;
    write_atomically(&folder.join("comparison.csv"), comparison_csv(rows).as_bytes())?;
    write_atomically(&folder.join("comparison.md"), page(comparison).as_bytes())?;
    write_atomically(&folder.join("details.md"), page(details).as_bytes())?;
    write_atomically(&folder.join("sanity.csv"), sanity(models).csv().as_bytes())?;
    write_atomically(&folder.join(RUN_FILE), serde_yaml::to_string(record)?.as_bytes())?;
    Ok(())
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("- {}\n", in_markdown(line))).collect()
}

/// What is to be known of the documents, to be unfolded where it is long; what is missing from the table stands before it.
fn folded_notes(models: &[Outcome]) -> String {
    let left_out: Vec<String> =
        instructions::notes(models).into_iter().chain(models.iter().flat_map(Outcome::left_out)).collect();
    let notes: Vec<String> = models.iter().flat_map(Outcome::notes).collect();
    let (left_out, listed) = (list(&left_out), list(&notes));
    if notes.len() <= FEW_NOTES {
        return left_out + &listed;
    }
    let gap = if left_out.is_empty() { "" } else { "\n" };
    let summary = format!("{} notes on documents", notes.len());
    format!("{left_out}{gap}<details><summary>{summary}</summary>\n\n{listed}\n</details>\n")
}

/// Who was asked and how, below the table of comparison.md.
fn provenance(record: &RunRecord) -> String {
    let models = record.models.iter().map(|model| {
        let built = model.built.as_ref().map_or(String::new(), |built| {
            let BuiltRecord { rule, inputs, tensors_sha256, .. } = built;
            format!(", {rule} of {} (tensors sha256 {tensors_sha256})", inputs.join(" and "))
        });
        let asked = model.chat.as_ref().map_or(String::new(), |chat| {
            let form = if chat.fewshot_as_multiturn { "examples as turns" } else { "one turn" };
            format!(", chat template {}, {form}", chat.template)
        });
        let (weights, arithmetic) = match &model.server {
            Some(server) => (String::new(), server.line()),
            None => (
                format!(", weights sha256 {}", model.weights_sha256),
                format!("{} arithmetic", model.precision),
            ),
        };
        format!(
            "{}: protocol {}{asked}{weights}, tokenizer sha256 {}, {arithmetic}, at most {} tokens{built}",
            model.name, model.protocol, model.tokenizer_sha256, model.max_length
        )
    });
    let RunRecord { protocol, zoo, fewshot_seed, .. } = record;
    let head = in_markdown(&format!("Protocol {protocol}, zoo {zoo}, few-shot seed {fewshot_seed}."));
    format!("{head}\n\n{}", list(&models.collect::<Vec<_>>()))
}

/// `sanity.csv`: one line per model, task and check that found something.
fn sanity(models: &[Outcome]) -> Table<(&Outcome, &SanityFinding)> {
    Table::of(models.iter().flat_map(|model| model.findings.iter().map(move |found| (model, found))))
        .column(data("model"), |(model, _)| &model.identity.name)
        .column(data("task"), |(_, found)| &found.task)
        .column(data("check"), |(_, found)| found.check.name())
        .column(data("documents"), |(_, found)| found.documents)
        .column(data("of"), |(_, found)| found.of)
        .column(data("first_doc_ids"), |(_, found)| {
            found.first.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
        })
        .column(data("cut_bos"), |(_, found)| found.cut.map(|cut| cut.bos))
        .column(data("cut_description"), |(_, found)| found.cut.map(|cut| cut.description))
        .column(data("cut_examples"), |(_, found)| found.cut.map(|cut| cut.examples))
        .column(data("cut_question"), |(_, found)| found.cut.map(|cut| cut.question))
}

/// What a run says of a task.
pub fn suite_record(result: &TaskResult) -> SuiteRecord {
    let shares = result.metrics.iter().chain(&result.extracted);
    SuiteRecord {
        task: result.name().to_owned(),
        version: version(result.asked.task.config.version()),
        num_fewshot: result.asked.num_fewshot,
        documents: result.samples.len(),
        of: result.asked.total_docs,
        data_sha256: result.asked.data_sha256.clone(),
        shares: shares.filter(|metric| metric.is_share()).map(TaskMetric::key).collect(),
    }
}

/// What a run says of a model that was built here.
pub fn built_record(lock: &Lock) -> BuiltRecord {
    BuiltRecord {
        rule: lock.rule.clone(),
        zoo: lock.zoo.clone(),
        inputs: lock.inputs.iter().map(|input| format!("{} {}", input.role, input.name)).collect(),
        tensors_sha256: lock.tensors_sha256.clone(),
    }
}

fn header(model: &ModelIdentity, task: &TaskResult) -> SampleHeader {
    let mut metrics = BTreeMap::new();
    for TaskMetric { metric, filter, value, .. } in &task.metrics {
        metrics.insert(format!("{metric},{filter}"), Some(value.value));
        metrics.insert(format!("{metric}_stderr,{filter}"), value.stderr);
    }
    SampleHeader {
        model: model.name.clone(),
        weights_sha256: model.weights_sha256.clone(),
        task: task.name().to_owned(),
        num_fewshot: task.asked.num_fewshot,
        output_type: task.asked.task.config.output_type.name().to_owned(),
        n: task.samples.len(),
        continuations_sha256: continuations_sha256(&task.asked),
        metrics,
    }
}

/// How the prompts of a conversation were written.
pub fn chat_record(chat: &Chat) -> ChatRecord {
    ChatRecord {
        template: chat.format.name().to_owned(),
        sha256: chat.format.source_sha256(),
        fewshot_as_multiturn: chat.multiturn,
    }
}
