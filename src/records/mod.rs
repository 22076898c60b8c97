//! What a run leaves on disk: its description, one line per document, tables.
//!
//! Every file is written to a temporary name beside its place, flushed to the disk and renamed: a file
//! under its own name is complete.

mod run;
mod sample;
mod time;

pub use run::{ChatRecord, ModelRecord, RunRecord, SuiteRecord, TokenRecord, file_name};
pub use sample::{ChoiceLine, Header, SampleLine, write_samples};
pub use time::Timestamp;

pub use crate::atomic::{AtomicFile, write_atomically};
