//! The same bits for any size of waves, number of threads, order and sharing, and wherever the layers are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use zoo::kernels::Isa;

use crate::support::tiny::{command, stderr, write_tiny_bloom, write_tiny_model};

/// Parts of the suite `basics`.
const TASKS: [&str; 3] = ["basics_knowledge_en", "basics_letters_en", "basics_reading"];

/// The files of samples, each with its bytes but for the header line, which counts tasks and settings.
type Samples = BTreeMap<String, String>;

fn eval(folder: &Path, run: &str, suites: &str, extra: &[&str]) -> Samples {
    eval_with(None, folder, run, suites, extra)
}

/// The same with the products of an instruction set.
fn eval_with(isa: Option<Isa>, folder: &Path, run: &str, suites: &str, extra: &[&str]) -> Samples {
    let (model, out) = (folder.join("tiny"), folder.join(run));
    let fixed =
        ["eval", model.to_str().unwrap(), "--suite", suites, "--limit", "5", "--out", out.to_str().unwrap()];
    let mut command = command(&[&fixed, extra].concat());
    command.envs(isa.map(|isa| ("ZOO_ISA", isa.name())));
    let output = command.output().expect("zoo starts");
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

/// The largest difference of log-likelihoods that the order of a sum in f32 makes.
const ORDER_TOLERANCE: f64 = 2e-4;

/// All log-likelihoods of a file of samples.
fn logprobs(samples: &str) -> Vec<f64> {
    let lines = samples.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let choices = lines.flat_map(|line| line["choices"].as_array().unwrap().clone());
    choices.map(|choice| choice["logprob"].as_f64().unwrap()).collect()
}

/// Bits are those of the instruction set, whatever the waves, and numbers are near those of every other.
#[test]
fn every_instruction_set() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    let plain = eval_with(Some(Isa::Plain), folder.path(), "plain", TASKS[0], &[]);
    let plain = logprobs(plain.values().next().unwrap());
    assert!(plain.len() >= 10);
    for isa in Isa::with_stand_in() {
        let run = |name: &str, extra: &[&str]| {
            let name = format!("{}-{name}", isa.name());
            eval_with(Some(isa), folder.path(), &name, TASKS[0], extra)
        };
        let expected = run("all", &[]);
        assert_eq!(run("small-waves", &["--batch-tokens", "200", "--threads", "3"]), expected, "{isa:?}");
        let own = logprobs(expected.values().next().unwrap());
        let differences = own.iter().zip(&plain).map(|(a, b)| (a - b).abs());
        let worst = differences.fold(0.0, f64::max);
        assert!(own.len() == plain.len() && worst < ORDER_TOLERANCE, "{isa:?}: {worst}");
        // Each rounds in its own way.
        assert_eq!(worst == 0.0, isa == Isa::Plain, "{isa:?}");
        let rounded = run("rounded", &["--precision", "bf16"]);
        let small = ["--precision", "bf16", "--batch-tokens", "200", "--threads", "3"];
        assert_eq!(run("rounded-small", &small), rounded, "{isa:?}");
    }
}

/// Scores of dot products of pairs are not taken for those of multiply-adds, and attention counts where products are told.
#[test]
fn scores_with_other_bits_are_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    let model = folder.path().join("tiny");
    let [first, last] = [Isa::Plain, *Isa::with_stand_in().last().unwrap()];
    for extra in [&["--precision", "bf16"][..], &["--matmul", "portable"]] {
        let name = extra[1];
        eval_with(Some(first), folder.path(), name, TASKS[0], extra);
        let [then, out] = [name.to_owned(), format!("{name}-again")]
            .map(|run| folder.path().join(run).to_str().unwrap().to_owned());
        let args = ["eval", model.to_str().unwrap(), "--suite", TASKS[0], "--limit", "5", "--reuse", &then];
        let output = command(&[&args[..], &["--out", &out], extra].concat())
            .env("ZOO_ISA", last.name())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let run = fs::read_to_string(folder.path().join(&out).join("run.yaml")).unwrap();
        assert!(run.contains("reused: 0\n"), "{name}: {run}");
    }
}

/// Scores of tiles and of multiply-adds never stand in one ledger.
#[test]
fn a_run_goes_on_with_the_products_that_it_was_begun_with() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    eval_with(Some(Isa::Plain), folder.path(), "run", TASKS[0], &[]);
    let [model, out] = ["tiny", "run"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let again = ["eval", &model, "--suite", TASKS[0], "--limit", "5", "--out", &out, "--resume"];
    let tiles = Isa::with_stand_in().into_iter().find(|isa| isa.has_tiles()).unwrap();
    let output = command(&again).env("ZOO_ISA", tiles.name()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("matmul: portable then, tiles now"), "{}", stderr(&output));
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
