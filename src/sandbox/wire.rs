//! What the processes of a sandbox say to each other: a job in a line of JSON, and a reply in another.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "elsewhere nobody reads a job"))]

use std::io::{self, BufRead, Write as _};

use serde::{Deserialize, Serialize};

use super::{Interpreter, Limits, Verdict};

/// The hidden verb of the helper process.
pub(super) const HELPER: &str = "__sandbox";
/// Its argument inside of the namespaces.
pub(super) const INSIDE: &str = "inside";
/// Characters of a token.
pub(super) const TOKEN: usize = 32;

/// A program to be run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub program: String,
    /// What the driver says at the end of a program that came there; [`TOKEN`] characters.
    pub token: String,
    pub interpreter: Interpreter,
    pub limits: Limits,
}

/// What became of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Done(Verdict),
    /// The sandbox could not be made, or the interpreter did not come to run the program; in words.
    Broken(String),
}

impl Job {
    /// Reads one line and nothing after it.
    pub fn read(mut from: impl BufRead) -> Result<Self, String> {
        let mut line = String::new();
        from.read_line(&mut line).map_err(|error| format!("the job cannot be read: {error}"))?;
        serde_json::from_str(&line).map_err(|error| format!("the job cannot be read: {error}"))
    }

    /// One line.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("texts and numbers are JSON");
        line.push(b'\n');
        line
    }
}

impl Reply {
    /// Says it on standard output. Whoever does not listen any more does not want to know.
    pub fn say(&self) {
        let mut line = serde_json::to_vec(self).expect("texts and numbers are JSON");
        line.push(b'\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }

    /// The first line of what was said; `None` where no whole one is.
    pub fn first(said: &[u8]) -> Option<Self> {
        let end = said.iter().position(|byte| *byte == b'\n')?;
        serde_json::from_slice(&said[..end]).ok()
    }
}
