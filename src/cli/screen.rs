//! The two streams of the program. Results in a pipe or a file are every text as it is; a terminal gets what it can show of it,
//! since names, answers and messages may come from anywhere ([`printable`]). So does whoever reads messages, since there is often a
//! terminal at the end of a pipe.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::base::printable::{WHOLE, printable};

/// Characters of a line for a person, at most: an error may repeat what it was given.
const LINE: usize = 1 << 16;

/// A text as `stream` may have it.
fn shown<'t>(text: &'t str, stream: &impl IsTerminal) -> Cow<'t, str> {
    if stream.is_terminal() { printable(text, WHOLE) } else { Cow::Borrowed(text) }
}

/// Writes to standard output.
///
/// # Errors
/// Nobody reads any more, or the disk is full.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(shown(text, &out).as_bytes())?;
    out.flush()
}

/// Writes to standard output what a terminal is to obey.
///
/// # Errors
/// As [`print`].
pub fn print_as_it_is(sequence: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(sequence.as_bytes())?;
    out.flush()
}

/// Writes a line to standard error. What cannot be said is not.
pub fn say(line: &str) {
    let mut err = io::stderr().lock();
    // A bar may stand in the line.
    let clear = if err.is_terminal() { "\r\u{1b}[K" } else { "" };
    let _ = writeln!(err, "{clear}{}", printable(line, LINE));
}

/// Ends the program as clap does where it cannot read the command line, or was asked for help.
pub fn leave(error: &clap::Error) -> ! {
    // It repeats what was typed, and styles what it says: where one could be taken for the other there is no style.
    let is_harmless =
        |word: std::ffi::OsString| matches!(printable(&word.to_string_lossy(), WHOLE), Cow::Borrowed(_));
    if std::env::args_os().all(is_harmless) {
        error.exit();
    }
    say(error.render().to_string().trim_end());
    std::process::exit(error.exit_code())
}
