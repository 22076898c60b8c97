//! Room for a program whose address space is limited.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Resource, getrlimit};

/// The variable by which OpenBLAS is told how many threads to start.
const BLAS_THREADS: &str = "OPENBLAS_NUM_THREADS";

/// Begins the program anew, with one thread of OpenBLAS, where the address space is limited (`ulimit -v`), as batch systems do.
///
/// Before `main` that library starts a thread for each core; where these find no room for their buffers, they look for it without
/// end, and keep the program from ending. Nothing in the program can come before the library, and whatever replaces the program ends
/// its threads. Whoever sets the variable keeps what it says.
pub fn spare() {
    let is_limited = cfg!(feature = "openblas") && getrlimit(Resource::As).current.is_some();
    if !is_limited || env::var_os(BLAS_THREADS).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut words = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = words.next() {
        again.arg0(name);
    }
    // It comes back only where there is no such program any more; then this one goes on as it is.
    let _ = again.args(words).env(BLAS_THREADS, "1").exec();
}
