//! Errors of fetching, one sentence each: what was wanted, what happened, what to do.
//!
//! Network failures are kept as text and not as causes: a connection that breaks must not look like
//! a closed standard output further up.

use std::path::PathBuf;

use crate::base::yaml::FileError;
use crate::base::zip::ZipError;

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum HubError {
    /// No cache folder.
    #[error("no cache folder: neither ZOO_HOME nor XDG_CACHE_HOME nor HOME is set; set ZOO_HOME to a folder")]
    NoHome,
    /// A setting that cannot be used. The value is not repeated: it may be a secret.
    #[error("{name}: expected {expected}")]
    Setting { name: String, expected: &'static str },
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "create", "write", …
        action: &'static str,
        /// On what.
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Not cached, and the network must not be used.
    #[error("{what} is not in the cache, and --offline, HF_HUB_OFFLINE or config.yaml forbids the network")]
    Offline { what: String },
    /// The other side was not reached, or the connection broke too often.
    #[error(
        "cannot reach {host} for {what}: {message}; check the network, the proxy settings and HF_ENDPOINT"
    )]
    NoNetwork {
        /// Host and port.
        host: String,
        what: String,
        message: String,
    },
    /// The repository is gated: 401 without a token, 403 with one that has no access.
    #[error("{what} is gated: {}", gated_advice(*.has_token, .page))]
    Gated {
        what: String,
        /// Whether a token was sent.
        has_token: bool,
        page: String,
    },
    /// The token is not accepted.
    #[error("the hub does not accept the token (asked for {what}); check HF_TOKEN or the token file")]
    BadToken { what: String },
    /// Repository, revision or file does not exist.
    #[error("{what} was not found: {message}{}", private_advice(*.maybe_private))]
    NotFound {
        what: String,
        message: String,
        /// Whether it may exist for users with a token.
        maybe_private: bool,
    },
    /// Still refused after all attempts.
    #[error("{what}: the server answered {status}{}{}; try again later", times(*.attempts), quoted(.message))]
    Refused {
        what: String,
        status: u16,
        /// How often it was asked.
        attempts: u32,
        message: String,
    },
    /// An answer that makes no sense.
    #[error("{what}: expected {expected}, the server sent {found}")]
    BadAnswer { what: String, expected: String, found: String },
    /// The server lists a file whose name would leave the folder or hide in it.
    #[error("{repo} lists a file named {name:?}, {why}; nothing was fetched")]
    UnsafeName { repo: String, name: String, why: &'static str },
    /// The bytes are not those that were promised.
    #[error("{what}: expected {algorithm} {expected}, found {found}; nothing was kept")]
    Digest {
        what: String,
        /// `SHA-256` or `git SHA-1`.
        algorithm: &'static str,
        expected: String,
        found: String,
    },
    /// A file of the cache is not as it was fetched.
    #[error("{}: {reason}", path.display())]
    Changed { path: PathBuf, reason: String },
    /// There is no room for the files.
    #[error(
        "{needed} bytes are needed at {} and {free} are free; make room or set ZOO_HOME to another disk",
        path.display()
    )]
    NoSpace {
        path: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A repository without the files of a model.
    #[error("{repo} has no files to fetch: expected {expected}, found {found}")]
    NothingToFetch { repo: String, expected: String, found: String },
    /// A data set whose name is none.
    #[error("{repo:?} is no repository name; expected organisation/name")]
    BadRepoName { repo: String },
    /// The card of a data set cannot be read.
    #[error(transparent)]
    Card(#[from] FileError),
    /// The wheel cannot be read.
    #[error("{what}: the wheel cannot be used")]
    Archive {
        /// Package and version.
        what: String,
        #[source]
        source: ZipError,
    },
    /// A source that cannot serve, in a sentence.
    #[error("{0}")]
    NoSource(String),
    /// Every source failed.
    #[error("{model} could not be fetched from any of its sources:{}", listed(.failures))]
    AllFailed {
        model: String,
        /// Each source with its failure.
        failures: Vec<(String, HubError)>,
    },
}

impl HubError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| HubError::Io { action, path, source }
    }

    pub(super) fn bad_answer(what: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        HubError::BadAnswer { what: what.to_owned(), expected: expected.into(), found: found.into() }
    }
}

fn gated_advice(has_token: bool, page: &str) -> String {
    if has_token {
        format!("this token has no access to it; accept the licence at {page} with the account of the token")
    } else {
        format!("accept the licence at {page}, then set HF_TOKEN to a token of that account")
    }
}

fn private_advice(maybe_private: bool) -> &'static str {
    if maybe_private { "; check the name, or set HF_TOKEN if it is private or gated" } else { "" }
}

fn times(attempts: u32) -> String {
    if attempts > 1 { format!(" {attempts} times") } else { String::new() }
}

pub(super) fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn listed(failures: &[(String, HubError)]) -> String {
    let mut text = String::new();
    for (source, failure) in failures {
        text.push_str(&format!("\n  {source}: {failure}"));
        let mut cause = std::error::Error::source(failure);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
    }
    text
}
