//! Documents that do not fit into a model's positions: what each policy does, and what the report beside a score says.

use std::fs;
use std::path::Path;

use crate::support::tiny::{stderr, stdout, write_tiny_model, zoo};
use serde_json::Value;

/// A task of four documents with two examples each; one of them has a long question. A byte is a token.
fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    let tasks = folder.path().join("tasks");
    fs::create_dir(&tasks).unwrap();
    let row = |q: &str, a: &str| format!("{}\n", serde_json::json!({"q": q, "a": a, "c": ["yes", "no"]}));
    let long = "w".repeat(90);
    let test = [row("one", "yes"), row("two", "no"), row(&long, "yes"), row("one", "yes")].concat();
    fs::write(tasks.join("test.jsonl"), test).unwrap();
    let train: String = (0..4).map(|i| row(&format!("train {i} {}", "x".repeat(20)), "no")).collect();
    fs::write(tasks.join("train.jsonl"), train).unwrap();
    let task = "task: mine\ndataset_path: json\ndataset_kwargs:\n  data_files: {test: test.jsonl, train: train.jsonl}\n\
                test_split: test\nfewshot_split: train\nfewshot_config: {sampler: first_n}\n\
                description: \"About things.\\n\"\ndoc_to_text: \"{{q}}?\"\ndoc_to_target: a\ndoc_to_choice: c\n\
                output_type: multiple_choice\nnum_fewshot: 2\nmetric_list: [{metric: acc}]\n";
    fs::write(tasks.join("mine.yaml"), task).unwrap();
    folder
}

fn eval(folder: &Path, extra: &[&str]) -> std::process::Output {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (model, tasks, run) = (path("tiny"), path("tasks"), path("run"));
    let mut args = vec!["eval", &model, "--suite", "mine", "--include-path", &tasks, "--out", &run];
    args.extend(extra);
    zoo(&args)
}

fn samples(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("run/samples/tiny/mine.jsonl")).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sanity(folder: &Path) -> Vec<csv::StringRecord> {
    let text = fs::read_to_string(folder.join("run/sanity.csv")).unwrap();
    csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap).collect()
}

/// An example is "train 0 xxxxxxxxxxxxxxxxxxxx? no" and two line ends: 34 tokens. The description has 14.
const EXAMPLE: usize = 34;

#[test]
fn left_cuts_tokens_and_says_which() {
    let folder = workspace();
    // The long document has 14 + 68 + 91 tokens and " yes": 177, of which 101 fit.
    let output = eval(folder.path(), &["--max-length", "100"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = samples(folder.path());
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[2]["choices"][0]["truncated"], 76);
    let rows = sanity(folder.path());
    let row = rows.iter().find(|row| &row[2] == "truncated").unwrap();
    assert_eq!(
        row.iter().collect::<Vec<_>>(),
        ["tiny", "mine", "truncated", "1", "4", "2", "0", "14", "62", "0"]
    );
    assert!(rows.iter().any(|row| &row[2] == "long-prompt" && &row[5] == "2"));
    assert!(rows.iter().any(|row| &row[2] == "repeated" && &row[5] == "3"));
    let line =
        "mine: 1 of 4 documents lost tokens on the left (tokens: 14 of description, 62 of examples); see 2";
    assert!(stderr(&output).contains(line), "{}", stderr(&output));
    for file in ["comparison.md", "run.yaml"] {
        assert!(
            fs::read_to_string(folder.path().join("run").join(file)).unwrap().contains("lost tokens"),
            "{file}"
        );
    }
}

#[test]
fn drop_shots_takes_examples_from_the_front() {
    let folder = workspace();
    let output = eval(folder.path(), &["--max-length", "150", "--overlong", "drop-shots"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = samples(folder.path());
    // 14 + 34 + 91 + 4 = 143 fit into 151; without any example 109 would.
    assert_eq!(
        (lines[2]["dropped_examples"].as_u64(), lines[2]["n_prompt_tokens"].as_u64()),
        (Some(1), Some(139))
    );
    assert_eq!((&lines[2]["truncated"], &lines[0].get("dropped_examples")), (&Value::Bool(false), &None));
    assert_eq!(lines[0]["n_prompt_tokens"], 14 + 2 * EXAMPLE + 4);
    let rows = sanity(folder.path());
    assert!(rows.iter().any(|row| &row[2] == "dropped-examples" && &row[5] == "2"), "{rows:?}");
    // What is left is the description, the second example and the question.
    let prompt = format!("About things.\ntrain 1 {}? no\n\n{}?", "x".repeat(20), "w".repeat(90));
    assert_eq!(lines[2]["prompt_sha256"], zoo::base::digest::sha256(&prompt));
    // Where no number of examples suffices, all go, and the rest is cut.
    let output = eval(folder.path(), &["--max-length", "60", "--overlong", "drop-shots"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let line = &samples(folder.path())[2];
    assert_eq!((line["dropped_examples"].as_u64(), line["truncated"].as_bool()), (Some(2), Some(true)));
}

#[test]
fn documents_that_were_shortened_or_left_out_are_graded_again_as_they_were() {
    for (length, policy) in [("150", "drop-shots"), ("100", "skip"), ("100", "left")] {
        let folder = workspace();
        let output = eval(folder.path(), &["--max-length", length, "--overlong", policy]);
        assert!(output.status.success(), "{}", stderr(&output));
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let output = zoo(&["score", &path("run"), "--include-path", &path("tasks"), "--out", &path("again")]);
        assert!(output.status.success(), "{policy}: {}", stderr(&output));
        for file in ["results.csv", "samples/tiny/mine.jsonl"] {
            let read = |run: &str| fs::read_to_string(folder.path().join(run).join(file)).unwrap();
            assert_eq!(read("again"), read("run"), "{policy}, {file}");
        }
    }
}

#[test]
fn skip_leaves_documents_out_and_counts_them() {
    let folder = workspace();
    let output = eval(folder.path(), &["--max-length", "100", "--overlong", "skip"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = samples(folder.path());
    let ids: Vec<u64> = lines.iter().map(|line| line["doc_id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [0, 1, 3]);
    let results = fs::read_to_string(folder.path().join("run/results.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(results.as_bytes());
    assert_eq!(&reader.records().next().unwrap().unwrap()[8], "3");
    assert!(sanity(folder.path()).iter().any(|row| &row[2] == "skipped" && &row[3] == "1" && &row[4] == "4"));
    let results: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("run/results.json")).unwrap()).unwrap();
    assert_eq!(results["n-samples"]["mine"], serde_json::json!({"original": 4, "effective": 3}));
    // Nothing is left at all.
    let output = eval(folder.path(), &["--max-length", "20", "--overlong", "skip"]);
    assert!(!output.status.success() && stderr(&output).contains("no documents"), "{}", stderr(&output));
}

#[test]
fn error_stops_before_anything_is_computed() {
    let folder = workspace();
    let output = eval(folder.path(), &["--max-length", "100", "--overlong", "error"]);
    assert_eq!(output.status.code(), Some(1));
    for words in
        ["task mine", "1 of 4 documents", "100 positions", "2 (176 tokens)", "--overlong", "model tiny"]
    {
        assert!(stderr(&output).contains(words), "{words:?} is not in {}", stderr(&output));
    }
    assert!(!folder.path().join("run").exists());
    assert!(eval(folder.path(), &["--overlong", "error"]).status.success());
}

#[test]
fn a_document_among_its_own_examples_is_reported() {
    let folder = workspace();
    let task = folder.path().join("tasks/mine.yaml");
    // A test split and no few-shot split: the harness draws from the test split and keeps nothing out.
    let text = fs::read_to_string(&task).unwrap();
    let leaking = text.replace("fewshot_split: train\n", "").replace(", train: train.jsonl", "");
    fs::write(&task, leaking.replace("num_fewshot: 2", "num_fewshot: 4")).unwrap();
    let output = eval(folder.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = sanity(folder.path());
    let row = rows.iter().find(|row| &row[2] == "own-example").unwrap();
    assert_eq!((&row[3], &row[4], &row[5]), ("4", "4", "0 1 2 3"));
    assert!(stderr(&output).contains("stand among their own examples"), "{}", stderr(&output));
}

#[test]
fn special_tokens_and_choices_are_looked_at() {
    let folder = workspace();
    let tasks = folder.path().join("tasks");
    let row = |q: &str, c: &[&str]| format!("{}\n", serde_json::json!({"q": q, "a": 0, "c": c}));
    let rows = [row("<s><s>a", &["yes", "no"]), row("b", &["yes", "yes"]), row("c", &["", "no"])].concat();
    fs::write(tasks.join("test.jsonl"), rows).unwrap();
    let text = fs::read_to_string(tasks.join("mine.yaml")).unwrap();
    let text = text.replace("description: \"About things.\\n\"\n", "");
    fs::write(tasks.join("mine.yaml"), text).unwrap();
    let output = eval(folder.path(), &["--num-fewshot", "0", "--format", "csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = sanity(folder.path());
    for (check, first) in [("double-bos", "0"), ("equal-text", "1"), ("empty-choice", "2")] {
        assert!(rows.iter().any(|row| &row[2] == check && &row[5] == first), "{check} in {rows:?}");
    }
    // Stdout is results alone.
    assert!(stdout(&output).starts_with("model,") && !stdout(&output).contains("BOS twice"));
    assert!(stderr(&output).contains("BOS twice"), "{}", stderr(&output));
}

#[test]
fn a_dry_run_plans_memory_and_time_and_names_tasks() {
    let folder = workspace();
    let output = eval(folder.path(), &["--dry-run", "--max-length", "100"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for words in ["largest wave", "logits", "may be used", "a forecast", "time", "100.0 %", "lost tokens"] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    let line = text.lines().find(|line| line.trim_start().starts_with("mine ")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!((cells[1], cells[2]), ("4", "8"));
    assert!(cells[3].parse::<u64>().unwrap() > cells[4].parse::<u64>().unwrap(), "{line}");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn memory_is_counted_by_the_same_terms_before_and_in_a_run() {
    let folder = workspace();
    // Less than what is set aside for the program alone, whoever counts.
    for more in [&["--dry-run"][..], &[]] {
        let output = eval(folder.path(), &[&["--memory", "200MB"], more].concat());
        assert!(!output.status.success());
        let text = stderr(&output);
        for words in ["190.73 MiB may be used", "weights ", "a wave of 512 tokens ", "answers 192.00 MiB"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let output = eval(folder.path(), &["--memory", "210MB", "--dry-run"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let mebibytes = |label: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
        line.trim_start()
            .strip_prefix(label)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    assert_eq!(mebibytes("program, answers"), 192.0);
    assert!(mebibytes("memory together") > 192.0 && mebibytes("may be used") == 200.27, "{text}");
    assert!(text.contains("(fits)"), "{text}");
}
