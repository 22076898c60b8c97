//! Results and samples in the shape of the reference harness, so that what compares its files compares ours.
//!
//! Source: lm-evaluation-harness 0.4.13, `result_schema.py` and the files it writes.

mod config;
mod results;
mod samples;

use super::{TaskMetric, TaskResult};
use crate::tasks::OutputType;

pub use config::task_config;
pub use results::{NamedSpecialTokens, RunFacts, results, sanitized};
pub use samples::{HarnessSample, samples};

/// The order in which the harness computes metrics, and lists them, whatever order a task file has.
const COMPUTED: [&str; 13] = [
    "perplexity",
    "acc",
    "f1",
    "mcc",
    "acc_norm",
    "acc_bytes",
    "exact_match",
    "brier_score",
    "likelihood",
    "acc_mutual_info",
    "word_perplexity",
    "byte_perplexity",
    "bits_per_byte",
];

/// The metrics of a task as the harness orders them; those of a function and of written answers as they come.
fn metrics(result: &TaskResult) -> Vec<&TaskMetric> {
    let config = &result.asked.task.config;
    let mut metrics: Vec<&TaskMetric> = result.metrics.iter().collect();
    if config.process_results.is_none() && config.output_type != OutputType::GenerateUntil {
        let place = |metric: &&TaskMetric| COMPUTED.iter().position(|name| *name == metric.metric);
        metrics.sort_by_key(|metric| place(metric).unwrap_or(COMPUTED.len()));
    }
    metrics
}
