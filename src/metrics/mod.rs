//! Scores → numbers: per-document metrics, means with standard errors, groups.
//!
//! Definitions are those of lm-evaluation-harness 0.4.13.

//AGG mod aggregate;
mod choice;
mod group;

//AGG pub use aggregate::{Aggregate, Aggregation, BOOTSTRAP_ITERATIONS};
pub use choice::{ChoiceDocument, Gold, MULTIPLE_CHOICE_METRICS, multiple_choice};
pub use group::combine;

/// x
#[derive(Debug, Clone, Copy, PartialEq)] pub struct Aggregate { pub value: f64, pub stderr: Option<f64>, pub n: usize }
