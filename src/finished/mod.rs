//! Runs that are finished, read back: their description, rows and samples; and results files of the reference harness, as rows.
//!
//! What was read is joined ([`join`]) into one list of rows, whose columns are models as they were asked. Samples are read a task
//! at a time, when somebody wants them.

mod answers;
mod contrast;
mod error;
mod find;
mod harness;
mod join;
mod list;
mod place;
mod published;
mod questions;
mod record;
mod run;
mod samples;
mod scores;
mod sources;
mod steps;

pub use contrast::{Comparison, Pairs};
pub use error::FinishedError;
pub use find::{find_runs, has_run_file, runs_below};
pub use harness::{HarnessFile, is_harness_file};
pub use join::{Column, Joined, join};
pub use list::{Listed, list_runs};
pub use place::{add_facts, place_rows};
pub use published::{is_as_published, published};
pub use questions::{Found, Wanted, questions};
pub use record::{MAX_RUN_BYTES, PARTIAL_FILE, RUN_FILE, read_record, read_record_file, read_rows};
pub use run::{About, Run};
pub use samples::texts;
pub use sources::sources;
pub use steps::{measured_steps, published_steps};
