//! What a difference of two models over the same documents is worth: tests, intervals, and what could have been found.
//!
//! Every function is of numbers alone and gives the same digits on any machine and any number of threads: what draws at
//! random has a fixed seed. `docs/statistics.md` has the formulas with their sources in one place.

mod clusters;
mod contrast;
mod detectable;
mod holm;
mod mcnemar;
mod permutation;
mod resampling;
mod shares;
mod special;
mod student;

#[cfg(test)]
mod tests;

pub use clusters::Clusters;
pub use contrast::{Contrast, Part, Test, contrast, contrast_of_group};
pub use detectable::detectable;
pub use holm::holm;
pub use mcnemar::{Disagreement, mcnemar};
pub use permutation::{Permutation, sign_flips, swaps};
pub use resampling::{REPLICATES, percentile_interval};
pub use shares::interval_of_paired_shares;
pub(super) use special::{NORMAL_975, chi_square_tail};
pub use student::interval_of_mean;
