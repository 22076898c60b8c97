//! `zoo eval` against the reference harness: every reference run must come out equal: prompt hashes, token ids, log-likelihoods,
//! texts, metrics and standard errors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::shared::shared;
use serde_json::Value;

/// What `compare.py` allows: absolute up to 100 nats, in proportion beyond.
const LOGPROB_TOLERANCE: &str = "1e-3";
/// What it allows in a metric that is a count of documents.
const METRIC_TOLERANCE: &str = "1e-9";
/// What it allows in a metric that is made of probabilities themselves: they differ as log-likelihoods do.
const PROBABILITY_TOLERANCE: &str = "1e-4";
/// The tasks with such a metric.
const OF_PROBABILITIES: [&str; 1] = ["truthfulqa_mc2"];

fn zoo(args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_zoo")).args(args).output().expect("zoo starts")
}

/// A reference run.
struct Reference {
    file: PathBuf,
    task: String,
}

/// Reference runs of `model` by flags, so that one `zoo eval` serves several.
fn references(shared: &Path, model: &str) -> BTreeMap<Vec<String>, Vec<Reference>> {
    let suites = zoo(&["suites", "--all", "--format", "csv"]);
    assert!(suites.status.success());
    let suites = String::from_utf8(suites.stdout).unwrap();
    let known: Vec<&str> = suites.lines().filter_map(|line| line.split(',').next()).collect();
    let mut runs: BTreeMap<_, Vec<Reference>> = BTreeMap::new();
    for entry in std::fs::read_dir(shared.join("reference/lm_eval")).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with(&format!("{model}__")) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let header: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let task = header["task"].as_str().unwrap().to_owned();
        assert!(known.contains(&task.as_str()), "{task} is not among the suites");
        let listed = header["doc_ids"].as_array().map(|ids| ids.iter().filter_map(Value::as_u64).collect());
        let listed: Option<Vec<u64>> = listed;
        let first = match listed {
            Some(ids) => (0..).zip(ids).all(|(at, id)| at == id),
            None => header["doc_ids"].as_str().is_some_and(|ids| ids.starts_with("first") || ids == "all"),
        };
        assert!(first, "{}: documents {} are not the first ones", file.display(), header["doc_ids"]);
        let mut flags = ["--num-fewshot".to_owned(), header["num_fewshot"].to_string()].to_vec();
        flags.extend(["--limit".to_owned(), header["n"].to_string()]);
        if let Some(given) = header["gen_kwargs_override"].as_str() {
            flags.extend(["--gen-kwargs".to_owned(), given.to_owned()]);
        }
        flags.extend((header["predict_only"] == true).then(|| "--predict-only".to_owned()));
        runs.entry(flags).or_default().push(Reference { file, task });
    }
    runs
}

/// Runs every reference of `model`, or of each kind only one in `one_in`, and returns how many were compared.
fn compare(shared: &Path, model: &str, weights: &str, one_in: usize) -> usize {
    let data = shared.join("hub");
    let mut compared = 0;
    for (flags, references) in references(shared, model) {
        let mut references = references;
        references.sort_by(|a, b| a.file.cmp(&b.file));
        let references: Vec<Reference> = references.into_iter().step_by(one_in).collect();
        let out = tempfile::tempdir().unwrap();
        let run = out.path().join("run");
        let tasks: Vec<&str> = references.iter().map(|r| r.task.as_str()).collect();
        let suites = tasks.join(",");
        let own = ["eval", weights, "--quiet", "--suite", &suites];
        let place = ["--data-dir", data.to_str().unwrap(), "--out", run.to_str().unwrap()];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let output = zoo(&[&own[..], &place, &flags].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let samples = std::fs::read_dir(run.join("samples")).unwrap().next().unwrap().unwrap().path();
        for reference in references {
            let loose = OF_PROBABILITIES.contains(&reference.task.as_str());
            let metric_tolerance = if loose { PROBABILITY_TOLERANCE } else { METRIC_TOLERANCE };
            let comparison = Command::new("python3")
                .arg(shared.join("reference/compare.py"))
                .arg(&reference.file)
                .arg(samples.join(format!("{}.jsonl", reference.task)))
                .args(["--tol", LOGPROB_TOLERANCE, "--metric-tol", metric_tolerance])
                .output()
                .expect("python3 starts");
            let report = String::from_utf8_lossy(&comparison.stdout);
            assert!(comparison.status.success(), "{}: {report}", reference.file.display());
            assert!(report.contains("OK"), "{report}");
            compared += 1;
        }
    }
    compared
}

#[test]
#[ignore = "needs the shared reference folder"]
fn stories260k_in_safetensors_equals_the_reference() {
    let Some(shared) = shared() else { return };
    let weights = shared.join("hub/models/zoo-fixtures/stories260k");
    let compared = compare(&shared, "stories260k", weights.to_str().unwrap(), 1);
    assert!(compared >= 62, "only {compared} reference runs were compared");
}

/// The same numbers in another form, so that some of each kind of run suffice.
#[test]
#[ignore = "needs the shared reference folder"]
fn stories260k_in_gguf_equals_the_reference() {
    let Some(shared) = shared() else { return };
    let weights = shared.join("hub/models/zoo-fixtures/stories260k-gguf/stories260k-F32.gguf");
    let compared = compare(&shared, "stories260k", weights.to_str().unwrap(), 8);
    assert!(compared >= 15, "only {compared} reference runs were compared");
}

#[test]
#[ignore = "needs the shared reference folder and fetches the demo model"]
fn smollm2_equals_the_reference() {
    let Some(shared) = shared() else { return };
    let compared = compare(&shared, "smollm2-135m", "smollm2-135m", 1);
    assert!(compared >= 6, "only {compared} reference runs were compared");
}
