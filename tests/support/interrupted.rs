//! Runs that are killed while they work, and the files that a run is judged by.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// After so long a program hangs, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits until the work of a program has come so far; false if it ended before.
pub fn wait_until(child: &mut Child, mut reached: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !reached() {
        if child.try_wait().expect("the program can be waited for").is_some() {
            return false;
        }
        assert!(begun.elapsed() < PATIENCE, "the program hangs");
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

/// Sends a signal to a program.
pub fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").arg(signal).arg(child.id().to_string()).status();
    assert!(sent.expect("kill starts").success());
}

/// A program at work on a run.
pub struct Interrupted {
    child: Child,
    run: PathBuf,
}

impl Interrupted {
    /// Starts `command` with `args`; its run goes to `run`.
    pub fn start(mut command: Command, args: &[String], run: &Path) -> Self {
        command.args(args).stdout(Stdio::null()).stderr(Stdio::piped());
        Self { child: command.spawn().expect("the program starts"), run: run.to_owned() }
    }

    /// Kills it (SIGKILL) as soon as its ledgers have `bytes`; says whether it was still at work.
    pub fn kill_after_bytes(&mut self, bytes: u64) -> bool {
        self.wait_for_bytes(bytes) && self.kill()
    }

    /// Kills it as soon as its run has begun; says whether it was still at work.
    pub fn kill_at_its_beginning(&mut self) -> bool {
        let run = self.run.clone();
        wait_until(&mut self.child, || run.join("run.partial.yaml").exists()) && self.kill()
    }

    /// Stops it (SIGSTOP) as soon as its ledgers have `bytes`; says whether it was still at work.
    pub fn stop_after_bytes(&mut self, bytes: u64) -> bool {
        if !self.wait_for_bytes(bytes) {
            return false;
        }
        signal(&self.child, "-STOP");
        self.is_at_work()
    }

    /// Sends it a signal as soon as its ledgers have `bytes`, and waits for its end; `None` if it ended before.
    pub fn signal_after_bytes(mut self, name: &str, bytes: u64) -> Option<Output> {
        if !self.wait_for_bytes(bytes) {
            return None;
        }
        signal(&self.child, name);
        let mut stderr = Vec::new();
        self.child.stderr.take().expect("standard error is heard").read_to_end(&mut stderr).unwrap();
        let status = self.child.wait().expect("the program can be waited for");
        Some(Output { status, stdout: Vec::new(), stderr })
    }

    /// Kills it now; says whether it was still at work.
    pub fn kill(&mut self) -> bool {
        let at_work = self.is_at_work();
        let _ = self.child.kill();
        let status = self.child.wait().expect("the program can be waited for");
        at_work && !status.success()
    }

    fn is_at_work(&mut self) -> bool {
        self.child.try_wait().expect("the program can be waited for").is_none()
    }

    /// False if the program ended before.
    fn wait_for_bytes(&mut self, bytes: u64) -> bool {
        let run = self.run.clone();
        wait_until(&mut self.child, || ledger_bytes(&run) >= bytes)
    }
}

impl Drop for Interrupted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of all ledgers of a run.
pub fn ledger_bytes(run: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(run.join("ledger")) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// The files of a run by name, without its description, which holds times, its settings, and its ledgers, whose lines stand in
/// the order in which they came.
pub fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(run, "", &mut found);
    assert!(found.remove("run.yaml").is_some(), "{} is not finished", run.display());
    // A run that was graded again has none.
    found.remove("settings.yaml");
    // The files in the reference harness's form have the time in them, and in their names.
    found.retain(|name, _| name != "results.json" && !name.starts_with("lm-eval/"));
    found.retain(|name, _| !name.starts_with("ledger/"));
    assert!(found.contains_key("results.csv") && found.keys().any(|name| name.starts_with("samples/")));
    found
}
