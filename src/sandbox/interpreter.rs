//! The interpreter of generated programs: which one it is, and which folders it needs to see.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::SandboxError;

/// A Python interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// The program itself.
    pub path: PathBuf,
    /// What it calls itself: `CPython 3.11.7`.
    pub version: String,
    /// The folders that it is installed in, besides those of the system.
    pub folders: Vec<PathBuf>,
}

/// Prints what we want to know in lines: where it is, its version, and the folders it is installed in.
const QUESTION: &str = "\
import os, platform, sys
print(sys.executable)
print(platform.python_implementation(), platform.python_version())
for folder in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
    print(os.path.realpath(folder))
    print(os.path.abspath(folder))";

/// Folders of the system, which every program sees.
pub(super) const SYSTEM: [&str; 5] = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];
/// Folders that hold everything that is installed.
const STORES: [&str; 2] = ["/nix/store", "/gnu/store"];

impl Interpreter {
    /// The one that is named, or `python3` on the path.
    ///
    /// # Errors
    /// None, one that cannot be run, and one that is installed into a folder that holds other things.
    pub fn find(named: Option<&Path>) -> Result<Self, SandboxError> {
        let path = match named {
            Some(named) => named.to_owned(),
            None => on_path("python3").ok_or(SandboxError::NoInterpreter)?,
        };
        let fail = |reason: String| SandboxError::Interpreter { path: path.clone(), reason };
        let asked = Command::new(&path).args(["-I", "-B", "-c", QUESTION]).stdin(Stdio::null()).output();
        let output = asked.map_err(|error| fail(format!("cannot be run: {error}")))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = said.lines().collect();
        let [program, version, folders @ ..] = &lines[..] else {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().last().unwrap_or("nothing");
            return Err(fail(format!(
                "expected a Python interpreter of version 3.6 or newer, which says where it is; it said {said}"
            )));
        };
        let mut folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
        let real = Path::new(program).canonicalize().map_err(|error| fail(format!("{program}: {error}")))?;
        for store in STORES.map(Path::new) {
            if real.starts_with(store) {
                folders.push(store.to_owned());
            }
        }
        folders.sort();
        folders.dedup();
        let is_system = |path: &Path| SYSTEM.iter().any(|system| path.starts_with(system));
        folders.retain(|folder| !is_system(folder));
        if let Some(wide) = folders.iter().find(|folder| !is_own(folder)) {
            return Err(fail(format!(
                "it is installed into {}, which holds other things too that generated programs are not to see",
                wide.display()
            )));
        }
        if !is_system(&real) && !folders.iter().any(|folder| real.starts_with(folder)) {
            return Err(fail(format!(
                "it is {}, outside of the folders that it says it is installed in",
                real.display()
            )));
        }
        Ok(Self { path: program.into(), version: (*version).to_owned(), folders })
    }
}

/// Whether a folder can be one for an interpreter alone.
fn is_own(folder: &Path) -> bool {
    let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let holds_home = home.is_some_and(|home| home.starts_with(folder));
    let is_a_home = folder.parent() == Some(Path::new("/home"));
    // `/opt`, `/home` and `/var` hold other things; `/opt/python` does not.
    folder.is_absolute()
        && folder.components().count() > 2
        && !holds_home
        && !is_a_home
        && !folder.starts_with("/proc")
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut candidates =
        env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
    candidates.find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_hold_other_things_are_not_an_interpreter_s_own() {
        for folder in ["/opt/python", "/home/somebody/.pyenv/versions/3.12.1", "/nix/store"] {
            assert!(is_own(Path::new(folder)), "{folder}");
        }
        for folder in
            ["/", "/opt", "/home", "/home/somebody", "/home/somebody/", "relative/folder", "/proc/self/root"]
        {
            assert!(!is_own(Path::new(folder)), "{folder}");
        }
        if let Some(home) = env::var_os("HOME") {
            assert!(!is_own(Path::new(&home)));
        }
    }

    #[test]
    fn what_is_no_interpreter_is_refused() {
        for (path, words) in
            [("/nonexistent/python3", "cannot be run"), ("/bin/true", "expected a Python interpreter")]
        {
            let error = Interpreter::find(Some(Path::new(path))).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("--python"), "{error}");
        }
    }
}
