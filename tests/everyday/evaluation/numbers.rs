//! The numbers of a run beside its means: F1, metrics that cannot be computed, intervals, errors of differences, targets.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use crate::support::tiny::{stderr, stdout, write_tiny_model, zoo};
use serde_json::{Value, json};
use tempfile::TempDir;
use zoo::evaluate::harness::samples as harness_samples;
use zoo::evaluate::{Answers, TaskResult, grade};
use zoo::tasks::{DataStore, Index, PrepareOptions, Suite, prepare};

/// A folder with a tiny model and a task of rows.
fn workspace(task: &str, rows: &[Value]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    write_task(folder.path(), task, rows);
    folder
}

fn write_task(folder: &Path, task: &str, rows: &[Value]) {
    let tasks = folder.join("tasks");
    fs::create_dir_all(&tasks).unwrap();
    let head = "task: mine\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n";
    fs::write(tasks.join("mine.yaml"), format!("{head}{task}")).unwrap();
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(tasks.join("rows.jsonl"), lines).unwrap();
}

fn eval(folder: &Path, out: &str, extra: &[&str]) -> Output {
    eval_suite(folder, "mine", out, extra)
}

fn eval_suite(folder: &Path, suite: &str, out: &str, extra: &[&str]) -> Output {
    let path = |name: &str| folder.join(name).display().to_string();
    let (model, tasks, out) = (path("tiny"), path("tasks"), path(out));
    let mut args = vec![
        "eval",
        &model,
        "--suite",
        suite,
        "--include-path",
        &tasks,
        "--out",
        &out,
        "--matmul",
        "portable",
    ];
    args.extend(extra);
    let output = zoo(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

/// The column `value` or `stderr` of a row of a table in CSV, by its metric.
fn number(folder: &Path, file: &str, metric: &str, column: &str) -> f64 {
    let text = read(folder, file);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().unwrap().clone();
    let at = |name: &str| head.iter().position(|key| key == name).unwrap();
    let (metric_at, column_at) = (at("metric"), at(column));
    let mut rows = reader.records().map(Result::unwrap);
    let row = rows.find(|row| &row[metric_at] == metric).unwrap_or_else(|| panic!("no {metric} in {text}"));
    row[column_at].parse().unwrap()
}

fn sample_lines(folder: &Path, run: &str) -> Vec<Value> {
    let text = read(folder, &format!("{run}/samples/tiny/mine.jsonl"));
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

const YES_NO: &str = "output_type: multiple_choice\ndoc_to_text: \"{{q}}\"\ndoc_to_target: label\ndoc_to_choice: [\"no\", \"yes\"]\n";

fn questions() -> Vec<Value> {
    let texts = ["is it so", "was it", "why not", "who said that?", "perhaps", "zz", "0 1 2", "so be it"];
    texts.iter().enumerate().map(|(i, q)| json!({"q": q, "label": i % 3 == 0})).collect()
}

#[test]
fn a_metric_that_cannot_be_computed_leaves_the_others() {
    let metrics = "metric_list:\n  - metric: acc\n  - metric: f1\n  - metric: likelihood\n  - metric: mcc\n  \
                   - {metric: acc_norm, aggregation: median_of_moons}\n";
    let folder = workspace(&format!("{YES_NO}{metrics}"), &questions());
    let output = eval(folder.path(), "run", &[]);
    let lines = sample_lines(folder.path(), "run");
    let [mut hits, mut chosen, mut right, mut both] = [0.0; 4];
    for line in &lines {
        let logprob = |at: usize| line["choices"][at]["logprob"].as_f64().unwrap();
        let (answer, gold) = (logprob(1) > logprob(0), line["target"] == 1);
        hits += f64::from(answer == gold);
        chosen += f64::from(answer);
        right += f64::from(gold);
        both += f64::from(answer && gold);
    }
    let value = |metric: &str| number(folder.path(), "run/results.csv", metric, "value");
    assert_eq!(value("acc"), hits / lines.len() as f64);
    assert_eq!(value("f1"), if chosen + right == 0.0 { 0.0 } else { 2.0 * both / (chosen + right) });
    assert!((-1.0..=1.0).contains(&value("mcc")));
    let results = read(folder.path(), "run/results.csv");
    assert!(!results.contains("likelihood") && !results.contains("acc_norm"), "{results}");
    for words in
        ["metric likelihood of mine is LEFT OUT", "metric acc_norm of mine is LEFT OUT", "median_of_moons"]
    {
        for text in [stderr(&output), read(folder.path(), "run/comparison.md")] {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
    }
    assert!(stderr(&output).contains("likelihood will be left out"), "{}", stderr(&output));
}

#[test]
fn what_the_reference_gives_no_error_has_none_in_its_files() {
    let folder = workspace(
        &format!("{YES_NO}metric_list: [{{metric: acc}}, {{metric: brier_score}}, {{metric: mcc}}]\n"),
        &questions(),
    );
    eval(folder.path(), "run", &[]);
    assert!(number(folder.path(), "run/results.csv", "brier_score", "stderr") > 0.0);
    let results: Value = serde_json::from_str(&read(folder.path(), "run/results.json")).unwrap();
    let own = &results["results"]["mine"];
    // stderr_for_metric of lm_eval/api/metrics.py knows mean, acc_all and what it bootstraps, mcc among it.
    assert_eq!(own["brier_score_stderr,none"], "N/A");
    assert!(own["acc_stderr,none"].is_f64() && own["mcc_stderr,none"].is_f64(), "{own}");
}

#[test]
fn a_task_with_no_metric_left_is_refused_before_anything_is_asked() {
    let folder = workspace(&format!("{YES_NO}metric_list: [{{metric: likelihood}}]\n"), &questions());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let output = zoo(&[
        "eval",
        &path("tiny"),
        "--suite",
        "mine",
        "--include-path",
        &path("tasks"),
        "--out",
        &path("run"),
    ]);
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("likelihood") && stderr(&output).contains("known are acc"),
        "{}",
        stderr(&output)
    );
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_task_with_no_metric_left_does_not_take_the_others_of_a_suite_with_it() {
    let folder = workspace(&format!("{YES_NO}metric_list: [{{metric: acc}}]\n"), &questions());
    let tasks = folder.path().join("tasks");
    let other = read(&tasks, "mine.yaml").replace("task: mine", "task: other").replace("acc", "likelihood");
    fs::write(tasks.join("other.yaml"), other).unwrap();
    let group = "group: both\ntask: [mine, other]\naggregate_metric_list: [{metric: acc}]\n";
    fs::write(tasks.join("both.yaml"), group).unwrap();
    let output = eval_suite(folder.path(), "both", "run", &[]);
    let said = stderr(&output);
    assert!(said.contains("left out: task other, metric likelihood"), "{said}");
    let results = read(folder.path(), "run/results.csv");
    assert!(results.contains(",both,mine,") && !results.contains(",both,both,"), "{results}");
}

#[test]
fn boolean_labels_are_logged_as_python_prints_them() {
    let folder = workspace(YES_NO, &questions());
    eval(folder.path(), "run", &["--log-samples"]);
    let logs = folder.path().join("run/lm-eval/tiny");
    let mut files = fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.display().to_string().contains("samples_mine")).unwrap();
    let lines: Vec<Value> =
        fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["target"], &lines[1]["target"]), (&json!("True"), &json!("False")));
    // hashlib.sha256(b"True").hexdigest()
    assert_eq!(lines[0]["target_hash"], "3cbc87c7681f34db4617feaa2c8801931bc5e42d8d0f560e756dd4cd92885f18");
}

/// Written answers to a task of one's own, graded.
fn graded(target: &str, rows: &[Value], answers: &[&str]) -> TaskResult {
    let folder = tempfile::tempdir().unwrap();
    let task = format!(
        "output_type: generate_until\ndoc_to_text: \"{{{{q}}}}\"\ndoc_to_target: {target}\nmetric_list: [{{metric: exact_match}}]\n"
    );
    write_task(folder.path(), &task, rows);
    let Suite::Task(task) = Index::load(&[folder.path().join("tasks")]).unwrap().resolve("mine").unwrap()
    else {
        panic!("mine is a task")
    };
    let prepared = prepare(&task, &DataStore::new(None, None), &PrepareOptions::default()).unwrap();
    let answers = answers.iter().map(|text| vec![(*text).to_owned()]).collect();
    grade(&Arc::new(prepared), &Answers::Written(answers)).unwrap()
}

#[test]
fn an_answer_equal_to_its_target_is_right_whatever_the_target_looks_like() {
    let rows: Vec<Value> =
        ["[2, 1]", "[1,2,3]", "['a']", "(3)", "[]"].iter().map(|a| json!({"q": "?", "a": a})).collect();
    let answers = ["[2, 1]", "[1,2,3]", "['a']", "(3)", "[]"];
    for target in ["\"{{a}}\"", "a"] {
        let result = graded(target, &rows, &answers);
        assert_eq!(
            result.metric("exact_match", "none").unwrap().value,
            1.0,
            "{target}: {:?}",
            result.samples
        );
        let wrong = graded(target, &rows, &["2", "1", "b", "3", "None"]);
        assert_eq!(wrong.metric("exact_match", "none").unwrap().value, 0.0, "{target}: {:?}", wrong.samples);
    }
    // A list that is printed by the template stays a list of answers.
    let rows = [json!({"q": "?", "a": ["x", "y"]}), json!({"q": "?", "a": ["z"]})];
    let result = graded("\"{{a}}\"", &rows, &["y", "x"]);
    assert_eq!(result.metric("exact_match", "none").unwrap().value, 0.5);
    // What Python prints of a boolean and of numbers.
    for (value, printed) in
        [(json!(true), "True"), (json!(false), "False"), (json!(0.5), "0.5"), (json!(7), "7")]
    {
        let result = graded("a", &[json!({"q": "?", "a": value})], &[printed]);
        assert_eq!(result.metric("exact_match", "none").unwrap().value, 1.0, "{:?}", result.samples);
        let sample = harness_samples(&result).next().unwrap();
        let line: Value = serde_json::from_str(&sample.line).unwrap();
        assert_eq!((&line["target"], &result.samples[0].target), (&json!(printed), &json!(printed)));
    }
}

#[test]
fn a_part_of_the_documents_is_marked_and_few_of_them_are_no_certainty() {
    let folder = workspace(&format!("{YES_NO}metric_list: [{{metric: acc}}]\n"), &questions());
    let output = eval(folder.path(), "run", &["--limit", "2"]);
    let value = number(folder.path(), "run/results.csv", "acc", "value");
    // scipy.stats.binomtest(k, 2).proportion_ci(method="wilson")
    let interval = match value {
        0.0 => "[0.0000, 0.6576]",
        0.5 => "[0.0945, 0.9055]",
        _ => "[0.3424, 1.0000]",
    };
    for file in ["run/comparison.md", "run/details.md"] {
        let text = read(folder.path(), file);
        assert!(text.contains("2 of 8") && text.contains(interval), "{file}: {text}");
        assert!(text.contains("not all documents were scored"), "{file}: {text}");
    }
    assert!(stdout(&output).contains("2 of 8"), "{}", stdout(&output));
    // A run that is complete says the same when it is asked for again.
    let again = eval(folder.path(), "run", &["--limit", "2", "--resume"]);
    let table = |output: &Output| {
        stdout(output)
            .lines()
            .take_while(|line| !line.contains("tokens asked"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let both = [table(&output), table(&again)];
    assert!(both[1].contains("2 of 8") && both[0].lines().next() == both[1].lines().next(), "{both:?}");
    let whole = eval(folder.path(), "whole", &[]);
    assert!(!stdout(&whole).contains(" of 8"), "{}", stdout(&whole));
}

#[test]
fn the_error_of_a_difference_of_perplexities_is_the_delta_method_s() {
    let task = "output_type: loglikelihood\ndoc_to_text: \"{{q}}\"\ndoc_to_target: \" {{a}}\"\nmetric_list: [{metric: perplexity}, {metric: acc}]\n";
    let rows: Vec<Value> =
        (0..40).map(|i| json!({"q": format!("word {i}"), "a": format!("{}", i * 7 % 13)})).collect();
    let folder = workspace(task, &rows);
    eval(folder.path(), "fast", &["--precision", "bf16", "--against", "exact"]);
    eval(folder.path(), "exact", &[]);
    let logprobs = |run: &str| -> Vec<f64> {
        let lines = sample_lines(folder.path(), run);
        lines.iter().map(|line| line["choices"][0]["logprob"].as_f64().unwrap()).collect()
    };
    let (fast, exact) = (logprobs("fast"), logprobs("exact"));
    let n = fast.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let [of_fast, of_exact] = [&fast, &exact].map(|values| (-mean(values)).exp());
    let influence: Vec<f64> = fast.iter().zip(&exact).map(|(a, b)| of_exact * b - of_fast * a).collect();
    let centre = mean(&influence);
    let variance = influence.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / (n - 1.0);
    let expected = (variance / n).sqrt();
    let found = |column: &str| number(folder.path(), "fast/precision.csv", "perplexity", column);
    assert!((found("difference") - (of_fast - of_exact)).abs() < 1e-9 * of_exact);
    assert!(
        expected > 0.0 && (found("stderr") / expected - 1.0).abs() < 1e-6,
        "{} and {expected}",
        found("stderr")
    );
}
