//! Models too large to be written every day: twenty moments of a kill in the middle of it.

use crate::support::killed::{ANY, SMALL, kill_and_restart, write_wide_model};
use crate::support::tiny::command;

const TENSORS: usize = 80;
const COLUMNS: usize = 2500;

#[test]
#[ignore = "writes 400 MB about forty times"]
fn twenty_kills_of_a_larger_build() {
    let folder = tempfile::tempdir().unwrap();
    let part = |name: &str| format!("{name}={}", folder.path().join(name).display());
    write_wide_model(&folder.path().join("base"), TENSORS, COLUMNS, ANY);
    write_wide_model(&folder.path().join("delta"), TENSORS, COLUMNS, SMALL);
    let (base, delta) = (part("base"), part("delta"));
    let args =
        ["build", "--rule", "vicuna_delta", "--from", &base, "--from", &delta, "--shard-size", "100MB"];
    let resumed = kill_and_restart(folder.path(), 20, |out| {
        let mut build = command(&args);
        build.arg("--out").arg(out);
        build
    });
    eprintln!("{resumed} of 20 restarts went on with finished tensors");
    assert!(resumed > 0);
}

#[test]
#[ignore = "writes 400 MB about forty times"]
fn twenty_kills_of_a_larger_model() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("model");
    write_wide_model(&from, TENSORS, COLUMNS, ANY);
    let resumed = kill_and_restart(folder.path(), 20, |out| {
        let mut convert = command(&["convert"]);
        convert.arg(&from).args(["--dtype", "bf16", "--shard-size", "100MB", "--out"]).arg(out);
        convert
    });
    eprintln!("{resumed} of 20 restarts went on with finished tensors");
    assert!(resumed > 0);
}
