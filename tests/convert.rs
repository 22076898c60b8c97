//! `zoo convert` to folders of safetensors, as a program: what it writes, what it refuses, and that no interruption leaves a wrong model.

mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use safetensors::tensor::{Dtype, TensorView};
use tiny::{command, stderr, stdout, write_tiny_model, zoo};
use zoo::lineage::{LOCK_FILE, Lock};
use zoo::weights;

fn tiny() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    folder
}

fn convert(from: &Path, out: &Path, extra: &[&str]) -> std::process::Output {
    let mut args = vec!["convert", from.to_str().unwrap(), "--out", out.to_str().unwrap()];
    args.extend(extra);
    zoo(&args)
}

fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

#[test]
fn a_model_keeps_its_values_and_gets_a_lock() {
    let folder = tiny();
    let (from, out) = (folder.path().join("tiny"), folder.path().join("out"));
    let output = convert(&from, &out, &["--shard-size", "20KB"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lock = Lock::read(&out).unwrap();
    let text = stdout(&output);
    assert!(text.contains(&lock.tensors_sha256) && text.contains("next: zoo"), "{text}");
    let (old, new) = (weights::open(&from).unwrap(), weights::open(&out).unwrap());
    assert_eq!(old.tensors(), new.tensors());
    for info in old.tensors() {
        assert_eq!(old.tensor(&info.name).unwrap().data, new.tensor(&info.name).unwrap().data);
    }
    let files = content(&out);
    let parts = files.keys().filter(|name| name.ends_with(".safetensors")).count();
    assert!(parts > 1 && files.contains_key(weights::INDEX_FILE), "{:?}", files.keys());
    assert_eq!(files["tokenizer.json"], fs::read(from.join("tokenizer.json")).unwrap());

    // The result is a model: it converts again, to the same tensors.
    let again = folder.path().join("again");
    assert!(convert(&out, &again, &[]).status.success());
    assert_eq!(Lock::read(&again).unwrap().tensors_sha256, lock.tensors_sha256);
}

#[test]
fn halving_and_widening_again_rounds_once() {
    let folder = tiny();
    let (from, half, wide) =
        (folder.path().join("tiny"), folder.path().join("half"), folder.path().join("wide"));
    assert!(convert(&from, &half, &["--dtype", "bf16"]).status.success());
    assert!(convert(&half, &wide, &["--dtype", "f32"]).status.success());
    let config: serde_json::Value = serde_json::from_slice(&content(&half)["config.json"]).unwrap();
    assert_eq!(config["torch_dtype"], "bfloat16");
    let (old, new) = (weights::open(&from).unwrap(), weights::open(&wide).unwrap());
    for info in old.tensors() {
        let (old, new) = (old.tensor(&info.name).unwrap(), new.tensor(&info.name).unwrap());
        for (x, y) in old.to_f32().unwrap().iter().zip(new.to_f32().unwrap()) {
            // bf16 has 8 significant bits.
            assert!((x - y).abs() <= x.abs() / 256.0 && y.to_bits() & 0xffff == 0, "{x} became {y}");
        }
    }
}

#[test]
fn mistakes_are_told_in_one_sentence() {
    let folder = tiny();
    let (from, out) = (folder.path().join("tiny"), folder.path().join("out"));
    let refused = |output: std::process::Output, code: i32, words: &[&str]| {
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(words.iter().all(|word| text.contains(word)) && !text.contains("panicked"), "{text}");
    };
    refused(convert(Path::new("./nowhere/model"), &out, &[]), 2, &["no such file", "zoo list"]);
    refused(convert(Path::new("smolm2-135m"), &out, &[]), 2, &["smollm2-135m"]);
    refused(convert(&from, &out, &["--shard-size", "5GiBi"]), 2, &["5GiB", "500MB"]);
    refused(convert(&from, &out, &["--dtype", "int8"]), 2, &["int8", "bf16"]);
    refused(convert(&from, &from, &[]), 1, &["does not exist yet", "--out"]);
    refused(convert(&from, Path::new("/"), &[]), 1, &["--out", "name of a new folder"]);
    assert!(convert(&from, &out, &[]).status.success());
    refused(convert(&from, &out, &[]), 1, &["finished build", "--force"]);
    assert!(convert(&from, &out, &["--force", "--dtype", "f16"]).status.success());
    assert_eq!(Lock::read(&out).unwrap().dtype, weights::Dtype::F16);
}

#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_keeps_what_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("model");
    write_wide_model(&from, 40, 100_000);
    let out = folder.path().join("out");
    let script = format!(
        "trap '' XFSZ; ulimit -f 2000; exec '{}' convert '{}' --out '{}'",
        env!("CARGO_BIN_EXE_zoo"),
        from.display(),
        out.display()
    );
    let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("model.safetensors") && text.contains("give the same command again"), "{text}");
    assert!(!out.exists());
    assert!(convert(&from, &out, &[]).status.success());
    assert_same_tensors(&from, &out);
}

/// A model of `tensors` vectors of `elements` f16 values.
fn write_wide_model(folder: &Path, tensors: usize, elements: usize) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), r#"{"model_type": "llama"}"#).unwrap();
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        // Exponents below the largest: every value is finite.
        ((state >> 8) as u16 & 0xbbff).to_le_bytes()
    };
    let data: Vec<Vec<u8>> = (0..tensors).map(|_| (0..elements).flat_map(|_| next()).collect()).collect();
    let views = data.iter().enumerate().map(|(i, data)| {
        (format!("model.layers.{i}.w"), TensorView::new(Dtype::F16, vec![elements], data).unwrap())
    });
    fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
}

fn assert_same_tensors(a: &Path, b: &Path) {
    let (a, b) = (weights::open(a).unwrap(), weights::open(b).unwrap());
    assert_eq!(a.tensors(), b.tensors());
    for info in a.tensors() {
        assert!(a.tensor(&info.name).unwrap().data == b.tensor(&info.name).unwrap().data, "{}", info.name);
    }
}

/// Kills `zoo convert` at `kills` moments spread over the time that it takes, then lets it finish. Returns how many of
/// the calls after a kill went on with what was there.
fn kill_and_restart(from: &Path, folder: &Path, kills: u32) -> u32 {
    let whole = folder.join("whole");
    let flags = ["--dtype", "bf16", "--shard-size", "100MB"];
    let began = Instant::now();
    assert!(convert(from, &whole, &flags).status.success());
    let time = began.elapsed();
    let expected = content(&whole);
    let mut resumed = 0;
    let mut seed = u64::from(std::process::id());
    eprintln!("a whole call takes {time:?}; seed {seed}");
    for number in 0..kills {
        let out = folder.join(format!("killed-{number}"));
        let (from, target) = (from.to_str().unwrap(), out.to_str().unwrap());
        let mut args = vec!["convert", from, "--out", target];
        args.extend(flags);
        // One moment in each of `kills` equal parts of the time, drawn at random.
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let within = (seed >> 33) as f64 / (1u64 << 31) as f64;
        let moment = time.mul_f64((f64::from(number) + within) / f64::from(kills));
        let mut child = command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        // SIGKILL: nothing in the program can react.
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        assert_eq!(finished, out.exists(), "killed after {moment:?}: complete or absent");
        if !finished {
            let output = convert(Path::new(from), &out, &flags);
            assert!(output.status.success(), "{}", stderr(&output));
            resumed += u32::from(stderr(&output).contains("going on with an interrupted build"));
        }
        assert!(content(&out) == expected, "killed after {moment:?}");
        let left = folder.join(format!(".killed-{number}.zoo-partial"));
        assert!(!left.exists(), "{}", left.display());
        fs::remove_dir_all(&out).unwrap();
    }
    resumed
}

#[test]
fn a_killed_call_and_its_restart_write_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("model");
    write_wide_model(&from, 24, 500_000);
    kill_and_restart(&from, folder.path(), 4);
}

#[test]
#[ignore = "writes 400 MB about forty times"]
fn twenty_kills_of_a_larger_model() {
    let folder = tempfile::tempdir().unwrap();
    let from: PathBuf = folder.path().join("model");
    write_wide_model(&from, 80, 2_500_000);
    let resumed = kill_and_restart(&from, folder.path(), 20);
    eprintln!("{resumed} of 20 restarts went on with finished tensors");
    assert!(resumed > 0);
}

#[test]
fn a_call_beside_another_waits_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("model");
    write_wide_model(&from, 24, 500_000);
    let out = folder.path().join("out");
    let (source, target) = (from.to_str().unwrap(), out.to_str().unwrap());
    let args = ["convert", source, "--out", target, "--dtype", "f32"];
    let start = || command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let succeeded = both.iter().filter(|output| output.status.success()).count();
    assert_eq!(succeeded, 1);
    let text = both.iter().map(stderr).collect::<String>();
    assert!(text.contains("no other process") || text.contains("finished build"), "{text}");
    assert!(out.join(LOCK_FILE).exists());
}
