//! `kill -9` at random places of a run over five reference tasks: gone on with, it ends in the bytes of a run that
//! nothing disturbed.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::interrupted::{Interrupted, files, ledger_bytes};
use crate::support::shared::shared;

/// How often a run is killed.
const KILLS: usize = 20;
const TASKS: &str = "arc_easy,boolq,hellaswag,piqa,mmlu_astronomy";

#[test]
#[ignore = "needs the shared reference folder"]
fn twenty_kills_leave_no_trace() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (shared.join("hub/models/zoo-fixtures/stories260k"), shared.join("hub"));
    let args = |out: &Path| -> Vec<String> {
        let (model, data, out) = (model.to_str().unwrap(), data.to_str().unwrap(), out.to_str().unwrap());
        let own = ["eval", model, "--quiet", "--suite", TASKS, "--limit", "12", "--batch-tokens", "1000"];
        own.iter().chain(&["--data-dir", data, "--out", out, "--resume"]).map(|a| (*a).to_owned()).collect()
    };
    let zoo = || Command::new(env!("CARGO_BIN_EXE_zoo"));
    let run = |out: &Path| {
        let output = zoo().args(args(out)).output().expect("zoo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let whole = folder.path().join("whole");
    run(&whole);
    let expected = files(&whole);
    let size = ledger_bytes(&whole);

    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    eprintln!("undisturbed: {size} bytes of ledger, {} files; seed {seed}", expected.len());
    let mut state = u64::from(seed);
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let (mut kills, mut runs, mut within) = (0, 0, 0);
    while kills < KILLS || within < KILLS / 2 {
        let out = folder.path().join(format!("run{runs}"));
        runs += 1;
        assert!(
            runs <= 5 * KILLS,
            "{kills} of {runs} runs were still at work when they were to be killed, {within} of them while they scored"
        );
        // At the beginning and the end, and within the scoring itself.
        let mut interrupted = Interrupted::start(zoo(), &args(&out), &out);
        let killed = match runs % 5 {
            0 => interrupted.kill_at_its_beginning(),
            1 => interrupted.kill_after_bytes(size),
            _ => interrupted.kill_after_bytes(1 + (size as f64 * random()) as u64),
        };
        if killed {
            let bytes = ledger_bytes(&out);
            kills += 1;
            within += usize::from(bytes > 0 && bytes < size);
            eprintln!("kill {kills}: with {bytes} of {size} bytes in the ledger");
        }
        run(&out);
        let found = files(&out);
        assert!(found.keys().eq(expected.keys()), "run {runs}: {:?}", found.keys());
        for (name, bytes) in &expected {
            assert!(&found[name] == bytes, "run {runs}: {name} has other bytes");
        }
        std::fs::remove_dir_all(out).unwrap();
    }
    eprintln!(
        "{kills} runs were killed, {within} of them while they scored; all ended in the same {} files",
        expected.len()
    );
}
