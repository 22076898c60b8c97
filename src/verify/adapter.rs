//! A low-rank adapter: whole and usable by itself, and the one that the card speaks of.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::{Check, Finding};
use crate::config::hf::read_map;
use crate::forms::FormError;
use crate::rebuild::Adapter;
use crate::registry::Card;

/// Opens the adapter, which checks names, ranks, targets and values.
pub(super) fn check(folder: &Path, card: Option<&Card>) -> (Vec<Finding>, Option<Adapter>) {
    let (mut findings, adapter) = match Adapter::open(folder) {
        Err(error) => (vec![refused(&error)], None),
        Ok(adapter) => {
            let base = adapter.config.base_model.as_deref().unwrap_or("no base by name");
            let tensors = adapter.tensors().tensors().len();
            let found = format!("{}, {tensors} tensors, trained on {base}", adapter.config.summary());
            let mut findings = vec![Finding::ok(Check::Adapter, found)];
            findings.extend(without_tensors(&adapter));
            findings.extend(adapter.notes.iter().map(|note| Finding::warning(Check::Adapter, note.clone())));
            (findings, Some(adapter))
        }
    };
    if let (Some(card), Some(config)) = (card, read_map(&folder.join("adapter_config.json")).ok()) {
        findings.extend(against(card, &config));
    }
    (findings, adapter)
}

fn refused(error: &FormError) -> Finding {
    let finding = Finding::of_lineage(Check::Adapter, error);
    match finding.expected.as_deref() {
        Some(expected) if expected.contains("finite") => finding.class("non-finite values"),
        _ => finding,
    }
}

/// Modules that the configuration promises and the file lacks: a merge would leave them as they are.
fn without_tensors(adapter: &Adapter) -> Option<Finding> {
    let missing = adapter.targets_without_tensors();
    (!missing.is_empty()).then(|| {
        Finding::failure(Check::Adapter, "missing data", format!("none for {}", missing.join(", ")))
            .at(format!("{}: target_modules", adapter.path.join("adapter_config.json").display()))
            .expected("low-rank matrices for each of them")
            .advice("the adapter is incomplete, or its configuration is another one's: fetch both again")
    })
}

/// Rank, alpha and targets against the card.
fn against(card: &Card, config: &Map<String, Value>) -> Vec<Finding> {
    let Some(lora) = card.releases().find_map(|release| release.lora.as_ref()) else { return Vec::new() };
    let joined = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    let listed = |names: &Vec<String>| joined(names.iter().map(String::as_str).collect());
    let names = |key: &str| {
        let list = config.get(key).and_then(Value::as_array).into_iter().flatten();
        joined(list.filter_map(Value::as_str).collect())
    };
    let number = |key: &str| config.get(key).and_then(Value::as_f64);
    let shown = |x: Option<f64>| x.map_or("nothing".to_owned(), |x| x.to_string());
    let compared = [
        ("r", shown(Some(f64::from(lora.r))), shown(number("r"))),
        ("lora_alpha", shown(Some(lora.alpha)), shown(number("lora_alpha"))),
        ("target_modules", listed(&lora.target_modules), names("target_modules")),
        ("modules_to_save", listed(&lora.modules_to_save), names("modules_to_save")),
    ];
    let differ = compared.into_iter().filter(|(_, expected, found)| expected != found);
    differ
        .map(|(key, expected, found)| {
            let found = if found.is_empty() { "none".to_owned() } else { found };
            Finding::warning(Check::Card, found)
                .at(format!("adapter_config.json: {key}"))
                .expected(format!("{expected}, as card {} says", card.id))
                .advice("this may be another adapter: name the right card with --as")
        })
        .collect()
}
