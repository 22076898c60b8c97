//! What the registry's cards have as published, beside what was measured of the same models.

use super::join::Joined;
use super::run::Run;
use crate::registry::{Published, Registry};
use crate::report::{Beside, Row};

/// Every published value of a model that was measured, beside each value that was measured of the same suite and metric; with the
/// reason where the two are not values of the same thing.
pub fn published(joined: &Joined, runs: &[Run], registry: &Registry) -> Vec<Beside> {
    let mut lines = Vec::new();
    for (row, run) in joined.rows.iter().zip(&joined.run_of) {
        let Some(measured) = row.value else { continue };
        let card = runs[*run].model(row).and_then(|model| registry.find(model.card.as_ref()?).ok());
        let of_card = card.map_or(&[][..], |card| &card.published[..]);
        for score in
            of_card.iter().filter(|score| score.suite == row.task && is_same_metric(score, &row.metric))
        {
            lines.push(Beside {
                label: row.label.clone().unwrap_or_else(|| row.model.clone()),
                task: row.task.clone(),
                metric: row.metric.clone(),
                num_fewshot: row.num_fewshot,
                measured,
                stderr: row.stderr,
                n: row.n,
                published: score.value,
                published_num_fewshot: score.num_fewshot,
                published_protocol: score.protocol.clone(),
                source: score.source.clone(),
                reason: reason(row, score, runs[*run].model(row).map_or(0, |model| model.rotation)),
            });
        }
    }
    lines
}

/// The reference's MBPP has a name of its own for it.
fn is_same_metric(score: &Published, measured: &str) -> bool {
    score.metric == measured || (score.metric.as_str(), measured) == ("pass@1", "pass_at_1")
}

/// Whether a protocol is one by which scores are published: the reference harness's, or that of a benchmark's own authors.
pub fn is_as_published(protocol: &str) -> bool {
    protocol.starts_with("lm-eval-") || protocol.starts_with("original-")
}

/// Why a measured value says nothing of a published one.
fn reason(row: &Row, score: &Published, rotation: usize) -> Option<String> {
    let mut reasons = Vec::new();
    match (row.num_fewshot, score.num_fewshot) {
        (_, None) => reasons.push("its shots are not stated".to_owned()),
        (None, Some(_)) => reasons.push("measured with several numbers of shots".to_owned()),
        (Some(own), Some(other)) if own as u64 != u64::from(other) => {
            reasons.push(format!("{own} shots, published with {other}"));
        }
        (Some(_), Some(_)) => {}
    }
    if let Some(protocol) = &score.protocol {
        reasons.push(format!("published under another protocol: {protocol}"));
    }
    if !is_as_published(&row.protocol) {
        reasons.push(format!("measured under the protocol {}", row.protocol));
    }
    if rotation > 0 {
        reasons.push(format!("measured with the options moved on by {rotation}"));
    }
    if let Some(of) = row.limited_to_part_of() {
        reasons.push(format!("measured on {} of {of} documents", row.n));
    }
    if let Some(template) = &row.template {
        reasons.push(format!("measured with the chat template {template}, of which the source says nothing"));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}
