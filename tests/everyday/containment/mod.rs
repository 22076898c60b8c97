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

/// A sandbox with these limits; `None`, loudly, where there is no Python.
fn open(limits: Limits) -> Option<Sandbox> {
    let interpreter = match Interpreter::find(None) {
        Err(SandboxError::NoInterpreter) => {
            eprintln!("SKIPPED, nothing was contained: there is no python3 on PATH");
            return None;
        }
        found => found.unwrap(),
    };
    let helper = Path::new(env!("CARGO_BIN_EXE_zoo"));
    Some(Sandbox::open(helper, interpreter, limits, &Stop::default()).unwrap())
}

/// With the limits that `zoo` has, and with less of everything that is waited for.
static USUAL: LazyLock<Option<Sandbox>> =
    LazyLock::new(|| open(Limits { seconds: 10.0, ..Limits::default() }));
static SHORT: LazyLock<Option<Sandbox>> = LazyLock::new(|| {
    open(Limits { seconds: 1.0, memory: 256 << 20, processes: 16, output: 1 << 20, ..Limits::default() })
});

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
