//! Written answers: the texts of every generating reference run, filtered and graded here, must give what
//! lm-evaluation-harness 0.4.13 made of them.
//!
//! Needs the shared folder with the reference outputs and the mirror of the data sets: `ZOO_SHARED`, or
//! `shared` beside the checkout.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::support::shared::shared;
use serde_json::Value;
use zoo::evaluate::{Answers, EvaluateError, filter, grade};
use zoo::tasks::{DataStore, Index, Limit, PrepareOptions, PreparedTask, Suite, prepare};

/// How far metrics may be apart: they are counts, or sums in another order.
const METRIC_TOLERANCE: f64 = 1e-9;

fn near(ours: f64, theirs: &Value) -> bool {
    theirs.as_f64().is_some_and(|theirs| (ours - theirs).abs() <= METRIC_TOLERANCE * theirs.abs().max(1.0))
}

/// Filters and grades one run; returns how many filtered answers and metrics were compared.
fn compare(file: &Path, task: &Arc<PreparedTask>, header: &Value, lines: &[Value]) -> (usize, usize) {
    let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    let answers = Answers::Written(texts.iter().map(|text| vec![(*text).to_owned()]).collect());
    let filtered = filter(task, &answers).unwrap().samples;
    let mut compared = (0, 0);
    for (line, ours) in lines.iter().zip(&filtered) {
        for (filter, theirs) in line["filtered"].as_object().unwrap() {
            assert_eq!(ours.filtered[filter], *theirs, "{}, document {}", file.display(), line["doc_id"]);
            compared.0 += 1;
        }
    }
    if header["predict_only"] == true {
        // Nothing was graded there, and grading would run programs.
        let graded = grade(task, &answers);
        assert!(matches!(graded, Err(EvaluateError::RunsPrograms { .. })), "{}", file.display());
        for (doc, ours) in task.docs.iter().zip(&filtered) {
            let program = format!("{}{}", doc.requests[0].context, texts[doc.doc_id]);
            assert_eq!(ours.filtered["create_test"], serde_json::json!([program]));
            compared.0 += 1;
        }
        return compared;
    }
    let graded = grade(task, &answers).unwrap();
    for (line, ours) in lines.iter().zip(&graded.samples) {
        for (metric, theirs) in line["metrics"].as_object().unwrap() {
            let place = format!("{}, document {}, {metric}", file.display(), line["doc_id"]);
            let ours =
                ours.metrics.get(metric).copied().unwrap_or_else(|| panic!("{place}: no such metric here"));
            assert!(near(ours, theirs), "{place}: {ours}, reference {theirs}");
            compared.1 += 1;
        }
    }
    for (key, theirs) in header["metrics"].as_object().unwrap() {
        let (metric, filter) = key.split_once(',').unwrap();
        let name = metric.strip_suffix("_stderr").unwrap_or(metric);
        let value = graded.metric(name, filter).unwrap_or_else(|| panic!("{}: no {key}", file.display()));
        let ours = if name == metric { value.value } else { value.stderr.unwrap() };
        assert!(near(ours, theirs), "{}: {key} is {ours}, reference {theirs}", file.display());
        compared.1 += 1;
    }
    compared
}

#[test]
#[ignore = "needs the shared reference folder"]
fn the_reference_s_own_texts_are_graded_alike() {
    let Some(shared) = shared() else { return };
    let index = Index::load(&[]).unwrap();
    let data = DataStore::new(Some(&shared.join("hub")), None);
    let (mut files, mut answers, mut metrics) = (0, 0, 0);
    for entry in fs::read_dir(shared.join("reference/lm_eval")).unwrap() {
        let file = entry.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let header = lines.next().unwrap();
        if header["output_type"] != "generate_until" {
            continue;
        }
        let lines: Vec<Value> = lines.collect();
        let Suite::Task(task) = index.resolve(header["task"].as_str().unwrap()).unwrap() else {
            panic!("{} is a group", header["task"])
        };
        let options = PrepareOptions {
            num_fewshot: header["num_fewshot"].as_u64().map(|n| n as usize),
            limit: Some(Limit::Count(lines.len())),
            ..PrepareOptions::default()
        };
        let task = Arc::new(prepare(&task, &data, &options).unwrap());
        let generation = task.generation.as_ref().unwrap();
        let stops: Vec<&str> = header["generation_kwargs"]["until"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(generation.until, stops, "{}", file.display());
        assert_eq!(generation.temperature, 0.0);
        let compared = compare(&file, &task, &header, &lines);
        files += 1;
        answers += compared.0;
        metrics += compared.1;
    }
    eprintln!("{files} runs, {answers} filtered answers and {metrics} metrics are equal");
    assert!(files >= 8 && answers >= 153 && metrics >= 200, "only {files} runs, {answers}, {metrics}");
}

#[test]
#[ignore = "needs the shared reference folder"]
fn zoo_score_grades_the_reference_s_own_texts_alike() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for entry in fs::read_dir(shared.join("reference/lm_eval")).unwrap() {
        let file = entry.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        let header: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        if header["output_type"] != "generate_until" {
            continue;
        }
        let task = header["task"].as_str().unwrap();
        let out = folder.path().join(compared.to_string());
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_zoo"));
        command.args(["score", "--suite", task, "--model", "reference", "--answers"]).arg(&file);
        command.arg("--data-dir").arg(shared.join("hub")).arg("--out").arg(&out);
        command.args([
            "--num-fewshot",
            &header["num_fewshot"].to_string(),
            "--limit",
            &header["n"].to_string(),
        ]);
        if header["predict_only"] == true {
            command.arg("--predict-only");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{task}: {}", String::from_utf8_lossy(&output.stderr));
        let samples = out.join("samples/reference").join(format!("{task}.jsonl"));
        let comparison = std::process::Command::new("python3")
            .arg(shared.join("reference/compare.py"))
            .args([&file, &samples])
            .output()
            .expect("python3 starts");
        let report = String::from_utf8_lossy(&comparison.stdout);
        assert!(comparison.status.success() && report.contains("OK"), "{}: {report}", file.display());
        let ours = fs::read_to_string(&samples).unwrap();
        let ours: Value = serde_json::from_str(ours.lines().next().unwrap()).unwrap();
        // Every metric of the reference is there, so that compare.py has compared it.
        for name in header["metrics"].as_object().unwrap().keys().filter(|_| header["predict_only"] != true) {
            assert!(ours["metrics"].get(name).is_some(), "{task}: no {name}");
        }
        compared += 1;
    }
    eprintln!("zoo score: {compared} runs are equal by compare.py");
    assert!(compared >= 8, "only {compared} runs were compared");
}
