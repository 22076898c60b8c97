//! `zoo eval` against the reference harness: every reference run must come out equal: prompt hashes, token ids, log-likelihoods,
//! texts, metrics and standard errors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::shared::shared;
use serde_json::Value;
use zoo::kernels::Isa;

/// What `compare.py` allows: absolute up to 100 nats, in proportion beyond.
const LOGPROB_TOLERANCE: &str = "1e-3";
/// What it allows in a metric that is a count of documents.
const METRIC_TOLERANCE: &str = "1e-9";
/// What it allows in a metric that is made of probabilities themselves: they differ as log-likelihoods do.
const PROBABILITY_TOLERANCE: &str = "1e-4";
/// The tasks with such a metric.
const OF_PROBABILITIES: [&str; 1] = ["truthfulqa_mc2"];

fn zoo(args: &[&str]) -> std::process::Output {
    zoo_on(None, args)
}

/// With products of an instruction set.
fn zoo_on(isa: Option<&str>, args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
    command.args(args).envs(isa.map(|isa| ("ZOO_ISA", isa))).output().expect("zoo starts")
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
    let chosen = |references: Vec<Reference>| references.into_iter().step_by(one_in).collect();
    compare_on(None, shared, (model, weights), &chosen, &mut |_, _| {})
}

/// Runs what is `chosen` of each kind of references of a model and its weights, on an instruction set if one is named, shows every
/// task's rows to `see`, and returns how many runs were compared.
fn compare_on(
    isa: Option<&str>,
    shared: &Path,
    (model, weights): (&str, &str),
    chosen: &dyn Fn(Vec<Reference>) -> Vec<Reference>,
    see: &mut dyn FnMut(&str, &Path),
) -> usize {
    let data = shared.join("hub");
    let mut compared = 0;
    for (flags, references) in references(shared, model) {
        let mut references = references;
        references.sort_by(|a, b| a.file.cmp(&b.file));
        let references = chosen(references);
        if references.is_empty() {
            continue;
        }
        let out = tempfile::tempdir().unwrap();
        let run = out.path().join("run");
        let tasks: Vec<&str> = references.iter().map(|r| r.task.as_str()).collect();
        let suites = tasks.join(",");
        let own = ["eval", weights, "--quiet", "--suite", &suites];
        let place = ["--data-dir", data.to_str().unwrap(), "--out", run.to_str().unwrap()];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let output = zoo_on(isa, &[&own[..], &place, &flags].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let samples = std::fs::read_dir(run.join("samples")).unwrap().next().unwrap().unwrap().path();
        for reference in references {
            let loose = OF_PROBABILITIES.contains(&reference.task.as_str());
            let metric_tolerance = if loose { PROBABILITY_TOLERANCE } else { METRIC_TOLERANCE };
            let rows = samples.join(format!("{}.jsonl", reference.task));
            let comparison = Command::new("python3")
                .arg(shared.join("reference/compare.py"))
                .arg(&reference.file)
                .arg(&rows)
                .args(["--tol", LOGPROB_TOLERANCE, "--metric-tol", metric_tolerance])
                .output()
                .expect("python3 starts");
            let report = String::from_utf8_lossy(&comparison.stdout);
            assert!(comparison.status.success(), "{}: {report}", reference.file.display());
            assert!(report.contains("OK"), "{report}");
            see(&reference.task, &rows);
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

/// A run of each kind (choices, one continuation, rolling, texts) that is short on all of them.
const OF_EACH_KIND: [&str; 4] =
    ["winogrande", "mmlu_astronomy", "wikitext", "bbh_cot_fewshot_boolean_expressions"];
/// How far log-likelihoods of an instruction set may lie from those of plain Rust.
const PORTABLE_TOLERANCE: f64 = 2e-4;

/// Log-likelihoods of every document, and whether they are greedy.
type Scored = BTreeMap<(String, u64), Vec<(f64, Value)>>;

#[test]
#[ignore = "needs the shared reference folder"]
fn every_instruction_set_equals_the_reference_and_is_near_the_portable_one() {
    let Some(shared) = shared() else { return };
    let weights = shared.join("hub/models/zoo-fixtures/stories260k");
    let chosen = |references: Vec<Reference>| {
        references.into_iter().filter(|one| OF_EACH_KIND.contains(&one.task.as_str())).collect()
    };
    let all: Vec<(Isa, Scored)> = Isa::with_stand_in()
        .into_iter()
        .map(|isa| {
            let mut scored = Scored::new();
            let mut see = |task: &str, rows: &Path| {
                for row in std::fs::read_to_string(rows).unwrap().lines() {
                    let row: Value = serde_json::from_str(row).unwrap();
                    let Some(choices) = row["choices"].as_array() else { continue };
                    let of =
                        |choice: &Value| (choice["logprob"].as_f64().unwrap(), choice["is_greedy"].clone());
                    let document = (task.to_owned(), row["doc_id"].as_u64().unwrap());
                    scored.insert(document, choices.iter().map(of).collect());
                }
            };
            let model = ("stories260k", weights.to_str().unwrap());
            let compared = compare_on(Some(isa.name()), &shared, model, &chosen, &mut see);
            assert_eq!(compared, OF_EACH_KIND.len(), "{}", isa.name());
            (isa, scored)
        })
        .collect();
    let (portable, others) = all.split_first().expect("plain Rust is everywhere");
    assert!(portable.0 == Isa::Plain && portable.1.len() >= 200, "{} documents", portable.1.len());
    for (isa, scored) in others {
        assert_eq!(scored.len(), portable.1.len());
        for ((document, own), portable) in scored.iter().zip(portable.1.values()) {
            for ((logprob, is_greedy), (expected, expected_greedy)) in own.iter().zip(portable) {
                // Absolute up to 100 nats, in proportion beyond, as the reference is held.
                let allowed = PORTABLE_TOLERANCE * (expected.abs() / 100.0).max(1.0);
                let error = (logprob - expected).abs();
                assert!(error <= allowed, "{} {document:?}: {logprob} and {expected}", isa.name());
                assert_eq!(is_greedy, expected_greedy, "{} {document:?}", isa.name());
            }
            let best = |of: &[(f64, Value)]| {
                of.iter().enumerate().max_by(|a, b| a.1.0.total_cmp(&b.1.0)).map(|(at, _)| at)
            };
            assert_eq!(best(own), best(portable), "{} {document:?}", isa.name());
        }
    }
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
