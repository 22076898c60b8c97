//! What computes tiles.

/// What computes tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Unit {
    /// The processor.
    Hardware,
    /// Plain Rust.
    Software,
}
