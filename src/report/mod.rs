//! Answers for people and programs: one table that every form draws, pictures, and the row that results are made of.

mod comparison;
pub mod figure;
mod format;
pub mod numbers;
mod results;
mod row;
pub mod table;
mod wide;
pub mod words;

pub use comparison::{comparison_csv, comparison_markdown, details_markdown, terminal_table};
pub use format::Format;
pub use results::{read_results, results};
pub use row::{Row, TaskKind};
pub use table::{Table, message_width, terminal_width};
