//! Exit codes, a closed pipe that is no error, and a run that was stopped.

use std::io::ErrorKind;
use std::process::ExitCode;

use super::screen;
use crate::run::RunError;

/// A mistake in what the user asked for, not in the work: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The exit code of a run that somebody stopped, as shells have it for Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// What a run that was stopped has to say.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {0}")]
pub struct Interrupted(pub String);

/// Prints an error with all its causes on stderr and picks the exit code.
pub fn code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        screen::say(&interrupted.to_string());
        return ExitCode::from(INTERRUPTED);
    }
    say(&error);
    if is_usage(&error) { ExitCode::from(2) } else { ExitCode::from(1) }
}

/// Prints an error with all its causes on stderr.
pub fn say(error: &anyhow::Error) {
    screen::say(&format!("error: {}", text(error)));
}

fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Usage>() || matches!(cause.downcast_ref(), Some(RunError::Usage(_))))
}

/// An error of the command line as one of a run, in whose midst it happens.
pub fn run_error(error: anyhow::Error) -> RunError {
    if is_usage(&error) { RunError::Usage(text(&error)) } else { RunError::Room(error.into()) }
}

/// The error and its causes in one line. What an error says of its cause already is not said twice.
fn text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let io = || io::Error::from(ErrorKind::NotFound);
        let error = crate::forms::FormError::Io { file: "a".into(), action: "read", source: io() };
        let said = text(&anyhow::Error::from(error));
        assert_eq!(said, format!("a: cannot read: {}", io()));
        let error = Err::<(), _>(io()).context("no card").context("no model").unwrap_err();
        assert_eq!(text(&error), format!("no model: no card: {}", io()));
    }
}
