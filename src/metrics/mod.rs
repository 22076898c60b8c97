//! Scores → numbers: per-document metrics, means with standard errors, groups.
//!
//! Definitions are those of lm-evaluation-harness 0.4.13.

mod aggregate;
mod choice;
mod document;
mod group;
mod paired;
mod written;

pub mod similarity;

#[cfg(test)]
mod tests;

pub use aggregate::{Aggregate, Aggregation, BOOTSTRAP_ITERATIONS};
pub use choice::{ChoiceDocument, MULTIPLE_CHOICE_METRICS, multiple_choice};
pub use document::{DocValue, Gold, first_highest};
pub use group::combine;
pub use paired::{PairedDifference, paired_difference};
pub use written::{ExactMatch, WRITTEN_METRICS};
