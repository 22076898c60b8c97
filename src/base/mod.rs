//! The ground floor: tools that know nothing of models and that every room may use.

pub mod address_space;
pub mod atomic;
pub mod digest;
pub mod embedded;
pub mod fault;
pub mod glob;
pub mod http;
pub mod journal;
pub mod machine;
pub mod names;
pub mod own;
pub mod printable;
pub mod progress;
pub mod recognise;
pub mod shell;
pub mod stop;
pub mod waiting;
pub mod whole;
pub mod yaml;
mod yaml_depth;
pub mod zip;
