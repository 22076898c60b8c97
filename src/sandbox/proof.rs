//! The proof that a sandbox holds on this machine: a program tries to get out before any other program is run.
//!
//! It finds a secret, listeners and a folder outside prepared for it, so that what does not succeed was kept from it and was not
//! merely missing.

use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{SandboxError, Verdict};

const SECRET: &str = "zoo's canary";

/// What is tried; `AT` is an object that says where things are. Every way out that works is named.
const ATTEMPTS: &str = r#"
import os, posix, socket
leaks = []

def attempt(what, action):
    try:
        action()
    except OSError:
        return
    leaks.append(what)

def connect(family, kind, address):
    with socket.socket(family, kind) as one:
        one.settimeout(1)
        one.connect(address)
        one.send(b"x")

attempt("a file outside can be read", lambda: open(AT["secret"]).read())
attempt("a folder outside can be written to", lambda: open(AT["folder"] + "/escaped", "w").close())
for folder in ("/", "/usr", "/dev", "/etc"):
    attempt(folder + " can be written to", lambda: open(folder + "/zoo-escaped", "w").close())
attempt("TCP to this machine", lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", AT["port"])))
attempt("UDP", lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 9)))
attempt("a socket in a folder outside", lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, AT["socket"]))
attempt("other processes are seen", lambda: os.listdir("/proc"))
attempt("root's id can be taken", lambda: posix.setuid(0))
extra = set(os.environ) - {"PATH", "HOME", "LANG", "LC_CTYPE", "PYTHONHASHSEED", "OMP_NUM_THREADS"}
if extra:
    leaks.append("variables of the environment: " + ", ".join(sorted(extra)))
if posix.getuid() == 0:
    leaks.append("the program is root")
with open("own", "w") as file:
    file.write("x" * 10000)
assert os.path.getsize("own") == 10000
assert not leaks, "; ".join(leaks)
"#;

/// Tries to get out of the sandbox in which `run` runs a program.
///
/// # Errors
/// A sandbox that cannot be made, and one that does not hold.
pub(super) fn prove(run: &dyn Fn(&str) -> Result<Verdict, SandboxError>) -> Result<(), SandboxError> {
    let run = |program: &str| match run(program) {
        Err(SandboxError::Failed(reason)) => Err(SandboxError::unavailable(reason)),
        // Nothing is known of the sandbox then, for good or bad.
        Ok(verdict) if !verdict.is_decided() => Err(SandboxError::too_slow(&verdict)),
        other => other,
    };
    // What must not pass, first: it says whether there is a sandbox at all.
    for (program, what) in [
        ("assert 1 + 1 == 3", "an assertion that is wrong"),
        ("import os\nos._exit(0)", "a program that ends before its tests"),
    ] {
        match run(program)? {
            Verdict::Failed { .. } => {}
            other => return Err(SandboxError::Leaks(format!("{what} was expected to fail, and {other}"))),
        }
    }
    let canary = Canary::new().map_err(|error| {
        SandboxError::unavailable(format!(
            "a secret for it to keep cannot be made in {}: {error}",
            env::temp_dir().display()
        ))
    })?;
    let verdict = run(&canary.program())?;
    if verdict != Verdict::Passed {
        return Err(SandboxError::Leaks(verdict.to_string()));
    }
    canary.is_untouched().map_err(SandboxError::Leaks)
}

/// What is outside, for a program to reach.
struct Canary {
    folder: PathBuf,
    tcp: TcpListener,
    unix: UnixListener,
}

impl Canary {
    fn new() -> io::Result<Self> {
        let number = (0..).map(|n| env::temp_dir().join(format!("zoo-canary-{}-{n}", std::process::id())));
        let free = |folder: &PathBuf| match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
            made => Some(made.map(|()| folder.clone())),
        };
        let folder =
            number.into_iter().find_map(|folder| free(&folder)).expect("there is always one more number")?;
        let made = Self::in_folder(&folder);
        if made.is_err() {
            let _ = fs::remove_dir_all(&folder);
        }
        made
    }

    fn in_folder(folder: &Path) -> io::Result<Self> {
        // Whoever the program is, nothing but the sandbox keeps it from these.
        fs::set_permissions(folder, Permissions::from_mode(0o777))?;
        fs::write(folder.join("secret"), SECRET)?;
        let tcp = TcpListener::bind(("127.0.0.1", 0))?;
        let unix = UnixListener::bind(folder.join("socket"))?;
        tcp.set_nonblocking(true)?;
        unix.set_nonblocking(true)?;
        Ok(Self { folder: folder.to_owned(), tcp, unix })
    }

    fn program(&self) -> String {
        let at = json!({
            "folder": self.folder,
            "secret": self.folder.join("secret"),
            "socket": self.folder.join("socket"),
            "port": self.tcp.local_addr().map_or(0, |address| address.port()),
        });
        // An object of JSON with texts and numbers alone is a literal of Python.
        format!("AT = {at}\n{ATTEMPTS}")
    }

    /// What reached it, in words.
    fn is_untouched(&self) -> Result<(), String> {
        if self.tcp.accept().is_ok() || self.unix.accept().is_ok() {
            return Err("a listener outside was reached".to_owned());
        }
        let names = fs::read_dir(&self.folder).map(|entries| entries.count()).unwrap_or(0);
        let secret = fs::read_to_string(self.folder.join("secret")).unwrap_or_default();
        if names != 2 || secret != SECRET {
            return Err("a folder outside was changed".to_owned());
        }
        Ok(())
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Exceeded;

    #[test]
    fn what_the_machine_has_no_time_or_memory_for_is_no_leak() {
        for verdict in [Verdict::TimedOut, Verdict::Killed { exceeded: Exceeded::Unknown }] {
            let error = prove(&|_| Ok(verdict.clone())).unwrap_err();
            assert!(matches!(&error, SandboxError::Unavailable { .. }), "{error}");
            assert!(
                error.to_string().contains("too slow") && !error.to_string().contains("sysctl"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_program_that_passes_or_sees_too_much_is_a_leak() {
        let failed = |error: &str| Verdict::Failed { error: error.to_owned() };
        let seen = |program: &str| {
            if program.starts_with("AT = ") { failed("TCP to this machine") } else { failed("") }
        };
        for error in [prove(&|_| Ok(Verdict::Passed)), prove(&|program| Ok(seen(program)))] {
            let error = error.unwrap_err();
            assert!(matches!(error, SandboxError::Leaks(_)), "{error}");
        }
    }
}
