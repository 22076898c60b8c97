//! What a run leaves on disk: its description, one line per document, tables.
//!
//! Every file is written to a temporary name beside its place, flushed to the disk and renamed: a file
//! under its own name is complete. The [`ledger`] is the exception: it grows while the work goes on, and says of
//! every line whether it is what was written.

mod answers;
mod file_names;
pub mod ledger;
mod run;
mod sample;
mod server;
mod settings;
mod texts;
mod time;
mod verdicts;

/// The largest ledger and file of samples, answers or verdicts that is read, in bytes.
const MAX_BYTES: u64 = 4 << 30;

pub use answers::{Answer, AnswerFile, AnswersError, read_answers};
pub use file_names::{file_name, harness_file_name, own_file_name};
pub use ledger::{Identity, Ledger, LedgerError, WriteRequest, WrittenText};
pub use run::{
    BuiltRecord, ChatRecord, GradedRecord, MissingData, ModelRecord, ProgramsRecord, RequestRecord,
    RunRecord, SuiteRecord, VerdictCounts,
};
pub use sample::{
    Choice, SampleHeader, SampleLine, read_samples, read_samples_as, read_samples_digested, samples_of,
    write_samples,
};
pub use server::ServerRecord;
pub use settings::{
    Differing, ModelSettings, RecordedOptions, RunSettings, SHARD, TaskSettings, option_differences, shard_of,
};
pub use texts::{TEXTS_FOLDER, TextLine, TextLines, Way, read_texts, texts_path, write_texts};
pub use time::Timestamp;
pub use verdicts::VerdictLedger;
