//! What of Python the world's task files, chat templates and result files rely on, to the last byte.
//!
//! Printing ([`mod@print`]), methods of text ([`text`]), literals read back ([`literal`]), regular expressions
//! ([`regex`]), `random` ([`random`]) and Jinja ([`jinja`]). Python's own answers are recorded in
//! `tests/fixtures/python`, made by the `make.py` there.

pub mod jinja;
pub mod literal;
pub mod print;
pub mod random;
pub mod regex;
pub mod text;

/// The place in a sequence of `length` that Python's index means; a negative one counts from the end.
pub fn place(index: i64, length: usize) -> Option<usize> {
    let at = match usize::try_from(index.unsigned_abs()).ok()? {
        back if index < 0 => length.checked_sub(back)?,
        at => at,
    };
    (at < length).then_some(at)
}

#[cfg(test)]
mod tests;
