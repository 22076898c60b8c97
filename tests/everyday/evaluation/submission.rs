//! C-Eval's test split, whose labels are not public: no numbers, but a file of answers to hand in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::tiny::{stderr, stdout, write_tiny_model, zoo};
use serde_json::Value;
use zoo::tasks::{Index, OutputType};

const CARD: &str = "---\nconfigs:\n- config_name: law\n  data_files:\n  - {split: test, path: law/test.jsonl}\n\
                    \x20 - {split: dev, path: law/dev.jsonl}\n- config_name: logic\n  data_files:\n\
                    \x20 - {split: test, path: logic/test.jsonl}\n---\n";

/// A question of our own in the columns of the data set; without a label as in its test split.
fn question(id: usize, answer: &str) -> String {
    format!(
        "{{\"id\": {id}, \"question\": \"第{id}题\", \"A\": \"甲\", \"B\": \"乙\", \"C\": \"丙\", \"D\": \"丁\", \
         \"answer\": \"{answer}\", \"explanation\": \"\"}}\n"
    )
}

/// A tiny model, and data of two subjects.
fn world() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    let data = data(folder.path());
    fs::create_dir_all(data.join("law")).unwrap();
    fs::create_dir(data.join("logic")).unwrap();
    fs::write(data.join("README.md"), CARD).unwrap();
    fs::write(data.join("law/dev.jsonl"), question(0, "C")).unwrap();
    let unlabelled = |ids: &[usize]| ids.iter().map(|id| question(*id, "")).collect::<String>();
    fs::write(data.join("law/test.jsonl"), unlabelled(&[0, 1, 7])).unwrap();
    fs::write(data.join("logic/test.jsonl"), unlabelled(&[3])).unwrap();
    folder
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data/datasets/ceval/ceval-exam")
}

fn eval(folder: &Path, flags: &[&str]) -> Output {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (model, data, run) = (path("tiny"), path("data"), path("run"));
    let args = ["eval", &model, "--suite", "ceval-test_law,ceval-test_logic", "--data-dir", &data];
    zoo(&[&args[..], &["--out", &run], flags].concat())
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The likeliest choice of each line of samples.
fn likeliest(samples: &Path) -> Vec<&'static str> {
    let text = fs::read_to_string(samples).unwrap();
    let choose = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["target"], &line["metrics"]), (&Value::Null, &serde_json::json!({})));
        let logprobs = line["choices"].as_array().unwrap().iter().map(|c| c["logprob"].as_f64().unwrap());
        let best = logprobs.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap();
        ["A", "B", "C", "D"][best.0]
    };
    text.lines().skip(1).map(choose).collect()
}

#[test]
fn answers_without_labels_become_a_file_and_no_numbers() {
    let folder = world();
    let output = eval(folder.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("none of the choices"), "{}", stderr(&output));
    let run = folder.path().join("run");
    let said = stderr(&output);
    assert_eq!(stdout(&output), "", "there are no results");
    assert!(said.contains("4 answers to hand in") && said.contains("ceval-test.json"), "{said}");
    assert_eq!(fs::read_to_string(run.join("results.csv")).unwrap().lines().count(), 1, "a head alone");

    let file = json(&run.join("submission/tiny/ceval-test.json"));
    let names = |key: &str| file[key].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((names("law"), names("logic")), (vec!["0".into(), "1".into(), "7".into()], vec!["3".into()]));
    let answers: Vec<&str> =
        file["law"].as_object().unwrap().values().map(|answer| answer.as_str().unwrap()).collect();
    assert_eq!(answers, likeliest(&run.join("samples/tiny/ceval-test_law.jsonl")));
}

#[test]
fn examples_have_labels_and_protocols_measure_nothing_either() {
    let folder = world();
    fs::remove_dir_all(data(folder.path()).join("logic")).unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let output = zoo(&[
        "eval",
        &path("tiny"),
        "--suite",
        "ceval-test_law",
        "--num-fewshot",
        "1",
        "--data-dir",
        &path("data"),
        "--out",
        &path("run"),
        "--protocol",
        "lm-eval-0.4.13,opencompass-ppl",
        "--metrics",
        "acc_bytes",
        "--log-samples",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let run = folder.path().join("run");
    assert_eq!(fs::read_to_string(run.join("results.csv")).unwrap().lines().count(), 1);
    let files = fs::read_dir(run.join("submission")).unwrap().count();
    assert_eq!(files, 2, "one folder for each protocol");
    let logged = fs::read_dir(run.join("lm-eval")).unwrap().flatten().flat_map(|e| fs::read_dir(e.path()));
    let mut logged = logged.flatten().flatten().map(|e| e.path());
    let logged = logged.find(|p| p.extension().is_some_and(|e| e == "jsonl")).unwrap();
    assert!(fs::read_to_string(logged).unwrap().contains("答案： C"), "the example's answer");
}

#[test]
fn documents_that_share_a_name_are_refused_before_anything_is_computed() {
    let folder = world();
    let twice = question(5, "") + &question(5, "");
    fs::write(data(folder.path()).join("law/test.jsonl"), twice).unwrap();
    let output = eval(folder.path(), &[]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("document 1") && text.contains("metadata.submission") && text.contains("\"5\""),
        "{text}"
    );
    assert!(!folder.path().join("run").exists());
}

#[test]
fn every_subject_of_the_labelled_split_has_its_unlabelled_one() {
    let index = Index::load(&[]).unwrap();
    let (valid, test) = (index.resolve("ceval-valid").unwrap(), index.resolve("ceval-test").unwrap());
    let (valid, test) = (valid.tasks(), test.tasks());
    assert_eq!((valid.len(), test.len()), (52, 52));
    for (valid, test) in valid.iter().zip(&test) {
        let subject = valid.name.strip_prefix("ceval-valid_").unwrap();
        let place = test.config.submission.as_ref().unwrap();
        assert_eq!((place.file.as_str(), place.key.as_str()), ("ceval-test", subject));
        assert_eq!(test.name, format!("ceval-test_{subject}"));
        assert_eq!(test.config.output_type, OutputType::MultipleChoice);
        assert_eq!(test.config.test_split.as_deref(), Some("test"));
        let same = |a: &zoo::tasks::TaskConfig| {
            (a.dataset_name.clone(), a.description.clone(), a.doc_to_text.clone(), a.fewshot_config.clone())
        };
        assert_eq!(same(&valid.config), same(&test.config), "{subject}");
        assert!(test.config.metrics().is_empty());
    }
}
