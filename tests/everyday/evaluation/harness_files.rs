//! The files of a run in the reference harness's form, field by field against those that lm-evaluation-harness 0.4.13
//! wrote for the same tasks (`tests/fixtures/harness/make.py`); only the model's answers differ.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::tiny::{stderr, stdout, write_tiny_model, zoo};
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/harness").join(name)
}

/// A run over the fixture's tasks; the folder with the model's files.
fn run(folder: &Path, extra: &[&str]) -> PathBuf {
    let (model, out, tasks) = (folder.join("tiny"), folder.join("run"), fixture("tasks"));
    write_tiny_model(&model);
    let mut args = vec!["eval", model.to_str().unwrap(), "--suite", "fixture_group,fixture_whole"];
    args.extend(["--include-path", tasks.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    args.extend(extra);
    let output = zoo(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    out.join("lm-eval/tiny")
}

/// The only file of a folder whose name begins so.
fn file(folder: &Path, begins: &str) -> PathBuf {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(begins));
    let one = found.next().unwrap_or_else(|| panic!("no {begins}… in {}", folder.display()));
    assert!(found.next().is_none());
    one
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Lists, texts and numbers in the same places.
fn same_form(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_form(a, b))
        }
        (Value::String(_), Value::String(_)) => true,
        (Value::Number(a), Value::Number(b)) => a.is_f64() == b.is_f64(),
        _ => a == b,
    }
}

#[test]
fn samples_are_the_harness_s() {
    let folder = tempfile::tempdir().unwrap();
    let ours = run(folder.path(), &["--log-samples"]);
    for task in ["fixture_colours", "fixture_words", "fixture_whole"] {
        let text = fs::read_to_string(file(&ours, &format!("samples_{task}_"))).unwrap();
        let wanted = fs::read_to_string(fixture(&format!("reference/samples_{task}.jsonl"))).unwrap();
        assert_eq!(text.lines().count(), wanted.lines().count(), "{task}");
        for (our_line, their_line) in text.lines().zip(wanted.lines()) {
            let ours: Value = serde_json::from_str(our_line).unwrap();
            let theirs: Value = serde_json::from_str(their_line).unwrap();
            assert_eq!(keys(&ours), keys(&theirs), "{task}");
            for (key, value) in theirs.as_object().unwrap() {
                let answer = ["resps", "filtered_resps"].contains(&key.as_str())
                    || theirs["metrics"].as_array().unwrap().contains(&Value::from(key.as_str()));
                if answer {
                    assert!(same_form(&ours[key], value), "{task}, {key}: {} and {value}", ours[key]);
                } else {
                    assert_eq!(ours[key], *value, "{task}, {key}");
                }
            }
            // Up to the answers the bytes are the same, spaces and digits included.
            let shared = |line: &str| line.split(", \"resps\":").next().unwrap().to_owned();
            assert_eq!(shared(our_line), shared(their_line));
        }
    }
}

#[test]
fn results_are_the_harness_s() {
    let folder = tempfile::tempdir().unwrap();
    let folder_of_model = run(folder.path(), &["--log-samples"]);
    let path = file(&folder_of_model, "results_");
    assert_eq!(fs::read(&path).unwrap(), fs::read(folder.path().join("run/results.json")).unwrap());
    let (ours, theirs) = (json(&path), json(&fixture("reference/results.json")));
    for key in ["group_subtasks", "versions", "n-shot", "higher_is_better", "n-samples", "task_hashes"] {
        assert_eq!(ours[key], theirs[key], "{key}");
        assert_eq!(keys(&ours[key]), keys(&theirs[key]), "{key}");
    }
    for part in ["results", "groups"] {
        assert_eq!(keys(&ours[part]), keys(&theirs[part]), "{part}");
        for (name, wanted) in theirs[part].as_object().unwrap() {
            let own = &ours[part][name];
            let mut names = (keys(own), keys(wanted));
            names.0.sort_unstable();
            names.1.sort_unstable();
            assert_eq!(names.0, names.1, "{name}");
            for (key, value) in wanted.as_object().unwrap() {
                let number = value.is_f64() && own[key].is_f64();
                assert!(number || own[key] == *value, "{name}, {key}: {} and {value}", own[key]);
            }
        }
    }
    // Each task once (`weight_by_size: false`): the error is that of a mean of independent means, √(Σ se²) / k.
    for results in [&ours["results"], &theirs["results"]] {
        let error = |task: &str| results[task]["acc_stderr,none"].as_f64().unwrap();
        let expected = error("fixture_colours").hypot(error("fixture_words")) / 2.0;
        assert!((error("fixture_group") - expected).abs() < 1e-15, "{results}");
    }
    for (task, wanted) in theirs["configs"].as_object().unwrap() {
        let mut own = ours["configs"][task].clone();
        let source = own["metadata"].as_object_mut().unwrap().remove("config_source");
        assert!(source.unwrap().as_str().unwrap().ends_with(".yaml"));
        assert_eq!(own, *wanted, "{task}");
        assert_eq!(keys(&own), keys(wanted), "{task}");
    }
    // The dummy model has no tokenizer; what changes from run to run was left out of the reference.
    let all = keys(&ours);
    let theirs_only: Vec<&str> = keys(&theirs).into_iter().filter(|key| !all.contains(key)).collect();
    assert_eq!(theirs_only, Vec::<&str>::new());
    let places: Vec<usize> =
        keys(&theirs).iter().map(|key| all.iter().position(|k| k == key).unwrap()).collect();
    assert!(places.is_sorted(), "{all:?}");
    assert_eq!(ours["tokenizer_bos_token"], serde_json::json!(["<s>", "256"]));
    assert_eq!((ours["max_length"].as_u64(), ours["eot_token_id"].as_u64()), (Some(2048), Some(257)));
    assert_eq!(ours["config"]["fewshot_seed"], 1234);
}

#[test]
fn samples_are_written_on_request_and_several_models_have_a_folder_each() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    write_tiny_model(&other);
    let own = run(folder.path(), &["--limit", "2", other.to_str().unwrap()]);
    let results = json(&file(&own, "results_"));
    assert_eq!(results["task_hashes"], serde_json::json!({}));
    assert_eq!(results["config"]["limit"], 2.0);
    assert_eq!(fs::read_dir(&own).unwrap().count(), 1);
    assert_eq!(json(&file(&own.with_file_name("other"), "results_"))["model_name"], "other");
    assert!(!folder.path().join("run/results.json").exists());
}

#[test]
fn a_group_shows_the_other_average_too() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &[]);
    let text = fs::read_to_string(folder.path().join("run/results.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let value = |task: &str, metric: &str, column: usize| -> f64 {
        let row = rows.iter().find(|row| &row[2] == task && &row[4] == metric).unwrap();
        row[column].parse().unwrap()
    };
    let (a, b) = (value("fixture_colours", "acc", 6), value("fixture_words", "acc", 6));
    assert!((value("fixture_group", "acc", 6) - (a + b) / 2.0).abs() < 1e-12);
    assert!((value("fixture_group", "acc_micro", 6) - (3.0 * a + 4.0 * b) / 7.0).abs() < 1e-12);
    let errors = (value("fixture_colours", "acc", 7), value("fixture_words", "acc", 7));
    let expected = (errors.0.powi(2) + errors.1.powi(2)).sqrt() / 2.0;
    assert!((value("fixture_group", "acc", 7) - expected).abs() < 1e-12);
    let help = stdout(&zoo(&["eval", "--help"]));
    assert!(help.contains("--log-samples"));
}
