//! How served models are asked.

use std::path::PathBuf;

use super::at_least_one;
use crate::run::{Options, Serving};

/// More requests at a time than any server takes.
const MOST_AT_ONCE: usize = 4096;

/// How served models are asked.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServingFlags {
    /// The tokenizer of a model that is served (remote:URL): a name of the registry, org/name of the hub, a folder or a .gguf
    /// file. The server has to make the same tokens
    #[arg(long, value_name = "MODEL")]
    pub tokenizer: Option<String>,
    /// Requests to servers at a time; 1 for numbers that can be repeated where they depend on what else is asked [default: as
    /// many as bring more]
    #[arg(long, alias = "num_concurrent", value_name = "N", value_parser = at_once)]
    pub concurrency: Option<usize>,
    /// What the server was started with, for tables and records: float32, bfloat16, fp8
    #[arg(long, value_name = "NAME")]
    pub dtype: Option<String>,
    /// Certificates (PEM) that are trusted beside the system's, for servers with one of their own
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl ServingFlags {
    /// The options of a run with these.
    pub fn in_options(&self, options: Options) -> Options {
        let Self { tokenizer, concurrency, dtype, ca_file } = self.clone();
        Options { serving: Serving { tokenizer, concurrency, dtype, ca_file }, ..options }
    }
}

fn at_once(text: &str) -> Result<usize, String> {
    match at_least_one(text)? {
        n if n <= MOST_AT_ONCE => Ok(n),
        _ => Err(format!("expected at most {MOST_AT_ONCE} requests at a time")),
    }
}
