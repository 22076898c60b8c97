//! OpenAI-style servers that run a model: what they are asked in tokens, and what they answer.
//!
//! vLLM, llama-server and their relatives answer the same token requests as the [`engine`](crate::engine) of this machine: how likely
//! a continuation is after a context, and what comes after a prompt. A [`Server`] is found by its [`Address`], [probed](Server::probe)
//! before the work, and asked from a [`Pool`] of as many requests at a time as it takes. Nothing here knows benchmarks.
//!
//! With the [`hub`](crate::hub) the only room with network. What servers can do and what zoo sends is written in `docs/servers.md`.

mod access;
mod address;
mod ask;
mod client;
mod completion;
mod error;
mod found;
mod identity;
mod job;
mod pace;
mod pool;
mod probe;
mod queue;
mod reading;
mod score;
mod server;
mod template;
mod write;

pub use access::Access;
pub use address::Address;
pub use client::Client;
pub use error::RemoteError;
pub use found::{Found, Kind, Scoring, Tokens};
pub use job::{Job, jobs};
pub use pool::{Ended, Pool};
pub use reading::readings;
pub use server::{Server, Wanted};
pub use write::{Continuation, WriteJob};
