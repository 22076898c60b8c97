//! `merged.yaml`: what each shard of a merged run took, and where.

use serde::Serialize;

use super::part::Part;
use crate::engine::TokenCounts;

#[derive(Debug, Serialize)]
struct Took<'a> {
    shards: Vec<OfShard<'a>>,
}

#[derive(Debug, Serialize)]
struct OfShard<'a> {
    shard: String,
    path: String,
    started: &'a str,
    seconds: f64,
    cpu: &'a str,
    threads: usize,
    tokens: TokenCounts,
}

/// The text of the file.
pub fn took(parts: &[Part]) -> serde_yaml::Result<String> {
    let shards = parts.iter().map(|part| OfShard {
        shard: part.shard.to_string(),
        path: part.path.display().to_string(),
        started: &part.started,
        seconds: part.seconds,
        cpu: &part.cpu,
        threads: part.threads,
        tokens: part.models.iter().map(|model| model.tokens).fold(TokenCounts::default(), TokenCounts::and),
    });
    serde_yaml::to_string(&Took { shards: shards.collect() })
}
