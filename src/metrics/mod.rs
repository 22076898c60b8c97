//! Scores → numbers: per-document metrics, means with standard errors, groups; and what differences of them are worth.
//!
//! Definitions of metrics are those of lm-evaluation-harness 0.4.13; those of statistics are in `docs/statistics.md`.

mod aggregate;
mod average;
mod bootstrap;
mod calibration;
mod choice;
mod classes;
mod document;
mod group;
mod paired;
mod pass_at_k;
mod positions;
mod proportion;
mod written;

pub mod inference;
pub mod similarity;

#[cfg(test)]
mod tests;

pub use aggregate::{Aggregate, Aggregation};
pub use bootstrap::BOOTSTRAP_ITERATIONS;
pub use calibration::{CALIBRATION_BINS, Calibration, CalibrationBin, calibration};
pub use choice::{ChoiceDocument, MULTIPLE_CHOICE_METRICS, multiple_choice};
pub use classes::{Classes, NO_CLASS};
pub use document::{DocValue, Gold, first_highest};
pub use group::combine;
pub use pass_at_k::pass_at_k;
pub use positions::{Homogeneity, Positions};
pub use proportion::wilson;
pub use written::{ExactMatch, WRITTEN_METRICS};
