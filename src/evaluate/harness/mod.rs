//! Results and samples in the shape of the reference harness, so that what compares its files compares ours.
//!
//! Source: lm-evaluation-harness 0.4.13, `result_schema.py` and the files it writes.

mod config;
mod python;
mod results;
mod samples;

pub use config::task_config;
pub use python::{dumps, sha256};
pub use results::{RunFacts, results, sanitized};
pub use samples::{Sample, samples};
