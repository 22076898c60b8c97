//! `zoo convert` to folders of safetensors, as a program: what it writes, what it refuses, and that no interruption leaves a wrong model.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::support::interrupted::{signal, wait_until};
use crate::support::killed::{ANY, content, kill_and_restart, write_wide_model};
use crate::support::place::assert_says;
use crate::support::tiny::{command, stderr, stdout, write_tiny_model, zoo};
use zoo::store::{LOCK_FILE, Lock};
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
    write_wide_model(&from, 40, 100, ANY);
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

fn assert_same_tensors(a: &Path, b: &Path) {
    let (a, b) = (weights::open(a).unwrap(), weights::open(b).unwrap());
    assert_eq!(a.tensors(), b.tensors());
    for info in a.tensors() {
        assert!(a.tensor(&info.name).unwrap().data == b.tensor(&info.name).unwrap().data, "{}", info.name);
    }
}

#[test]
fn a_killed_call_and_its_restart_write_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("model");
    write_wide_model(&from, 24, 500, ANY);
    kill_and_restart(folder.path(), 4, |out| {
        let mut convert = command(&["convert"]);
        convert.arg(&from).args(["--dtype", "bf16", "--shard-size", "100MB", "--out"]).arg(out);
        convert
    });
}

#[cfg(unix)]
#[test]
fn an_interrupted_call_says_what_is_kept_and_the_command_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("model");
    write_wide_model(&from, 24, 500, ANY);
    let out = folder.path().join("bf16");
    let place = folder.path().join(".bf16.zoo-partial");
    let args = ["convert", from.to_str().unwrap(), "--dtype", "bf16", "--out", out.to_str().unwrap()];
    let caught = (0..10).find_map(|_| {
        let _ = fs::remove_dir_all(&out);
        let mut child = command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until(&mut child, || place.join("journal").exists());
        signal(&child, "-INT");
        let output = child.wait_with_output().unwrap();
        (!output.status.success()).then_some(output)
    });
    let output = caught.expect("it was caught at work");
    let kept =
        format!("interrupted: the tensors that were written until now are kept in {}\n", place.display());
    assert_says(&output, 130, &[&kept, "go on with:\n"]);
    let text = stderr(&output);
    let again = text.lines().skip_while(|line| *line != "go on with:").nth(1).expect("a command").trim();
    let output = std::process::Command::new("sh").arg("-c").arg(again).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(out.join(LOCK_FILE).exists() && !place.exists());
}

#[test]
fn a_call_beside_another_waits_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("model");
    write_wide_model(&from, 24, 500, ANY);
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
