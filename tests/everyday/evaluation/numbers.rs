//! The numbers of a run beside its means: F1, metrics that cannot be computed, intervals, errors of differences, targets.

use std::fs;
use std::process::Output;
use std::sync::Arc;

use crate::support::place::Place;
use crate::support::tiny::{stderr, stdout};
use serde_json::{Value, json};
use zoo::evaluate::harness::samples as harness_samples;
use zoo::evaluate::{Answers, TaskResult, grade};
use zoo::tasks::{DataStore, Index, PrepareOptions, Suite, prepare};

/// A small model and a task of rows.
fn workspace(task: &str, rows: &[Value]) -> Place {
    let place = Place::new(&["--suite", "mine", "--matmul", "portable"]);
    write_task(&place, task, rows);
    place
}

fn write_task(place: &Place, task: &str, rows: &[Value]) {
    let head = "task: mine\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n";
    place.task("mine.yaml", format!("{head}{task}"));
    place.task("rows.jsonl", rows.iter().map(|row| format!("{row}\n")).collect::<String>());
}

/// The column `value` or `stderr` of a row of a table in CSV, by its metric.
fn number(place: &Place, file: &str, metric: &str, column: &str) -> f64 {
    let text = place.read(file);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().unwrap().clone();
    let at = |name: &str| head.iter().position(|key| key == name).unwrap();
    let (metric_at, column_at) = (at("metric"), at(column));
    let mut rows = reader.records().map(Result::unwrap);
    let row = rows.find(|row| &row[metric_at] == metric).unwrap_or_else(|| panic!("no {metric} in {text}"));
    row[column_at].parse().unwrap()
}

fn sample_lines(place: &Place, run: &str) -> Vec<Value> {
    let text = place.read(&format!("{run}/samples/tiny/mine.jsonl"));
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
    let place = workspace(&format!("{YES_NO}{metrics}"), &questions());
    let output = place.run("run", &[]);
    let lines = sample_lines(&place, "run");
    let [mut hits, mut chosen, mut right, mut both] = [0.0; 4];
    for line in &lines {
        let logprob = |at: usize| line["choices"][at]["logprob"].as_f64().unwrap();
        let (answer, gold) = (logprob(1) > logprob(0), line["target"] == 1);
        hits += f64::from(answer == gold);
        chosen += f64::from(answer);
        right += f64::from(gold);
        both += f64::from(answer && gold);
    }
    let value = |metric: &str| number(&place, "run/results.csv", metric, "value");
    assert_eq!(value("acc"), hits / lines.len() as f64);
    assert_eq!(value("f1"), if chosen + right == 0.0 { 0.0 } else { 2.0 * both / (chosen + right) });
    assert!((-1.0..=1.0).contains(&value("mcc")));
    let results = place.read("run/results.csv");
    assert!(!results.contains("likelihood") && !results.contains("acc_norm"), "{results}");
    for words in
        ["metric likelihood of mine is LEFT OUT", "metric acc_norm of mine is LEFT OUT", "median_of_moons"]
    {
        for text in [stderr(&output), place.read("run/comparison.md")] {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
    }
    assert!(stderr(&output).contains("likelihood will be left out"), "{}", stderr(&output));
}

#[test]
fn what_the_reference_gives_no_error_has_none_in_its_files() {
    let place = workspace(
        &format!("{YES_NO}metric_list: [{{metric: acc}}, {{metric: brier_score}}, {{metric: mcc}}]\n"),
        &questions(),
    );
    place.run("run", &[]);
    assert!(number(&place, "run/results.csv", "brier_score", "stderr") > 0.0);
    let results: Value = serde_json::from_str(&place.read("run/results.json")).unwrap();
    let own = &results["results"]["mine"];
    // stderr_for_metric of lm_eval/api/metrics.py knows mean, acc_all and what it bootstraps, mcc among it.
    assert_eq!(own["brier_score_stderr,none"], "N/A");
    assert!(own["acc_stderr,none"].is_f64() && own["mcc_stderr,none"].is_f64(), "{own}");
}

#[test]
fn a_mean_of_documents_that_have_a_value_has_the_error_of_a_bootstrap() {
    let metric =
        "metric_list: [{metric: acc, aggregation: nanmean}, {metric: brier_score, aggregation: mean}]\n";
    let place = workspace(&format!("{YES_NO}{metric}"), &questions());
    place.run("run", &[]);
    let lines = sample_lines(&place, "run");
    let right: Vec<f64> = lines.iter().map(|line| line["metrics"]["acc,none"].as_f64().unwrap()).collect();
    let mean = right.iter().sum::<f64>() / right.len() as f64;
    let found = |column: &str| number(&place, "run/results.csv", "acc", column);
    assert_eq!(found("value"), mean);
    // That of resampling knows no n - 1.
    let expected = (mean * (1.0 - mean) / right.len() as f64).sqrt();
    assert!(
        (found("stderr") - expected).abs() < 0.02 * expected.max(0.01),
        "{} and {expected}",
        found("stderr")
    );
    let results: Value = serde_json::from_str(&place.read("run/results.json")).unwrap();
    assert_eq!(results["results"]["mine"]["acc_stderr,none"].as_f64(), Some(found("stderr")));
}

#[test]
fn a_task_with_no_metric_left_is_refused_before_anything_is_asked() {
    let place = workspace(&format!("{YES_NO}metric_list: [{{metric: likelihood}}]\n"), &questions());
    let output = place.eval("run", &[]);
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("likelihood") && stderr(&output).contains("known are acc"),
        "{}",
        stderr(&output)
    );
    assert!(!place.path("run").exists());
}

#[test]
fn a_task_with_no_metric_left_does_not_take_the_others_of_a_suite_with_it() {
    let place = workspace(&format!("{YES_NO}metric_list: [{{metric: acc}}]\n"), &questions());
    let mine = place.read("tasks/mine.yaml");
    place.task("other.yaml", mine.replace("task: mine", "task: other").replace("acc", "likelihood"));
    place.task("both.yaml", "group: both\ntask: [mine, other]\naggregate_metric_list: [{metric: acc}]\n");
    let output = place.run("run", &["--suite", "both"]);
    let said = stderr(&output);
    assert!(said.contains("left out: task other, metric likelihood"), "{said}");
    let results = place.read("run/results.csv");
    assert!(results.contains(",both,mine,") && !results.contains(",both,both,"), "{results}");
}

#[test]
fn boolean_labels_are_logged_as_python_prints_them() {
    let place = workspace(YES_NO, &questions());
    place.run("run", &["--log-samples"]);
    let logs = place.path("run/lm-eval/tiny");
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
    let place = Place::without_model(&[]);
    let task = format!(
        "output_type: generate_until\ndoc_to_text: \"{{{{q}}}}\"\ndoc_to_target: {target}\nmetric_list: [{{metric: exact_match}}]\n"
    );
    write_task(&place, &task, rows);
    let Suite::Task(task) = Index::load(&[place.path("tasks")]).unwrap().resolve("mine").unwrap() else {
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
    let place = workspace(&format!("{YES_NO}metric_list: [{{metric: acc}}]\n"), &questions());
    let output = place.run("run", &["--limit", "2"]);
    let value = number(&place, "run/results.csv", "acc", "value");
    // scipy.stats.binomtest(k, 2).proportion_ci(method="wilson")
    let interval = match value {
        0.0 => "[0.0000, 0.6576]",
        0.5 => "[0.0945, 0.9055]",
        _ => "[0.3424, 1.0000]",
    };
    for file in ["run/comparison.md", "run/details.md"] {
        let text = place.read(file);
        assert!(text.contains("2 of 8") && text.contains(interval), "{file}: {text}");
        assert!(text.contains("not all documents were scored"), "{file}: {text}");
    }
    assert!(stdout(&output).contains("2 of 8"), "{}", stdout(&output));
    // A run that is complete says the same when it is asked for again.
    let again = place.run("run", &["--limit", "2", "--resume"]);
    let table = |output: &Output| {
        stdout(output)
            .lines()
            .take_while(|line| !line.contains("tokens asked"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let both = [table(&output), table(&again)];
    assert!(both[1].contains("2 of 8") && both[0].lines().next() == both[1].lines().next(), "{both:?}");
    let whole = place.run("whole", &[]);
    assert!(!stdout(&whole).contains(" of 8"), "{}", stdout(&whole));
}

#[test]
fn the_error_of_a_difference_of_perplexities_is_the_delta_method_s() {
    let task = "output_type: loglikelihood\ndoc_to_text: \"{{q}}\"\ndoc_to_target: \" {{a}}\"\nmetric_list: [{metric: perplexity}, {metric: acc}]\n";
    let rows: Vec<Value> =
        (0..40).map(|i| json!({"q": format!("word {i}"), "a": format!("{}", i * 7 % 13)})).collect();
    let place = workspace(task, &rows);
    place.run("fast", &["--precision", "bf16", "--against", "exact"]);
    place.run("exact", &[]);
    let logprobs = |run: &str| -> Vec<f64> {
        let lines = sample_lines(&place, run);
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
    let found = |column: &str| number(&place, "fast/precision.csv", "perplexity", column);
    assert!((found("difference") - (of_fast - of_exact)).abs() < 1e-9 * of_exact);
    assert!(
        expected > 0.0 && (found("stderr") / expected - 1.0).abs() < 1e-6,
        "{} and {expected}",
        found("stderr")
    );
}
