//! One row model, many exporters: CSV (long and wide), Markdown, the terminal, JSON.

mod csv;
pub mod figure;
mod json;
mod markdown;
mod row;
mod style;
mod terminal;
mod wide;

pub use csv::{comparison_csv, read_results, results_csv};
pub use json::rows_json;
pub use markdown::comparison_markdown;
pub use row::{Row, TaskKind};
pub use style::{plain_table, render, terminal_width};
pub use terminal::terminal_table;
pub use wide::{Wide, WideRow};
