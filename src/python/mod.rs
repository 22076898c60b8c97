//! What of Python the world's task files, chat templates and result files rely on, to the last byte.
//!
//! Printing ([`repr`], [`json`]), white space and methods of text ([`text`]), literals read back
//! ([`literal`]), regular expressions ([`regex`]), `random` ([`random`]) and Jinja ([`jinja`]).

pub mod jinja;
pub mod json;
pub mod literal;
pub mod random;
pub mod regex;
pub mod repr;
pub mod text;
