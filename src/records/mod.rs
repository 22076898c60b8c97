//! What a run leaves on disk: its description, one line per document, tables.
//!
//! Every file is written to a temporary name beside its place, flushed to the disk and renamed: a file
//! under its own name is complete.

mod atomic;
mod run;
mod sample;
mod time;

pub use atomic::{AtomicFile, write_atomically};
pub use run::{ModelRecord, RunRecord, SuiteRecord, TokenRecord, file_name};
pub use sample::{ChoiceLine, Header, SampleLine, write_samples};
pub use time::Timestamp;
