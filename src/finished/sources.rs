//! Where each column of joined runs comes from.

use super::join::Joined;
use super::run::{About, Run};
use crate::report::Source;

/// A line for each column and each run that has rows of it.
pub fn sources(joined: &Joined, runs: &[Run]) -> Vec<Source> {
    let mut lines = Vec::new();
    for column in &joined.columns {
        for &at in &column.runs {
            let run = &runs[at];
            let row = joined
                .rows
                .iter()
                .zip(&joined.run_of)
                .find(|(row, of)| **of == at && row.label.as_ref() == Some(&column.label));
            // All that this run says of it another one has said before.
            let Some((row, _)) = row else { continue };
            let model = run.model(row);
            let blank = Source {
                label: column.label.clone(),
                run: run.path.display().to_string(),
                started: run.started().to_owned(),
                protocol: row.protocol.clone(),
                template: row.template.clone(),
                precision: row.precision.clone().or_else(|| Some(model?.precision.clone())),
                parameters: column.parameters,
                revision: row.revision.clone(),
                weights_sha256: row.weights_sha256.clone(),
                tokenizer_sha256: model.map(|model| model.tokenizer_sha256.clone()),
                program: String::new(),
                limit: None,
                cpu: None,
                seconds: model.and_then(|model| model.seconds.get("scoring").copied()),
                tokens_asked: model.map(|model| model.tokens.asked),
                tokens_computed: model.map(|model| model.tokens.computed),
            };
            lines.push(match &run.about {
                About::Run(record) => Source {
                    program: format!("zoo {}", record.zoo),
                    cpu: Some(record.cpu.clone()),
                    limit: record.options.get("limit").and_then(said),
                    ..blank
                },
                About::Harness(file) => Source {
                    program: format!("lm-eval {}", file.version),
                    limit: file.limit.map(|limit| limit.to_string()),
                    ..blank
                },
            });
        }
    }
    lines
}

/// A number of a description.
fn said(value: &serde_yaml::Value) -> Option<String> {
    value.as_u64().map(|n| n.to_string()).or_else(|| value.as_f64().map(|n| n.to_string()))
}
