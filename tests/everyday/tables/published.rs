//! Published scores: as a leaderboard, and beside what was measured.

use super::write_run;
use crate::support::tiny::{command, stderr, stdout};

#[test]
fn the_leaderboard() {
    let asked = [
        "scores",
        "--suite",
        "ceval-valid,cmmlu,mmlu",
        "--language",
        "zh",
        "--sort",
        "cmmlu",
        "--max-size",
        "7B",
    ];
    let output = command(&asked).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    let position = |name: &str| table.find(&format!(" {name} ")).unwrap_or_else(|| panic!("{name}: {table}"));
    assert!(position("chinese-alpaca-2-7b") < position("chinese-llama-2-7b"), "by CMMLU: {table}");
    assert!(!table.contains("13b") && !table.contains(" llama-7b "), "{table}");
    let long = command(&[&asked[..], &["--format", "csv"]].concat()).output().unwrap();
    let long = stdout(&long);
    let mut rows = csv::Reader::from_reader(long.as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert!(
        rows.len() > 10 && rows.iter().all(|row| &row[1] == "published" && !row[11].is_empty()),
        "{long}"
    );
}

#[test]
fn a_published_score_stands_beside_a_measured_one_and_says_whether_they_compare() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    write_run(
        &run,
        "llama-7b",
        "exact",
        &[("mmlu", "acc", 0.36, 0.004, 60), ("hellaswag", "acc", 0.5, 0.01, 30)],
    );
    let yaml = std::fs::read_to_string(run.join("run.yaml")).unwrap();
    std::fs::write(
        run.join("run.yaml"),
        yaml.replace("  path: somewhere", "  card: llama-7b\n  path: somewhere"),
    )
    .unwrap();
    let csv = std::fs::read_to_string(run.join("results.csv")).unwrap();
    std::fs::write(run.join("results.csv"), csv.replace("basics,mmlu,0,", "mmlu,mmlu,5,")).unwrap();
    let report = || {
        let output = command(&["report", run.to_str().unwrap(), "--format", "json"]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str::<serde_json::Value>(&stdout(&output)).unwrap()["published"].clone()
    };
    let said = |lines: &serde_json::Value| {
        let of_mmlu = lines
            .as_array()
            .unwrap()
            .iter()
            .find(|line| line["task"] == "mmlu" && line["published_num_fewshot"] == 5);
        of_mmlu.unwrap_or_else(|| panic!("{lines}")).clone()
    };
    let line = said(&report());
    assert_eq!((&line["verdict"], line["published"].as_f64()), (&"differs".into(), Some(0.351)), "{line}");
    assert!((line["in_stderrs"].as_f64().unwrap() - 2.25).abs() < 1e-9, "{line}");
    // So is what was measured by other rules, or with the options in another order.
    let own = std::fs::read_to_string(run.join("run.yaml")).unwrap();
    let five = std::fs::read_to_string(run.join("results.csv")).unwrap();
    for (yaml, csv, why) in [
        (
            own.replace("protocol: lm-eval-0.4.13", "protocol: llama.cpp"),
            five.replace("lm-eval-0.4.13", "llama.cpp"),
            "under the protocol llama.cpp",
        ),
        (
            own.replace("  precision: exact", "  rotation: 1\n  precision: exact"),
            five.clone(),
            "moved on by 1",
        ),
    ] {
        std::fs::write(run.join("run.yaml"), yaml).unwrap();
        std::fs::write(run.join("results.csv"), csv).unwrap();
        let line = said(&report());
        assert!(line["verdict"] == "not comparable" && line["why"].as_str().unwrap().contains(why), "{line}");
    }
    std::fs::write(run.join("run.yaml"), own).unwrap();
    // Other shots, and a part of the documents, are no such value.
    std::fs::write(run.join("results.csv"), csv.replace("basics,mmlu,0,", "mmlu,mmlu,0,")).unwrap();
    let line = said(&report());
    assert_eq!(line["verdict"], "not comparable");
    assert!(line["why"].as_str().unwrap().contains("0 shots, published with 5"), "{line}");
    assert!(line["difference"].is_null() && line["in_stderrs"].is_null(), "{line}");
}

#[test]
fn measured_scores_stand_in_the_leaderboard_by_the_metric_of_the_published_ones() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        ("hellaswag", "acc", 0.3, 0.01, 30),
        ("hellaswag", "acc_norm", 0.4, 0.01, 30),
        ("ceval-valid", "acc", 0.33, 0.01, 30),
    ];
    write_run(&folder.path().join("run"), "m", "exact", &lines);
    let run = folder.path().join("run");
    let output =
        command(&["scores", "llama-7b", "--suite", "hellaswag,ceval", "--runs", run.to_str().unwrap()])
            .output()
            .unwrap();
    let table = stdout(&output);
    let own = table.lines().find(|line| line.contains("m (measured)")).unwrap_or_else(|| panic!("{table}"));
    assert!(own.contains("0.400 (0)") && own.contains("0.330 (0)") && !own.contains("acc"), "{table}");
    let losses = command(&["scores", "--suite", "toxigen"]).output().unwrap();
    assert!(!stdout(&losses).contains("0.2"), "less is better there: {}", stdout(&losses));
    let rated = stdout(&command(&["scores", "--suite", "mt_bench", "--percent"]).output().unwrap());
    assert!(!rated.contains("00.0"), "a rating is no share: {rated}");
}
