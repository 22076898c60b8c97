//! A run: who is asked what, in which ways, and where it lands on the disk.

pub(crate) mod again;
pub(crate) mod against;
pub(crate) mod answers;
pub(crate) mod asked;
mod chat;
pub(crate) mod complete;
pub(crate) mod dry_run;
mod files;
pub(crate) mod folder;
mod harness;
mod join;
pub(crate) mod output;
pub(crate) mod subject;
mod submission;
pub(crate) mod variants;
