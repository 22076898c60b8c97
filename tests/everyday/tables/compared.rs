//! `zoo report --baseline`: two models on the same documents.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::json;
use zoo::records::{SampleLine, read_samples};

use crate::support::place::{Place, assert_says};
use crate::support::tiny::{stderr, stdout, write_tiny_bloom};

/// Rounding of sums of some hundred numbers.
const SUMS: f64 = 1e-9;

/// A run of two models of random weights on all of `basics`, and on a task of two passages.
pub(super) fn run() -> Place {
    let place = Place::new(&[]);
    write_tiny_bloom(&place.path("bloom"));
    let row = |passage: &str, q: usize| json!({"passage": passage, "q": q, "gold": q % 2}).to_string() + "\n";
    let rows = (0..12).map(|q| row(if q < 7 { "first" } else { "\u{1b}[2J=cmd()" }, q));
    place.task("rows.jsonl", rows.collect::<String>());
    place.task(
        "passages.yaml",
        "task: passages\noutput_type: multiple_choice\ndataset_path: json\n\
         dataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\nnum_fewshot: 0\n\
         doc_to_text: \"{{passage}} {{q}}?\"\ndoc_to_choice: [\"yes\", \"no\"]\ndoc_to_target: gold\n\
         metric_list: [{metric: acc}, {metric: brier_score}]\nmetadata: {cluster: passage}\n",
    );
    place.run("run", &[&place.text("bloom"), "--suite", "basics,passages"]);
    place
}

pub(super) fn good(output: Output) -> String {
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// The lines of differences in CSV, by task, metric and model.
fn differences(text: &str) -> BTreeMap<[String; 3], BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().unwrap().clone();
    let line = |record: csv::StringRecord| {
        let cells = head.iter().map(str::to_owned).zip(record.iter().map(str::to_owned));
        let cells: BTreeMap<String, String> = cells.collect();
        (["task", "metric", "first"].map(|key| cells[key].clone()), cells)
    };
    reader.records().map(|record| line(record.unwrap())).collect()
}

pub(super) fn samples(place: &Place, model: &str, task: &str) -> Vec<SampleLine> {
    read_samples(&place.path(&format!("run/samples/{model}/{task}.jsonl"))).unwrap().1
}

pub(super) fn values(lines: &[SampleLine], key: &str) -> Vec<f64> {
    lines.iter().map(|line| line.metrics[key]).collect()
}

fn number(cells: &BTreeMap<String, String>, key: &str) -> f64 {
    cells[key].parse().unwrap_or_else(|_| panic!("{key} of {cells:?}"))
}

#[test]
fn two_models_are_compared_document_by_document() {
    let place = run();
    let report = |extra: &[&str]| place.zoo(&[&["report", &place.text("run")], extra].concat());
    let lines = differences(&good(report(&["--baseline", "tiny", "--format", "csv"])));
    let line = |task: &str, metric: &str| &lines[&[task, metric, "bloom"].map(str::to_owned)];

    let [own, other] = ["bloom", "tiny"].map(|model| samples(&place, model, "basics_yesno"));
    let (own, other) = (values(&own, "acc,none"), values(&other, "acc,none"));
    let alone = |a: f64, b: f64| own.iter().zip(&other).filter(|pair| *pair == (&a, &b)).count();
    let (b, c, n) = (alone(1.0, 0.0), alone(0.0, 1.0), own.len() as f64);
    let cells = line("basics_yesno", "acc");
    assert!((number(cells, "difference") - (b as f64 - c as f64) / n).abs() < SUMS, "{cells:?}");
    // 2 Σ C(b + c, i) / 2^(b + c), term by term.
    let choose = |n: usize, k: usize| (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product::<f64>();
    let tail: f64 = (0..=b.min(c)).map(|i| choose(b + c, i)).sum::<f64>() / 2f64.powi((b + c) as i32);
    assert!((number(cells, "p") - (2.0 * tail).min(1.0)).abs() < SUMS, "{cells:?}");
    assert_eq!(cells["test"], "McNemar");
    assert!(number(cells, "p_holm") >= number(cells, "p"));
    let (low, high) = (number(cells, "interval_low"), number(cells, "interval_high"));
    assert!(low < number(cells, "difference") && number(cells, "difference") < high);

    // A group by size is its documents; one of tasks is the mean of their differences.
    let tasks: Vec<&BTreeMap<String, String>> = lines
        .iter()
        .filter(|([task, metric, _], _)| task.starts_with("basics_") && metric == "acc")
        .map(|(_, cells)| cells)
        .collect();
    let all: f64 = tasks.iter().map(|cells| number(cells, "n")).sum();
    let by_size: f64 =
        tasks.iter().map(|cells| number(cells, "difference") * number(cells, "n")).sum::<f64>() / all;
    let group = line("basics", "acc");
    assert_eq!(number(group, "n"), all);
    assert!((number(group, "difference") - by_size).abs() < SUMS, "{group:?}");
    let each = tasks.iter().map(|cells| number(cells, "difference")).sum::<f64>() / tasks.len() as f64;
    let macros = line("basics", "acc_macro");
    assert!((number(macros, "difference") - each).abs() < SUMS, "{macros:?}");
    assert!(macros["test"].starts_with("permutation"), "{macros:?}");

    // Two passages change sides, which gives four arrangements.
    let passages = line("passages", "acc");
    assert_eq!((passages["clusters"].as_str(), passages["n"].as_str()), ("2", "12"));
    assert!([0.5, 1.0].contains(&number(passages, "p")), "{passages:?}");
    assert_eq!(line("passages", "brier_score")["test"], "permutation, exact");

    // The same the other way round, and in the forms for people.
    let back = differences(&good(report(&["--baseline", "bloom", "--format", "csv"])));
    let back = &back[&["basics_yesno", "acc", "tiny"].map(str::to_owned)];
    assert!((number(back, "difference") + number(cells, "difference")).abs() < SUMS);
    assert_eq!(back["p"], cells["p"]);
    let text = good(report(&["--baseline", "tiny"]));
    assert!(text.contains("p (Holm)") && text.contains("docs/statistics.md"), "{text}");
    assert!(good(report(&["--pairs", "--format", "md"])).contains("## Differences"));
    assert_says(&report(&["--baseline", "llama"]), 2, &["--baseline llama", "tiny", "bloom"]);
}

/// A run `other` of `tony`, who answers as `tiny` does and had other data of `passages`; without samples.
pub(super) fn other_data(place: &Place) -> PathBuf {
    let other = place.path("other");
    fs::create_dir(&other).unwrap();
    for file in ["run.yaml", "results.csv"] {
        let text = place.read(&format!("run/{file}")).replace("tiny", "tony");
        // As if a task's data had been another.
        let digest = place.read("run/results.csv");
        let digest = digest.lines().find(|line| line.contains(",passages,")).unwrap();
        let digest = digest.split(',').nth(13).unwrap();
        fs::write(other.join(file), text.replace(digest, &"ab".repeat(32))).unwrap();
    }
    other
}

#[test]
fn what_was_not_asked_alike_is_not_compared() {
    let place = run();
    let other = other_data(&place);
    let report = || {
        place.zoo(&[
            "report",
            &place.text("run"),
            &place.text("other"),
            "--baseline",
            "tiny",
            "--format",
            "csv",
        ])
    };
    let reason = |output: Output, task: &str| {
        let lines = differences(&good(output));
        lines[&[task, "acc", "tony"].map(str::to_owned)]["reason"].clone()
    };
    assert!(reason(report(), "basics_yesno").contains("expected samples of basics_yesno"));
    fs::create_dir_all(other.join("samples/tony")).unwrap();
    for file in fs::read_dir(place.path("run/samples/tiny")).unwrap() {
        let file = file.unwrap();
        let text = fs::read_to_string(file.path()).unwrap().replace("\"tiny\"", "\"tony\"");
        fs::write(other.join("samples/tony").join(file.file_name()), text).unwrap();
    }
    assert_eq!(reason(report(), "basics_yesno"), "");
    assert!(reason(report(), "passages").contains("not the same data"));
    let page = place.zoo(&["report", &place.text("run"), &place.text("other"), "--format", "html"]);
    assert!(good(page).contains("tony was asked other data of passages: "));
    // A file that lost its end.
    let cut = other.join("samples/tony/basics_yesno.jsonl");
    let text = fs::read_to_string(&cut).unwrap();
    let shorter: Vec<&str> = text.lines().collect();
    fs::write(&cut, shorter[..shorter.len() - 1].join("\n")).unwrap();
    assert!(reason(report(), "basics_yesno").contains("expected lines"));
    // The group that it is in cannot be compared either.
    assert!(reason(report(), "basics").contains("expected lines"));
}
