//! Errors of servers, one sentence each.

/// Why a server cannot be asked, or what is wrong with its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum RemoteError {
    /// Not an address.
    #[error(
        "expected remote:URL[,URL…][#MODEL] with http:// or https:// addresses without a query, found {found}"
    )]
    Address { found: String },
    /// A setting that cannot be used.
    #[error("{name}: {reason}")]
    Setting { name: String, reason: String },
    /// The other side was not reached, or the connection broke too often.
    #[error(
        "{host}: {message}, {attempts} times in a row; see whether the server runs and can be reached from here"
    )]
    Unreachable { host: String, attempts: u32, message: String },
    /// A request that is refused and would be again.
    #[error("{host} answered {status}: {message}")]
    Refused { host: String, status: u16, message: String },
    /// A request that was refused too often, although that may pass.
    #[error("{host} still answered {status} after {attempts} attempts: {message}")]
    Overloaded { host: String, status: u16, attempts: u32, message: String },
    /// The server sends whoever asks elsewhere.
    #[error(
        "{host} sends to {to}, and no key and no prompt goes where nobody named it; name that address if it is yours"
    )]
    Elsewhere { host: String, to: String },
    /// The answer is not what was asked for.
    #[error("{host}: expected {expected}, found {found}")]
    Answer { host: String, expected: String, found: String },
    /// In the midst of the work somebody else answers.
    #[error(
        "{host}: the server is another one now: its answers say {what} {now:?} and said {before:?} before; see what serves \
         there, and begin anew with that"
    )]
    Another { host: String, what: &'static str, before: String, now: String },
    /// The server cannot do what is needed.
    #[error("{host} cannot be asked this: {reason}")]
    Unable { host: String, reason: String },
}

impl RemoteError {
    /// Whether it is about one request alone, and others may be answered: whatever a server says of what it was sent, but
    /// not that it is gone, does not know the one who asks, or lacks the model or the interface.
    pub fn is_of_request(&self) -> bool {
        match self {
            Self::Refused { status, .. } => !matches!(status, 401 | 403 | 404 | 405),
            Self::Answer { .. } => true,
            _ => false,
        }
    }
}
