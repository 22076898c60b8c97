//! A comparison as one HTML file that needs nothing else: tables, figures, and the documents behind them.
//!
//! The file works from the disk, in light and dark, by keyboard and on paper, and asks for nothing: its policy (CSP) names the one
//! style and the one script that are in it, by their digests. All other text goes through the template's escaping or, for the
//! script, into blocks of data that no browser runs. Texts of documents are packed, a block for each task, and unpacked by the
//! browser when somebody looks; for filters there is a byte for each model and document.

mod documents;
mod encode;
mod page;
mod samples;
mod table;
mod tasks;
mod write;

pub use documents::{ColumnSamples, task_samples};
pub use page::{
    Fact, Mark, Page, PageCell, PageColumn, PageFigure, PageLine, PagePart, PageSection, PageTask,
};
pub use samples::{PageAnswer, PageDocument, PageOrder, TaskSamples, Verdict};
pub use table::{Around, legend, lines};
pub use tasks::{Tasks, tasks};
pub use write::{Blocks, write};
