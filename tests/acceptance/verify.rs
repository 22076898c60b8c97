//! `zoo verify` on the shared reference folder: every malformed file gets its class in one message, quickly and within
//! little memory; releases of all forms are told for what they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::malformed::class_of;
use crate::support::shared::kit;
use crate::support::tiny::{command, stderr, stdout};
use serde_json::Value;

/// Address space of the child. The kit asks for less than 200 MB of memory; a program maps more than it uses: its own
/// code, the buffers of OpenBLAS, and an arena of the allocator for each thread. The bombs ask for 1 GiB and more.
const ADDRESS_SPACE_KIB: u64 = 700 * 1024;
/// Time for each file.
const TIME: Duration = Duration::from_secs(2);
/// What the hostile pickles would print if anything of them ran.
const MARKER: &str = "LINEAGE-KIT-MARKER";

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Everything below a folder, with sizes.
fn tree(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            all.extend(tree(&path));
        }
        all.push((path, about.len()));
    }
    all.sort();
    all
}

/// Runs `zoo verify PATH --format json` in the folder `work` with a limit on its memory.
fn limited(path: &Path, work: &Path) -> (Output, Duration) {
    let zoo = command(&[]);
    let mut child = Command::new("sh");
    child
        .arg("-c")
        .arg(format!("ulimit -v {ADDRESS_SPACE_KIB} && exec \"$0\" \"$@\""))
        .arg(zoo.get_program());
    child.args(["verify", "--format", "json"]).arg(path).current_dir(work);
    for (key, value) in zoo.get_envs() {
        match value {
            Some(value) => child.env(key, value),
            None => child.env_remove(key),
        };
    }
    child.env("RAYON_NUM_THREADS", "2").env("OPENBLAS_NUM_THREADS", "1");
    let start = Instant::now();
    let output = child.output().unwrap();
    (output, start.elapsed())
}

/// Where a case lies: the file itself, or a copy of the base with one file replaced.
fn place(kit: &Path, case: &Value, work: &Path) -> PathBuf {
    let name = case["file"].as_str().unwrap();
    let replaced = match name.split('/').nth(1).unwrap() {
        "config" => "config.json",
        "tokenizer" => "tokenizer.model",
        _ => return kit.join(name),
    };
    let folder = work.join("model");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(kit.join("base/hf-st-f16")).unwrap() {
        let entry = entry.unwrap();
        fs::write(folder.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
    }
    fs::write(folder.join(replaced), fs::read(kit.join(name)).unwrap()).unwrap();
    folder
}

/// What is wrong with the answer to a case; `None` if nothing.
fn wrong(class: &str, path: &Path, output: &Output) -> Option<String> {
    let (code, out, err) = (output.status.code(), stdout(output), stderr(output));
    if out.contains(MARKER) || err.contains(MARKER) || err.contains("panicked") {
        return Some(format!("something of it ran, or a panic: {err}"));
    }
    let Ok(reports) = serde_json::from_str::<Value>(&out) else {
        return Some(format!("no report, exit code {code:?}: {err}"));
    };
    let findings = reports[0]["findings"].as_array().unwrap().clone();
    let of_level = |level: &str| findings.iter().filter(|f| f["level"] == level).cloned().collect::<Vec<_>>();
    let (failures, warnings) = (of_level("failure"), of_level("warning"));
    let allowed: Vec<&str> = class.split(" or ").collect();
    let may_pass = allowed.iter().any(|class| ["ok", "warning", "ignored"].contains(class));
    if failures.is_empty() {
        // "refuse or warn" is asked for a tokenizer that is smaller than the vocabulary.
        let warned = warnings.iter().any(|f| allowed.contains(&f["class"].as_str().unwrap_or("warning")));
        let fine = code == Some(0) && (may_pass || warned) && (class != "warning" || !warnings.is_empty());
        return (!fine).then(|| format!("passes with exit code {code:?} and warnings {warnings:?}"));
    }
    if code != Some(1) {
        return Some(format!("fails with exit code {code:?}"));
    }
    let classes: Vec<&str> = failures.iter().filter_map(|f| f["class"].as_str()).collect();
    if !(allowed.iter().any(|class| classes.contains(class)) || allowed.contains(&"refused")) {
        return Some(format!("fails as {classes:?}: {err}"));
    }
    // One line on stderr that names the file, or for a part of a folder the folder.
    let lines: Vec<&str> = err.lines().filter(|line| line.starts_with("error: ")).collect();
    let named = lines.first().is_some_and(|line| line.contains(&path.display().to_string()));
    (lines.len() != 1 || !named || err.len() > 2000).then(|| format!("no clear message: {err}"))
}

#[test]
#[ignore = "needs the shared reference folder"]
fn every_malformed_file_gets_its_class() {
    let Some(kit) = kit() else { return };
    let (work, before) = (tempfile::tempdir().unwrap(), tree(&kit.join("malformed")));
    let home = work.path().join("here");
    fs::create_dir(&home).unwrap();
    let (mut seen, mut faults) = (0, Vec::new());
    for case in json(&kit.join("expected/malformed.json"))["files"].as_array().unwrap() {
        let (name, class) = (case["file"].as_str().unwrap(), class_of(case));
        let path = place(&kit, case, work.path());
        let inputs = tree(work.path());
        let (output, time) = limited(&path, &home);
        seen += 1;
        let mut fault = wrong(class, &path, &output);
        if time > TIME {
            fault = Some(format!("took {time:?}"));
        }
        if tree(work.path()) != inputs {
            fault = Some("wrote a file".to_owned());
        }
        faults.extend(fault.map(|fault| format!("{name}: expected {class}: {fault}")));
    }
    assert!(faults.is_empty(), "{} of {seen} cases:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(tree(&kit.join("malformed")), before, "the folder of the cases was changed");
    assert!(seen >= 200, "only {seen} cases were found");
}

/// The report on a path of the kit that can be anything.
fn report(kit: &Path, path: &str) -> (Option<i32>, Value) {
    let output = command(&["verify", "--format", "json", kit.join(path).to_str().unwrap()]).output().unwrap();
    let reports: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|e| panic!("{e}: {}", stderr(&output)));
    (output.status.code(), reports[0].clone())
}

#[test]
#[ignore = "needs the shared reference folder"]
fn released_forms_are_told_for_what_they_are() {
    let Some(kit) = kit() else { return };
    let llama = serde_json::json!({"model": "llama"});
    let bloom = serde_json::json!({"model": "bloom"});
    for (path, kind) in [
        ("base/hf-st-f16", &llama),
        ("base/hf-st-bf16", &llama),
        ("base/hf-st-f32-legacy", &llama),
        ("base/hf-bin", &llama),
        ("base/hf-bin-oldformat", &llama),
        ("base/meta/1shard", &llama),
        ("base/meta/2shard", &llama),
        ("variants/tied", &llama),
        ("variants/mha", &llama),
        ("vicuna-v0/delta", &"delta".into()),
        ("vicuna-v1.1/delta", &"delta".into()),
        ("alpaca/wdiff", &"delta".into()),
        ("ziya/delta", &"delta".into()),
        ("bloom/heads-6", &bloom),
        ("bloom/heads-pow2", &bloom),
        ("bloom/heads-pow2-bin", &bloom),
        ("bloom/heads-pow2-noprefix-f32", &bloom),
        ("lora/qv-r8", &"adapter".into()),
        ("lora/rslora", &"adapter".into()),
        ("lora/zh-llama-r16", &"adapter".into()),
        ("lora/zh-alpaca-plus", &"adapter".into()),
        ("belle/enc", &"encrypted".into()),
    ] {
        let (code, report) = report(&kit, path);
        assert_eq!((code, &report["kind"]), (Some(0), kind), "{path}: {report:#}");
        assert_eq!(report["failures"], 0, "{path}: {report:#}");
        // Rotary models are in the right order, whatever form they were read from.
        let order =
            report["findings"].as_array().unwrap().iter().find(|f| f["check"] == "row-order").cloned();
        assert_eq!(order.map(|f| f["level"] == "ok"), (kind == &llama).then_some(true), "{path}: {report:#}");
    }
    assert_eq!(report(&kit, "belle/enc-corrupt").0, Some(1));
}

#[test]
#[ignore = "needs the shared reference folder"]
fn broken_adapters_are_refused() {
    let Some(kit) = kit() else { return };
    // What only a base can tell passes here, and is refused when the adapter is merged.
    let needs_base = ["wrong-base-shape", "extra-module"];
    let cases = json(&kit.join("expected/lora-broken.json"));
    let cases = cases["adapters"].as_array().unwrap();
    assert!(cases.len() >= 14);
    for case in cases {
        let path = case["adapter"].as_str().unwrap();
        let name = path.rsplit('/').next().unwrap();
        let (code, report) = report(&kit, path);
        let expected = match name {
            "zero-b" => (Some(0), 0, true),
            name if needs_base.contains(&name) => (Some(0), 0, false),
            _ => (Some(1), 1, false),
        };
        let (failures, warnings) =
            (report["failures"].as_u64().unwrap(), report["warnings"].as_u64().unwrap());
        assert_eq!((code, failures.min(1), warnings > 0), expected, "{path}: {report:#}");
    }
}
