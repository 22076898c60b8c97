//! Runs side by side, in every form.

use std::fs;
use std::path::Path;

use super::{write_harness_file, write_run};
use crate::support::tiny::{command, stderr, stdout, write_tiny_model};

/// Two runs of one model in two arithmetics, and a file of the reference harness.
fn write_runs(folder: &Path) {
    let exact = [
        ("basics", "acc", 0.5, 0.05, 90),
        ("basics_yesno", "acc", 0.4, 0.09, 30),
        ("basics_cloze_zh", "acc", 0.55, 0.06, 60),
    ];
    let faster = [("basics_yesno", "acc", 0.3, 0.08, 30), ("basics_cloze_zh", "acc", 0.55, 0.06, 60)];
    write_run(&folder.join("runs/exact"), "m", "exact", &exact);
    write_run(&folder.join("runs/faster"), "m", "bf16", &faster);
    write_harness_file(&folder.join("runs/results_2025-11-30.json"));
}

fn zoo_in(folder: &Path, args: &[&str]) -> std::process::Output {
    command(args).current_dir(folder).output().unwrap()
}

#[test]
fn every_form() {
    let folder = tempfile::tempdir().unwrap();
    write_runs(folder.path());
    let form = |flags: &[&str]| {
        let output = zoo_in(folder.path(), &[&["report", "runs"], flags].concat());
        assert!(output.status.success(), "{flags:?}: {}", stderr(&output));
        format!("=== {} ===\n{}", flags.join(" "), stdout(&output))
    };
    let forms = [
        &["--format", "table"][..],
        &["--percent"],
        &["--format", "csv"],
        &["--format", "wide"],
        &["--format", "md", "--percent"],
        &["--format", "latex", "--percent"],
        &["--format", "json", "--metric", "acc", "--suite", "basics_yesno"],
    ];
    insta::assert_snapshot!(forms.map(form).concat());
    let output = zoo_in(folder.path(), &["report", "runs", "--format", "csv", "--out", "all.csv"]);
    assert!(
        stdout(&output).is_empty() && stderr(&output).contains("3 runs, 6 values: all.csv"),
        "{}",
        stderr(&output)
    );
    let written = fs::read_to_string(folder.path().join("all.csv")).unwrap();
    assert_eq!(written, form(&["--format", "csv"]).split_once('\n').unwrap().1);
}

/// The page without its style and script, which are files of their own, and the digests by which it knows them.
#[test]
fn the_page() {
    let folder = tempfile::tempdir().unwrap();
    write_runs(folder.path());
    let html = stdout(&zoo_in(folder.path(), &["report", "runs", "--format", "html"]));
    let mut kept = String::new();
    let mut rest = html.as_str();
    for (begin, end) in [("<meta http-equiv", ">"), ("<style>", "</style>"), ("<script>", "</script>")] {
        let (before, after) = rest.split_once(begin).unwrap_or_else(|| panic!("no {begin}"));
        kept += before;
        rest = after.split_once(end).unwrap().1;
    }
    insta::assert_snapshot!(kept + rest);
}

#[test]
fn runs_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    write_runs(folder.path());
    fs::create_dir(folder.path().join("runs/broken")).unwrap();
    fs::write(folder.path().join("runs/broken/run.yaml"), "zoo: [").unwrap();
    let output = zoo_in(folder.path(), &["runs", "runs"]);
    assert!(stderr(&output).contains("broken"), "{}", stderr(&output));
    insta::assert_snapshot!(stdout(&output));
    let paths = zoo_in(folder.path(), &["runs", "runs", "--paths"]);
    assert_eq!(stdout(&paths), "runs/results_2025-11-30.json\nruns/exact\nruns/faster\n");
    fs::create_dir(folder.path().join("none")).unwrap();
    let none = zoo_in(folder.path(), &["runs", "none"]);
    assert!(none.status.success() && stderr(&none).contains("no runs; `zoo eval"), "{}", stderr(&none));
}

#[test]
fn a_run_that_was_just_made_is_read_with_all_that_it_says() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    for precision in ["exact", "bf16"] {
        let flags = ["eval", "tiny", "--suite", "basics_yesno,basics_cloze_zh", "--limit", "5", "--quiet"];
        let output =
            zoo_in(folder.path(), &[&flags[..], &["--precision", precision, "--out", precision]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let output = zoo_in(folder.path(), &["report", "exact", "bf16", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let columns: Vec<&str> =
        report["sources"].as_array().unwrap().iter().map(|own| own["model"].as_str().unwrap()).collect();
    assert_eq!(columns, ["tiny [exact]", "tiny [bf16]"]);
    let rows = report["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["n"] == 5 && row["of"].as_u64().unwrap() > 5), "{rows:?}");
    // What a run says of itself is what its report says.
    let results = fs::read_to_string(folder.path().join("exact/results.csv")).unwrap();
    let long = stdout(&zoo_in(folder.path(), &["report", "exact", "--format", "csv"]));
    for (own, joined) in results.lines().zip(long.lines()) {
        assert!(joined.starts_with(own), "{own}\n{joined}");
    }
    assert_eq!(results.lines().count(), long.lines().count());
    let table = stdout(&zoo_in(folder.path(), &["report", "exact"]));
    assert!(table.contains("5 of 30") && table.contains("these are no results of"), "{table}");
}

#[test]
fn how_sure_models_are_follows_from_their_samples() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    let flags = ["eval", "tiny", "--suite", "basics_letters_en", "--limit", "6", "--quiet", "--out", "own"];
    assert!(zoo_in(folder.path(), &flags).status.success());
    let output = zoo_in(folder.path(), &["report", "own", "--calibration", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let [line] = &report["calibration"].as_array().unwrap()[..] else { panic!("{report}") };
    let samples = fs::read_to_string(folder.path().join("own/samples/tiny/basics_letters_en.jsonl")).unwrap();
    let (mut brier, mut places) = (0.0, [0_usize; 4]);
    for sample in samples.lines().skip(1) {
        let sample: serde_json::Value = serde_json::from_str(sample).unwrap();
        let scores: Vec<f64> =
            sample["choices"].as_array().unwrap().iter().map(|c| c["logprob"].as_f64().unwrap()).collect();
        let sum: f64 = scores.iter().map(|score| score.exp()).sum();
        for (place, score) in scores.iter().enumerate() {
            let right = f64::from(u8::from(sample["target"] == place));
            brier += (score.exp() / sum - right).powi(2) / 6.0;
        }
        places[(0..4).max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a))).unwrap()] += 1;
    }
    assert!((line["brier"].as_f64().unwrap() - brier).abs() < 1e-9, "{line}, not {brier}");
    assert!((0.0..=1.0).contains(&line["ece"].as_f64().unwrap()) && line["n"] == 6, "{line}");
    let most = places.iter().max().unwrap();
    assert_eq!(line["its_share"].as_f64(), Some(*most as f64 / 6.0), "{line}, {places:?}");
    let table = stdout(&zoo_in(folder.path(), &["report", "own", "--calibration"]));
    assert!(table.contains("How sure models are") && table.contains("ECE is the expected"), "{table}");
}

#[test]
fn the_reference_harness_s_files_and_ours_in_its_form_are_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    let flags = ["eval", "tiny", "--suite", "basics", "--limit", "4", "--quiet", "--out", "own"];
    assert!(zoo_in(folder.path(), &flags).status.success());
    let values = |path: &str| {
        let output = zoo_in(folder.path(), &["report", path, "--format", "json"]);
        let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        let mut values: Vec<String> = report["rows"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["metric"] != "acc_macro" && row["metric"] != "acc_micro")
            .map(|row| {
                ["suite", "task", "num_fewshot", "metric", "value", "n", "of", "protocol", "version"]
                    .map(|key| row[key].to_string())
                    .join(" ")
            })
            .collect();
        values.sort();
        values
    };
    assert_eq!(values("own/results.json"), values("own"));
}

#[test]
fn what_is_no_run_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write_runs(folder.path());
    fs::create_dir_all(folder.path().join("unfinished")).unwrap();
    fs::write(folder.path().join("unfinished/run.partial.yaml"), "").unwrap();
    fs::write(folder.path().join("a.json"), "{}").unwrap();
    for (args, code, said) in [
        (&["report"][..], 2, "required"),
        (&["report", "nowhere"], 1, "nowhere: expected the folder of a finished run"),
        (&["report", "unfinished"], 1, "--resume"),
        (&["report", "a.json"], 1, "results file of lm-evaluation-harness"),
        (&["report", "runs", "--suite", "mmlu"], 2, "the runs have basics, basics_yesno"),
        (&["report", "runs", "--metric", "f1"], 2, "the runs have acc"),
        (&["runs", "nowhere"], 1, "nowhere"),
        (&["scores", "--suite", "no-such"], 2, "there are scores of"),
        (&["scores", "--sort", "mmlu", "--suite", "cmmlu"], 2, "expected one of the suites"),
        (&["scores", "--max-size", "large"], 2, "expected a number of parameters"),
    ] {
        let output = zoo_in(folder.path(), args);
        assert!(stderr(&output).contains(said), "{args:?}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn values_of_different_documents_say_so_and_none_is_the_best() {
    let folder = tempfile::tempdir().unwrap();
    write_run(&folder.path().join("a"), "a", "exact", &[("basics_yesno", "acc", 0.5, 0.09, 60)]);
    write_run(&folder.path().join("b"), "b", "exact", &[("basics_yesno", "acc", 0.6, 0.2, 5)]);
    let report = |form: &str| stdout(&zoo_in(folder.path(), &["report", "a", "b", "--format", form]));
    let table = report("table");
    assert!(
        table.contains("differs") && table.contains("(n 5 of 60)") && table.contains("(n 60)"),
        "{table}"
    );
    assert!(!table.contains('*') && !table.contains('°'), "{table}");
    let wide = report("wide");
    assert!(wide.contains(",b n\n") && wide.contains(",0,acc,none,,0.5,0.09,60,0.6,0.2,5\n"), "{wide}");
}

#[test]
fn a_part_of_a_suite_that_was_asked_by_itself_stands_in_the_suite_with_its_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let task = ("mmlu_abstract_algebra", "acc", 0.25, 0.04, 100);
    write_run(
        &folder.path().join("whole"),
        "a",
        "exact",
        &[("mmlu", "acc", 0.3, 0.01, 100), ("mmlu_stem", "acc", 0.25, 0.04, 100), task],
    );
    write_run(&folder.path().join("part"), "b", "exact", &[("mmlu_stem", "acc", 0.35, 0.05, 100), task]);
    for (run, suite) in [("whole", "mmlu"), ("part", "mmlu_stem")] {
        for file in ["run.yaml", "results.csv"] {
            let path = folder.path().join(run).join(file);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(
                &path,
                text.replace("suites: [basics]", &format!("suites: [{suite}]"))
                    .replace(",basics,", &format!(",{suite},")),
            )
            .unwrap();
        }
    }
    let wide = stdout(&zoo_in(folder.path(), &["report", "whole", "part", "--format", "wide"]));
    let lines: Vec<&str> = wide.lines().skip(1).collect();
    assert_eq!(lines.len(), 3, "each task has one line: {wide}");
    assert!(lines.iter().all(|line| line.starts_with("mmlu,")), "{wide}");
    assert!(lines[2].contains("0.25,0.04,0.25,0.04"), "{wide}");
}

#[test]
fn a_suite_without_its_task_files_costs_the_others_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write_run(
        &folder.path().join("run"),
        "m",
        "exact",
        &[("basics_yesno", "acc", 0.5, 0.09, 30), ("own_task", "acc", 0.5, 0.09, 30)],
    );
    let yaml = folder.path().join("run/run.yaml");
    let text = fs::read_to_string(&yaml).unwrap();
    fs::write(&yaml, text.replace("suites: [basics]", "suites: [basics, own_task]")).unwrap();
    let output = zoo_in(folder.path(), &["report", "run", "--format", "json"]);
    assert!(
        stderr(&output).contains("own_task") && stderr(&output).contains("--include-path"),
        "{}",
        stderr(&output)
    );
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert!(
        rows.len() == 2 && rows.iter().all(|row| row["interval_low"].is_number() && row["of"] == 60),
        "{report}"
    );
}
