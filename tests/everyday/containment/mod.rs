//! Programs that models wrote, in the sandbox: what passes, and what does not get out.
#![cfg(target_os = "linux")]

mod escapes;
mod exhaustion;
mod tasks;
mod verdicts;

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use zoo::base::stop::Stop;
use zoo::sandbox::{Interpreter, Limits, Sandbox, SandboxError, Verdict};

/// However a program ends, it does so within this, on a machine that runs other tests too.
const BOUND: Duration = Duration::from_secs(40);

/// Where it is set, a machine on which there can be no sandbox fails the tests.
const REQUIRED: &str = "ZOO_REQUIRE_SANDBOX";

/// A sandbox with these limits; `None`, loudly, where the machine allows none or has no Python for it.
fn open(limits: Limits) -> Option<Sandbox> {
    let helper = Path::new(env!("CARGO_BIN_EXE_zoo"));
    let opened = Interpreter::find(None)
        .and_then(|interpreter| Sandbox::open(helper, interpreter, limits, &Stop::default()));
    match opened {
        Err(
            error @ (SandboxError::NoInterpreter
            | SandboxError::Interpreter { .. }
            | SandboxError::Unavailable { .. }),
        ) => {
            assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and {error}");
            eprintln!("SKIPPED, nothing was contained ({REQUIRED}=1 makes it an error): {error}");
            None
        }
        opened => Some(opened.unwrap()),
    }
}

/// With the limits that `zoo` has and more time; with little of everything but time; and with little of everything, for programs
/// that are to run out of time.
static USUAL: LazyLock<Option<Sandbox>> =
    LazyLock::new(|| open(Limits { seconds: 10.0, ..Limits::default() }));
static TIGHT: LazyLock<Option<Sandbox>> = LazyLock::new(|| open(Limits { seconds: 10.0, ..tight() }));
static SHORT: LazyLock<Option<Sandbox>> = LazyLock::new(|| open(Limits { seconds: 1.0, ..tight() }));

fn tight() -> Limits {
    Limits { memory: 256 << 20, processes: 16, output: 1 << 20, ..Limits::default() }
}

fn timed(sandbox: &Sandbox, program: &str) -> Verdict {
    let begun = Instant::now();
    let verdict = sandbox.run(program, &Stop::default()).unwrap();
    assert!(begun.elapsed() < BOUND, "{:?}: {program}", begun.elapsed());
    verdict
}

/// A program, and what may become of it.
type Expected<'p> = (&'p str, fn(&Verdict) -> bool);

/// What becomes of programs with the usual limits.
fn check(programs: &[Expected<'_>]) {
    check_in(&USUAL, programs);
}

fn check_in(sandbox: &Option<Sandbox>, programs: &[Expected<'_>]) {
    let Some(sandbox) = sandbox else { return };
    for (program, expected) in programs {
        let verdict = timed(sandbox, program);
        assert!(expected(&verdict), "{verdict}: {program}");
    }
}

fn passed(verdict: &Verdict) -> bool {
    verdict.is_passed()
}

fn failed(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failed { .. })
}

fn timed_out(verdict: &Verdict) -> bool {
    *verdict == Verdict::TimedOut
}

fn not_passed(verdict: &Verdict) -> bool {
    !verdict.is_passed()
}
