//! Programs that models wrote, run where they can do no harm, and what became of them.
//!
//! A [`Sandbox`] is Linux's own means and nothing else: namespaces (user, mount, process, network, IPC, host name, cgroup), a root
//! of its own, no capabilities, a list of the system calls there are (seccomp), resource limits, and a supervisor that counts memory,
//! processes, output and time. It needs no installed tool. [`Sandbox::open`] proves that it holds on this machine, and without that
//! proof nothing is run: there is no way around it.
//!
//! Each program costs two processes of this binary besides its interpreter, since system calls that only touch the calling process
//! need neither `fork` nor `unsafe`:
//!
//! ```text
//! zoo ──► zoo __sandbox ─────────► zoo __sandbox inside ───────────────────► python3
//!         new namespaces           process 1 of them: mounts, privileges,    the driver, then the program
//!                                  limits, system calls; supervises
//! ```
//!
//! When process 1 has its verdict it ends, and the kernel ends everything that is left in its namespaces with it.

mod error;
mod interpreter;
mod limits;
mod proof;
mod runner;
mod verdict;
mod wire;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod linux;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod linux {
    //! Other systems have no such means.

    /// Enters no namespaces.
    pub fn enter() -> Result<(), String> {
        Err("expected Linux on x86_64 or aarch64, whose namespaces contain programs".to_owned())
    }

    /// Supervises nothing.
    pub fn supervise() -> Result<(), String> {
        enter()
    }
}

use std::ffi::OsString;
use std::process::ExitCode;

pub use error::SandboxError;
pub use interpreter::Interpreter;
pub use limits::Limits;
pub use runner::Sandbox;
pub use verdict::{Counts, Exceeded, Verdict};

use wire::{HELPER, INSIDE, Reply};

/// This program as a helper, also where its file was replaced since it was started.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Does the work of a helper process, if these are a helper's arguments. To be called before anything starts a thread: a
/// process of several threads cannot enter a user namespace.
pub fn helper(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    args.next().filter(|verb| verb == HELPER)?;
    let done =
        if args.next().is_some_and(|stage| stage == INSIDE) { linux::supervise() } else { linux::enter() };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            Reply::Broken(reason).say();
            ExitCode::FAILURE
        }
    })
}
