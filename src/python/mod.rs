//! What of Python the world's task files, chat templates and result files rely on, to the last byte.
//!
//! Printing ([`print`]), methods of text ([`text`]), literals read back ([`literal`]), regular expressions
//! ([`regex`]), `random` ([`random`]) and Jinja ([`jinja`]). Python's own answers are recorded in
//! `tests/fixtures/python`, made by the `make.py` there.

pub mod jinja;
pub mod literal;
pub mod print;
pub mod random;
pub mod regex;
pub mod text;

mod methods;

#[cfg(test)]
mod tests;
