//! The same bits for any size of waves, number of threads, order and sharing, and wherever the layers are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::tiny::{stderr, write_tiny_bloom, write_tiny_model, zoo};

/// Parts of the suite `basics`.
const TASKS: [&str; 3] = ["basics_knowledge_en", "basics_letters_en", "basics_reading"];

/// The files of samples, each with its bytes but for the header line, which counts tasks and settings.
type Samples = BTreeMap<String, String>;

fn eval(folder: &Path, run: &str, suites: &str, extra: &[&str]) -> Samples {
    let (model, out) = (folder.join("tiny"), folder.join(run));
    let fixed =
        ["eval", model.to_str().unwrap(), "--suite", suites, "--limit", "5", "--out", out.to_str().unwrap()];
    let output = zoo(&[&fixed, extra].concat());
    assert!(output.status.success(), "{extra:?}: {}", stderr(&output));
    let samples = fs::read_dir(out.join("samples/tiny")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    samples.collect()
}

fn every_way_gives_the_same_bytes(folder: &Path, precision: &[&str]) {
    let all = TASKS.join(",");
    let run =
        |name: &str, suites: &str, extra: &[&str]| eval(folder, name, suites, &[precision, extra].concat());
    let expected = run("all", &all, &[]);
    assert_eq!(expected.len(), TASKS.len());
    // Any threads, any waves, any place of the layers.
    assert_eq!(run("one-thread", &all, &["--threads", "1"]), expected);
    assert_eq!(run("small-waves", &all, &["--batch-tokens", "200", "--threads", "3"]), expected);
    assert_eq!(run("middle-waves", &all, &["--batch-tokens", "1500"]), expected);
    assert_eq!(run("disk", &all, &["--layers", "disk", "--batch-tokens", "700"]), expected);
    // Another order.
    let reversed: Vec<&str> = TASKS.iter().rev().copied().collect();
    assert_eq!(run("reversed", &reversed.join(","), &[]), expected);
    // Nothing shared between tasks.
    let apart: Samples = TASKS.iter().flat_map(|task| run(task, task, &[])).collect();
    assert_eq!(apart, expected);
}

#[test]
fn llama() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    every_way_gives_the_same_bytes(folder.path(), &[]);
}

#[test]
fn llama_in_integers() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    every_way_gives_the_same_bytes(folder.path(), &["--precision", "int8"]);
}

#[test]
fn bloom() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_bloom(&folder.path().join("tiny"));
    every_way_gives_the_same_bytes(folder.path(), &[]);
}

#[test]
fn what_a_precision_changes_is_in_a_table_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    let exact = eval(folder.path(), "exact", "basics_reading", &[]);
    let same = eval(folder.path(), "same", "basics_reading", &["--against", "exact"]);
    assert_eq!(same, exact, "comparing does not change the numbers");
    let read = |run: &str| -> Vec<BTreeMap<String, String>> {
        let path = folder.path().join(run).join("precision.csv");
        csv::Reader::from_path(path).unwrap().deserialize().map(|row| row.unwrap()).collect()
    };
    let rows = read("same");
    let of = |rows: &[BTreeMap<String, String>], metric: &str, column: &str| -> f64 {
        rows.iter().find(|row| row["metric"] == metric).unwrap()[column].parse().unwrap()
    };
    assert_eq!((of(&rows, "kl_divergence", "value"), of(&rows, "top_token_agreement", "value")), (0.0, 1.0));
    assert_eq!((of(&rows, "acc", "difference"), of(&rows, "acc", "stderr")), (0.0, 0.0));
    eval(folder.path(), "int8", "basics_reading", &["--precision", "int8", "--against", "exact"]);
    let rows = read("int8");
    let kl = of(&rows, "kl_divergence", "value");
    assert!(kl > 0.0 && kl < 0.1, "{kl}");
    assert!(of(&rows, "kl_divergence", "n") > 10.0);
    assert_eq!(of(&rows, "acc", "n"), 5.0);
}
