//! Answers for people and programs: one table that every form draws, pictures, and the row that results are made of.

mod answering;
mod beside;
mod calibrated;
mod comparison;
mod differences;
pub mod figure;
mod format;
pub mod html;
pub mod numbers;
mod pictures;
mod results;
mod row;
mod sample;
mod source;
mod steps;
pub mod table;
mod wide;
pub mod words;

pub use answering::Answering;
pub use beside::{Beside, Verdict, beside};
pub use calibrated::{CALIBRATED, Calibrated, calibrated};
pub use comparison::{
    Look, comparison_csv, comparison_markdown, details_markdown, is_share_metric, joint_latex,
    joint_markdown, terminal_table,
};
pub use differences::{DIFFERENCES, Difference, adjust, differences, fold_differences, mark_best};
pub use format::Format;
pub use pictures::{Cost, Picture, Subject, pictures};
pub use results::{joint_results, read_results, results};
pub use row::{Row, TaskKind};
pub use sample::{Sample, SampleChoice, samples_table};
pub use source::{Source, sources};
pub use steps::{Step, StepOf, steps};
pub use table::{Table, message_width, terminal_width};
