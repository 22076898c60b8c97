//! From an empty cache to the table, against the hub imitation of the reference folder: one command, killed at random places
//! and started again, ends in the same bytes, and data and weights have been fetched once.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::interrupted::{files, wait_until};
use crate::support::shared::shared;
use crate::support::tiny::{stderr, stdout};

/// How often the run is killed.
const KILLS: u32 = 10;
/// Bytes a second that the hub sends, so that fetching takes a part of the time.
const RATE: &str = "1500000";
/// Bytes that a kill may cost: what was under way, and the lists of files that the next start asks for.
const ON_ITS_WAY: u64 = 384 << 10;

const CARD: &str = "id: stories\nname: Stories\naliases: [tales]\nfamily: llama\nlicense: MIT\n\
    release: {kind: full, format: safetensors, dtype: fp32}\nsources:\n  - hub: {repo: zoo-fixtures/stories260k}\n";

struct Hub {
    process: Child,
    url: String,
}

impl Hub {
    fn start(shared: &Path, log: &Path) -> Self {
        let mut process = Command::new("python3")
            .arg(shared.join("hub/serve.py"))
            .args(["--port", "0", "--slow", RATE, "--verbose"])
            .stdout(Stdio::piped())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { process, url: url.trim().to_owned() }
    }

    /// Requests before this one, and bytes that were sent.
    fn counts(&self) -> [u64; 2] {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        let request = format!("GET /stats HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let stats: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        [stats["requests"].as_u64().unwrap() - 1, stats["bytes"].as_u64().unwrap_or(0)]
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A user with an empty cache and a card of their own.
struct User {
    folder: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cards")).unwrap();
        fs::write(folder.path().join("cards/stories.yaml"), CARD).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Bytes of the cache and of the run.
    fn bytes(&self) -> u64 {
        fn below(folder: &Path) -> u64 {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let of = |path: PathBuf| match fs::metadata(&path) {
                Ok(found) if found.is_dir() => below(&path),
                found => found.map_or(0, |found| found.len()),
            };
            entries.map(|entry| of(entry.path())).sum()
        }
        ["home", "run"].map(|folder| below(&self.path(folder))).iter().sum()
    }

    fn command(&self, hub: &Hub, more: &[&str]) -> Command {
        let home = self.path("home");
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
        command.args([
            "eval",
            "tales",
            "--suite",
            "mmlu",
            "--limit",
            "20",
            "--num-fewshot",
            "1",
            "--out",
            "run",
        ]);
        command.args(["--zoo-dir", "cards"]).args(more).current_dir(self.folder.path());
        command.env("ZOO_HOME", &home).env("HF_HOME", &home).env("HF_ENDPOINT", &hub.url);
        command.env_remove("HF_TOKEN").env_remove("HF_HUB_OFFLINE").env_remove("ZOO_LOG");
        command
    }
}

/// The whole bodies that the hub was asked for, by the path of the request: those without a range.
fn whole_bodies(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap();
    let lines = text.lines().filter(|line| line.contains("/cdn/") && line.contains(" 200 "));
    lines.filter_map(|line| Some(line.split_once("/cdn/")?.1.split_once(' ')?.0.to_owned())).collect()
}

#[test]
#[ignore = "needs the shared reference folder"]
fn one_command_goes_from_nothing_to_a_table_whatever_interrupts_it() {
    let Some(shared) = shared() else { return };
    let logs = tempfile::tempdir().unwrap();
    // Undisturbed: what comes, and what comes out.
    let (hub, undisturbed) = (Hub::start(&shared, &logs.path().join("undisturbed")), User::new());
    let output = undisturbed.command(&hub, &[]).output().unwrap();
    let whole = undisturbed.bytes();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("mmlu_anatomy") || stdout(&output).contains("mmlu"),
        "{}",
        stdout(&output)
    );
    let err = stderr(&output);
    for words in
        ["cais/mmlu", "57 configurations", "mit", "MIT", "zoo-fixtures/stories260k", "tokens to compute"]
    {
        assert!(err.contains(words), "{words:?} is not in {err}");
    }
    let [requests, bytes] = hub.counts();
    // Everything is here now.
    let again = undisturbed.command(&hub, &["--offline", "--resume"]).output().unwrap();
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(hub.counts()[0], requests + 1, "only the counts themselves were asked for");
    let bodies = whole_bodies(&logs.path().join("undisturbed"));
    let mut once = bodies.clone();
    once.sort();
    once.dedup();
    assert!(bodies.len() >= 2 * 57 && once.len() == bodies.len(), "{} of {}", once.len(), bodies.len());
    drop(hub);

    // Killed at random places, each in its part of what comes to the disk.
    let (hub, user) = (Hub::start(&shared, &logs.path().join("killed")), User::new());
    let mut seed = u64::from(std::process::id());
    eprintln!(
        "undisturbed: {requests} requests, {bytes} bytes from the hub, {whole} on the disk; seed {seed}"
    );
    let mut killed = 0;
    for number in 0..KILLS {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let within = (seed >> 33) as f64 / (1u64 << 31) as f64;
        let place = (whole as f64 * (f64::from(number) + within) / f64::from(KILLS)) as u64;
        let mut command = user.command(&hub, &["--resume"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until(&mut child, || user.bytes() >= place);
        // SIGKILL: nothing in the program can react.
        let _ = child.kill();
        killed += u32::from(!child.wait().unwrap().success());
    }
    assert!(killed >= KILLS / 2, "only {killed} of {KILLS} were still at work");
    let output = user.command(&hub, &["--resume"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(files(&user.path("run")) == files(&undisturbed.path("run")), "other bytes than undisturbed");
    // No file was sent whole more often than once, but for one under way at each kill; what broke off was gone on with.
    let bodies = whole_bodies(&logs.path().join("killed"));
    assert!(bodies.len() <= once.len() + killed as usize, "{} bodies for {} files", bodies.len(), once.len());
    let [asked, sent] = hub.counts();
    assert!(sent <= bytes + u64::from(killed) * ON_ITS_WAY, "{sent} bytes were sent, undisturbed {bytes}");
    let output = user.command(&hub, &["--resume", "--offline"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(hub.counts()[0], asked + 1);
}
