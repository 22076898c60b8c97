//! How long work tells a person how far it is, without knowing how that is shown.

/// What the numbers of a progress report count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of a transfer.
    Bytes,
    /// Tokens computed.
    Tokens,
    /// Anything else, by count.
    Items,
}

/// A listener for one piece of long work at a time.
pub trait Progress: Sync {
    /// Work called `what` begins; `total` is its size if known.
    fn begin(&self, what: &str, total: Option<u64>, unit: Unit);
    /// `n` more units are done.
    fn advance(&self, n: u64);
    /// The work has ended, well or not.
    fn end(&self);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: Option<u64>, _: Unit) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}
