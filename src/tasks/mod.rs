//! Suites and model prompts as data: task files, documents, few-shot examples, requests as text.
//!
//! The way through this room: [`Index`] finds a suite by name, [`DataStore`] finds its documents, and
//! [`prepare()`] turns both into [`PreparedTask`]: for every document the texts whose log-probabilities a
//! model is asked for. Prompts equal those of lm-evaluation-harness 0.4.13 byte by byte.

pub mod chat;
mod choose;
mod conversation;
pub mod data;
pub mod document;
pub mod embedded;
pub mod error;
pub mod fewshot;
mod fields;
pub mod filters;
mod folder;
pub mod index;
mod known;
pub mod native;
mod part;
pub mod parts;
pub mod pipeline;
pub mod prepare;
mod prompt;
pub mod protocol;
mod request;
pub mod rotate;
pub mod schema;
pub mod suite;

mod build;
mod discover;
mod gold;
mod splits;
mod turns;

pub use chat::{Chat, ChatSegments};
pub use conversation::Conversation;
pub use data::{DataStore, DatasetRef, download_bytes};
pub use discover::read_text;
pub use error::TaskError;
pub use index::Index;
pub use known::{KnownDataset, known_dataset};
pub use part::{Limit, MAX_SHARDS, Shard};
pub use prepare::{
    DEFAULT_FEWSHOT_SEED, Outline, PrepareOptions, PreparedDoc, PreparedTask, outline, prepare,
};
pub use request::TextRequest;
pub use schema::{AnswerForm, Generation, GroupMetric, Judged, MetricSpec, OutputType, TaskConfig};
pub use suite::{Group, Suite, Task};
