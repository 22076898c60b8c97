//! A place for runs: a folder with a small model, task files and data of its own, and what runs left there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use super::interrupted::Interrupted;
use super::tiny::{command, stderr, write_tiny_model, zoo};

/// How often a run may end before it is caught at work, which a machine under load does not always see in time.
const TRIES: usize = 10;

/// A folder with a model, and how it is run.
pub struct Place {
    folder: TempDir,
    flags: Vec<String>,
}

impl Place {
    /// With a small model in `tiny`; all its runs have these flags.
    pub fn new(flags: &[&str]) -> Self {
        let place = Self::without_model(flags);
        write_tiny_model(&place.path("tiny"));
        place
    }

    /// The same for a model that the test puts there.
    pub fn without_model(flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self { folder: tempfile::tempdir().unwrap(), flags }
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same path as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file of the folder `tasks`, into which every command looks from then on.
    pub fn task(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path("tasks")).unwrap();
        fs::write(self.path("tasks").join(name), text).unwrap();
    }

    /// Runs the program with task files of the place.
    pub fn zoo(&self, args: &[&str]) -> Output {
        let tasks = self.text("tasks");
        let own: &[&str] = if self.path("tasks").exists() { &["--include-path", &tasks] } else { &[] };
        zoo(&[args, own].concat())
    }

    /// The command line of a run of the model into the folder `out`.
    pub fn args(&self, out: &str, extra: &[&str]) -> Vec<String> {
        let own =
            [&["eval".to_owned(), self.text("tiny"), "--out".to_owned(), self.text(out)], &self.flags[..]];
        own.concat().into_iter().chain(extra.iter().map(|arg| (*arg).to_owned())).collect()
    }

    /// Runs the model, whatever comes of it.
    pub fn eval(&self, out: &str, extra: &[&str]) -> Output {
        self.zoo(&self.args(out, extra).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs the model well.
    pub fn run(&self, out: &str, extra: &[&str]) -> Output {
        let output = self.eval(out, extra);
        assert!(output.status.success(), "{extra:?}: {}", stderr(&output));
        output
    }

    /// Begins a run.
    pub fn start(&self, out: &str, extra: &[&str]) -> Interrupted {
        Interrupted::start(command(&[]), &self.args(out, extra), &self.path(out))
    }

    /// Runs the model until the ledgers of the run have `bytes`, and kills it there (SIGKILL).
    pub fn kill_after_bytes(&self, out: &str, extra: &[&str], bytes: u64) {
        self.caught(out, || self.start(out, extra).kill_after_bytes(bytes).then_some(()));
    }

    /// The same with a signal after which the program ends by itself.
    pub fn signal_after_bytes(&self, out: &str, extra: &[&str], signal: &str, bytes: u64) -> Output {
        self.caught(out, || {
            let output = self.start(out, extra).signal_after_bytes(signal, bytes)?;
            (!output.status.success()).then_some(output)
        })
    }

    /// Stops it there (SIGSTOP).
    pub fn stop_after_bytes(&self, out: &str, extra: &[&str], bytes: u64) -> Interrupted {
        self.caught(out, || {
            let mut interrupted = self.start(out, extra);
            interrupted.stop_after_bytes(bytes).then_some(interrupted)
        })
    }

    /// What comes of the first attempt that catches the run at work; after another one the run is what it was before.
    fn caught<T>(&self, out: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
        let (run, before) = (self.path(out), self.path("before"));
        copy(&run, &before);
        for _ in 0..TRIES {
            if let Some(found) = attempt() {
                let _ = fs::remove_dir_all(&before);
                return found;
            }
            let _ = fs::remove_dir_all(&run);
            copy(&before, &run);
        }
        panic!("{out}: the run ended {TRIES} times before it was caught");
    }

    /// The finished run `out` as it was before its end: its scores and none of its results.
    pub fn unfinish(&self, out: &str) {
        let run = self.path(out);
        fs::rename(run.join("settings.yaml"), run.join("run.partial.yaml")).unwrap();
        for file in ["run.yaml", "results.csv"] {
            fs::remove_file(run.join(file)).unwrap();
        }
    }

    /// The one ledger of a run.
    pub fn ledger(&self, out: &str) -> PathBuf {
        let mut entries = fs::read_dir(self.path(out).join("ledger")).unwrap();
        let path = entries.next().unwrap().unwrap().path();
        assert!(entries.next().is_none());
        path
    }

    /// The number of `what` among the requests, from the description of the run.
    pub fn requests(&self, out: &str, what: &str) -> u64 {
        let description: serde_yaml::Value =
            serde_yaml::from_str(&self.read(&format!("{out}/run.yaml"))).unwrap();
        description["models"][0]["requests"][what].as_u64().unwrap()
    }
}

/// The exit code is `code`, and standard error has every one of `words`.
#[track_caller]
pub fn assert_says(output: &Output, code: i32, words: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

/// Copies a folder, if it is there.
fn copy(from: &Path, to: &Path) {
    let Ok(entries) = fs::read_dir(from) else { return };
    fs::create_dir_all(to).unwrap();
    for entry in entries.flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
