//! `zoo` knows the LLaMA family as data, rebuilds any member from the form in which it was released,
//! runs it on a CPU over `ndarray`, measures it on the benchmarks of the papers and prints comparison
//! tables.
//!
//! Data goes one way, and nothing on the right is imported by anything on its left:
//!
//! ```text
//! registry ─► hub ─► weights ─► config ─► forms ─► model ──┐
//!                                                   ├─► engine ─► records ─► metrics ─► report ─► cli
//! tasks (prompts) ─► requests (tokens) ────────────┘
//! ```

pub mod base;
pub mod bench;
pub mod cli;
pub mod compare;
pub mod config;
pub mod engine;
pub mod evaluate;
pub mod finished;
pub mod forms;
pub mod fuzzing;
pub mod hub;
pub mod kernels;
pub mod metrics;
pub mod model;
pub mod prompts;
pub mod python;
pub mod rebuild;
pub mod records;
pub mod registry;
pub mod remote;
pub mod report;
mod run;
pub mod sandbox;
pub mod store;
pub mod tasks;
pub mod tokenizer;
pub mod verify;
pub mod weights;
