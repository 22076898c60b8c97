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
