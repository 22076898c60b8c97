//! Checks that a model is what it claims to be, on any released form, from headers to values.
//!
//! The family's best-known accidents are silent: a difference run as a model, an empty adapter that merges without
//! a complaint, rows in Meta's order under Hugging Face's names, a tokenizer of another vocabulary, a configuration
//! with the wrong epsilon. Each check here looks for one of them and gives [`Finding`]s; nothing is printed.
//! The room stands beside `evaluate` and knows all rooms that know forms of models: registry, weights, lineage,
//! tokenizer and model configurations. It computes nothing with a model.
//! Source: the accidents collected in the issue trackers of the projects, and their published digests.

mod adapter;
mod card;
mod encrypted;
mod files;
mod finding;
mod form;
mod guard;
mod lock;
mod names;
mod pass;
mod report;
mod rotary;
mod row_order;
mod rows;
mod stats;
mod values;
mod vocabulary;

use std::path::Path;

pub use finding::{Check, Finding, Level};
pub use guard::norms_of_a_difference;
pub use report::{ContentKind, Report};
pub use rotary::{Agreement, HeadCounts, RowOrder};
pub use rows::RowFacts;
pub use stats::Moments;

use form::{Form, OpenedPath};
use lock::Locked;
use pass::Pass;
use values::{Nature, Summary};
use vocabulary::Vocabulary;

use crate::base::progress::Progress;
use crate::config::ModelConfig;
use crate::forms::{about_other_head, has_other_head};
use crate::registry::{Card, Registry, ReleaseKind};
use crate::tokenizer::Tokenizer;

/// What to compare with, and how much to read.
#[derive(Debug, Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// The card that the model is to fit.
    pub card: Option<&'a Card>,
    /// Where the card's records are.
    pub registry: &'a Registry,
    /// Headers only: no values, no digests.
    pub fast: bool,
}

/// Verifies what is at `path`; `name` is what the user calls it.
///
/// Every fault becomes a finding, so there is no error. Nothing is written, and memory holds no more than two tensors.
pub fn verify(name: &str, path: &Path, options: VerifyOptions<'_>, progress: &dyn Progress) -> Report {
    let (kind, mut findings) = match form::open(path) {
        Err(error) => (ContentKind::Unreadable, vec![Finding::of_lineage(Check::Form, &error)]),
        Ok(Form::Encrypted(files)) => (ContentKind::Encrypted, encrypted::check(&files)),
        Ok(Form::Adapter(folder)) => (ContentKind::Adapter, adapter(&folder, options, progress)),
        Ok(Form::Weights(opened)) => weights(&opened, options, progress),
    };
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    findings.extend(files::checklist(folder, options.fast, progress));
    if let Some(card) = options.card {
        findings.extend(files::digests(folder, card, options.fast, progress));
    }
    findings.sort_by_key(|finding| finding.check);
    let card = options.card.map(|card| card.id.clone());
    Report { model: name.to_owned(), path: path.to_owned(), card, kind, fast: options.fast, findings }
}

/// A folder or file of weights.
fn weights(
    opened: &OpenedPath,
    options: VerifyOptions<'_>,
    progress: &dyn Progress,
) -> (ContentKind, Vec<Finding>) {
    let mut findings = vec![Finding::ok(
        Check::Form,
        format!("{}, {} tensors", opened.reader, opened.tensors.tensors().len()),
    )];
    findings.extend(opened.warnings.iter().map(|warning| Finding::warning(Check::Form, warning.clone())));
    match &opened.config {
        None => {
            findings.push(Finding::note(Check::Config, "no configuration: names and shapes are not checked"));
        }
        Some(Err(error)) => findings.push(Finding::of_config(Check::Config, error)),
        Some(Ok(config)) => {
            let of_card = options.card.and_then(|card| Some((card, options.registry.architecture_of(card)?)));
            findings.push(Finding::ok(Check::Config, summary(config)));
            findings.extend(json_notes(opened));
            findings.extend(
                of_card
                    .into_iter()
                    .flat_map(|(c, record)| card::check(c, record, config, &opened.config_name)),
            );
            findings.extend(names::check(opened.tensors.as_ref(), config, &opened.config_name));
        }
    }
    let config = opened.config.as_ref().and_then(|config| config.as_ref().ok());
    if let Some(tokenizer) = &opened.tokenizer {
        let (folder, tensors) = (opened.folder.as_deref(), opened.tensors.as_ref());
        let record = options.card.and_then(|card| options.registry.tokenizer_of(card));
        let vocabulary = Vocabulary { tokenizer, folder, tensors, config: opened.json.as_ref(), record };
        findings.extend(vocabulary.check());
    }
    let locked = Locked::find(opened, &mut findings);
    if let Some(locked) = &locked {
        findings.extend(locked.headers(opened, options.card, options.fast));
    }
    let mut kind = config.map_or(ContentKind::Tensors, |config| ContentKind::Model(config.model_type()));
    if options.fast {
        return (kind, findings);
    }
    let rotary = config.map(ModelConfig::shape).filter(|shape| shape.is_rotary);
    let heads = rotary
        .map(|shape| HeadCounts { queries: shape.num_attention_heads, keys: shape.num_key_value_heads });
    match pass::run(opened.tensors.as_ref(), heads, locked.is_some(), progress) {
        Err(error) => findings.push(Finding::of_weights(Check::Finite, &error)),
        Ok(pass) => {
            findings.extend(locked.iter().map(|locked| locked.tensors(&pass)));
            let nature = read_values(&pass, opened, config, options.card, &mut findings);
            if nature == Nature::Difference && config.is_some() {
                kind = ContentKind::Delta;
            }
        }
    }
    (kind, findings)
}

/// The checks that need the values.
fn read_values(
    pass: &Pass,
    opened: &OpenedPath,
    config: Option<&ModelConfig>,
    card: Option<&Card>,
    findings: &mut Vec<Finding>,
) -> Nature {
    findings.push(values::finite(pass));
    let summary = Summary::of(pass);
    // Loose tensors may be anything.
    let Some(config) = config else { return summary.nature };
    findings.push(match (summary.nature, card) {
        (Nature::Difference, Some(card)) => difference_of(card, &summary),
        _ => summary.finding(),
    });
    findings.extend(values::dead_and_repeated(pass, opened.tensors.as_ref()));
    findings.extend(values::odd_rows(pass));
    findings.extend(other_head(opened, config));
    if matches!(summary.nature, Nature::Model) {
        findings.extend(row_order::findings(pass));
    }
    summary.nature
}

/// A difference where a card says in what forms its model was released.
fn difference_of(card: &Card, summary: &Summary) -> Finding {
    let is_difference = |kind| matches!(kind, ReleaseKind::Delta | ReleaseKind::Diff);
    if card.releases().any(|release| is_difference(release.kind)) {
        let found =
            format!("those of a difference, a form in which {} was released: {}", card.id, summary.numbers());
        return Finding::ok(Check::Values, found);
    }
    summary.finding().level(Level::Failure).class("not a model")
}

/// A head that the configuration does not know of.
fn other_head(opened: &OpenedPath, config: &ModelConfig) -> Option<Finding> {
    has_other_head(opened.tensors.as_ref(), &config.shape()).then(|| {
        Finding::warning(Check::Tensors, about_other_head(&opened.config_name))
            .at("tensor \"lm_head.weight\"")
    })
}

/// What `config.json` asks for that is never done.
fn json_notes(opened: &OpenedPath) -> Option<Finding> {
    opened.json.as_ref()?.get("auto_map").filter(|value| !value.is_null())?;
    Some(
        Finding::note(Check::Config, "auto_map names code of the repository, which is never run")
            .at(opened.config_name.clone()),
    )
}

fn summary(config: &ModelConfig) -> String {
    format!(
        "{} of {} layers, width {}, {} tokens, context {}, {} parameters",
        config.model_type(),
        config.num_hidden_layers(),
        config.hidden_size(),
        config.vocab_size(),
        config.max_position_embeddings(),
        config.parameters()
    )
}

/// The folder of an adapter.
fn adapter(folder: &Path, options: VerifyOptions<'_>, progress: &dyn Progress) -> Vec<Finding> {
    let (mut findings, adapter) = adapter::check(folder, options.card);
    let Some(adapter) = adapter else { return findings };
    findings.push(Finding::ok(Check::Form, "the folder of a PEFT adapter"));
    let tokenizer = &Tokenizer::from_folder(folder);
    if tokenizer.is_ok() {
        let record = options.card.and_then(|card| options.registry.tokenizer_of(card));
        let tensors = adapter.tensors();
        let vocabulary = Vocabulary { tokenizer, folder: Some(folder), tensors, config: None, record };
        findings.extend(vocabulary.check());
    }
    if !options.fast {
        match pass::run(adapter.tensors(), None, false, progress) {
            Ok(pass) => {
                findings.push(values::finite(&pass));
                findings.extend(values::odd_rows(&pass));
            }
            Err(error) => findings.push(Finding::of_weights(Check::Finite, &error)),
        }
    }
    findings
}
