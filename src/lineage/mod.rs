//! How one form of a model becomes another: names, row orders, and what a derivative adds to its base.

pub mod gguf;

pub use gguf::GgufAsHf;
