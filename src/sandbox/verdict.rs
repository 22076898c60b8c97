//! What became of a program.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of a program that was run with its tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It ran to its end, tests included.
    Passed,
    /// It ended before.
    Failed {
        /// The last line of the error.
        error: String,
    },
    /// It took longer than it may.
    TimedOut,
    /// It was ended by force.
    Killed {
        /// What it took too much of, if that is known.
        exceeded: Exceeded,
    },
}

/// Why a program was ended by force: what it took too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exceeded {
    /// Memory of all its processes.
    Memory,
    /// Processes and threads.
    Processes,
    /// Bytes printed.
    Output,
    /// Nobody knows: it was ended by SIGKILL and not by us. The kernel does that where the machine is short of memory, and a
    /// program may do it to itself.
    Unknown,
}

impl Verdict {
    /// Whether the program does what it should.
    pub fn is_passed(&self) -> bool {
        *self == Self::Passed
    }

    /// Whether the program and its limits decided it, and not how busy the machine was.
    pub fn is_decided(&self) -> bool {
        !matches!(self, Self::TimedOut | Self::Killed { exceeded: Exceeded::Unknown })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed { error } => write!(f, "failed: {error}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Killed { exceeded } => f.write_str(match exceeded {
                Exceeded::Memory => "killed: too much memory",
                Exceeded::Processes => "killed: too many processes",
                Exceeded::Output => "killed: too much output",
                Exceeded::Unknown => "killed: by itself, or because the machine is short of memory",
            }),
        }
    }
}

/// Programs by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// See [`Verdict::Passed`].
    pub passed: usize,
    /// See [`Verdict::Failed`].
    pub failed: usize,
    /// See [`Verdict::TimedOut`].
    pub timed_out: usize,
    /// See [`Verdict::Killed`].
    pub killed: usize,
}

impl Counts {
    /// Of these.
    pub fn of<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            *match verdict {
                Verdict::Passed => &mut counts.passed,
                Verdict::Failed { .. } => &mut counts.failed,
                Verdict::TimedOut => &mut counts.timed_out,
                Verdict::Killed { .. } => &mut counts.killed,
            } += 1;
        }
        counts
    }

    /// All of them.
    pub fn all(self) -> usize {
        self.passed + self.failed + self.timed_out + self.killed
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, timed_out, killed } = self;
        write!(f, "{passed} passed, {failed} failed, {timed_out} timed out, {killed} killed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_may_have_decided_is_not() {
        let killed = |exceeded| Verdict::Killed { exceeded };
        for undecided in [Verdict::TimedOut, killed(Exceeded::Unknown)] {
            assert!(!undecided.is_decided() && !undecided.is_passed(), "{undecided}");
        }
        let failed = Verdict::Failed { error: String::new() };
        for decided in [Verdict::Passed, failed, killed(Exceeded::Memory), killed(Exceeded::Processes)] {
            assert!(decided.is_decided(), "{decided}");
        }
    }

    #[test]
    fn verdicts_are_counted_printed_and_read_back() {
        let verdicts = [
            (Verdict::Passed, r#"{"verdict":"passed"}"#, "passed"),
            (
                Verdict::Failed { error: "AssertionError".into() },
                r#"{"verdict":"failed","error":"AssertionError"}"#,
                "failed: AssertionError",
            ),
            (Verdict::TimedOut, r#"{"verdict":"timed_out"}"#, "timed out"),
            (
                Verdict::Killed { exceeded: Exceeded::Output },
                r#"{"verdict":"killed","exceeded":"output"}"#,
                "killed: too much output",
            ),
        ];
        for (verdict, json, text) in &verdicts {
            assert_eq!(serde_json::to_string(verdict).unwrap(), *json);
            assert_eq!(serde_json::from_str::<Verdict>(json).unwrap(), *verdict);
            assert_eq!(verdict.to_string(), *text);
        }
        let counts = Counts::of(verdicts.iter().map(|(verdict, ..)| verdict).chain([&Verdict::Passed]));
        assert_eq!((counts.all(), counts.passed), (5, 2));
        assert_eq!(counts.to_string(), "2 passed, 1 failed, 1 timed out, 1 killed");
    }
}
