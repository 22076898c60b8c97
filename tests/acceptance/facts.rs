//! The published scores on the cards are those of the shared fact base: every one that it has is there, and those that it calls
//! unusable are not.

use std::collections::BTreeMap;

use serde::Deserialize;
use zoo::registry::Registry;

use crate::support::shared;

#[derive(Debug, Deserialize)]
struct Entry {
    card: String,
    suite: String,
    num_fewshot: Option<u32>,
    value: f64,
    status: String,
}

#[test]
#[ignore = "needs the shared fact base"]
fn every_score_of_the_fact_base_is_on_its_card() {
    let Some(folder) = shared::shared() else { return };
    let text = std::fs::read_to_string(folder.join("family/published.yaml")).unwrap();
    let entries: Vec<Entry> = serde_yaml::from_str(&text).unwrap();
    let registry = Registry::load(None).unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in &entries {
        let card = registry.find(&entry.card).unwrap();
        let is_there = card.published.iter().any(|score| {
            score.suite == entry.suite
                && score.num_fewshot == entry.num_fewshot
                && (score.value - entry.value).abs() < 1e-9
        });
        let wanted = entry.status != "unusable";
        // A second source of what is on the card already is named nowhere.
        if is_there != wanted && entry.status != "confirms the card" {
            wrong.push(format!("{entry:?}"));
        }
        *counts.entry(&entry.status).or_default() += 1;
    }
    println!("{counts:?}");
    assert!(wrong.is_empty(), "{} of {}: {}", wrong.len(), entries.len(), wrong.join("\n"));
    assert!(counts["new"] > 500 && counts["confirmed"] > 150 && counts["unusable"] > 10, "{counts:?}");
}

/// Architectures of new members by the fact base, under the names of its numbers.
#[derive(Debug, Deserialize)]
struct NewMember {
    architecture: Option<serde_yaml::Value>,
}

#[derive(Debug, Deserialize)]
struct Corrections {
    new_members: BTreeMap<String, serde_yaml::Value>,
}

#[test]
#[ignore = "needs the shared fact base"]
fn every_new_member_of_the_fact_base_has_a_card_with_its_numbers() {
    let Some(folder) = shared::shared() else { return };
    let text = std::fs::read_to_string(folder.join("family/corrections.yaml")).unwrap();
    let corrections: Corrections = serde_yaml::from_str(&text).unwrap();
    let registry = Registry::load(None).unwrap();
    let mut compared = 0;
    for (name, member) in corrections.new_members.iter().filter(|(name, _)| *name != "tag_legend") {
        let card = registry.find(name).unwrap_or_else(|error| panic!("{error}"));
        let network = serde_json::to_value(registry.architecture_of(card).unwrap()).unwrap();
        let NewMember { architecture } = serde_yaml::from_value(member.clone()).unwrap();
        let Some(serde_yaml::Value::Mapping(numbers)) = architecture else { continue };
        for (theirs, ours) in [
            ("hidden", "hidden_size"),
            ("intermediate", "intermediate_size"),
            ("layers", "num_hidden_layers"),
            ("heads", "num_attention_heads"),
            ("kv_heads", "num_key_value_heads"),
            ("vocab", "vocab_size"),
            ("context", "max_context"),
            ("rope_theta", "rope_theta"),
            ("rms_norm_eps", "rms_norm_eps"),
            ("parameters", "parameters"),
        ] {
            let said = numbers.get(theirs).and_then(serde_yaml::Value::as_f64);
            assert_eq!(said, network[ours].as_f64(), "{name}: {theirs}");
            compared += 1;
        }
        let factor = numbers.get("rope_scaling").and_then(|scaling| scaling.get("factor")?.as_f64());
        assert_eq!(factor, network["rope_scaling"]["factor"].as_f64(), "{name}");
    }
    assert!(compared >= 90, "{compared}");
}
