//! Fetching models and data sets.

mod http;
#[cfg(unix)]
mod pip;
mod slow;
