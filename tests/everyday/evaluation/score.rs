//! `zoo score`: answers graded again without the model, and answers that were written elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::interrupted::files;
use crate::support::place::{Place, assert_says};
use crate::support::tiny::{stderr, stdout, write_tiny_model};
use serde_json::{Value, json};

const DATA: &str = "dataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\nnum_fewshot: 0\n";

/// A place with task files and data of its own, and flags for its runs.
fn own_tasks_with(flags: &[&str]) -> Place {
    let place = Place::without_model(flags);
    place.task("rows.jsonl", row("1 + 1", "2", 1) + &row("2 + 2", "4", 0) + &row("3 + 3", "6", 1));
    place.task("choose.yaml", format!(
        "task: choose\noutput_type: multiple_choice\n{DATA}doc_to_text: \"{{{{q}}}} =\"\ndoc_to_choice: [\"four\", \"2\"]\n\
         doc_to_target: gold\nmetric_list: [{{metric: acc}}, {{metric: acc_norm}}, {{metric: acc_mutual_info}}]\n"
    ));
    place.task("page.yaml", format!(
        "task: page\noutput_type: loglikelihood_rolling\n{DATA}doc_to_text: \"\"\ndoc_to_target: \"{{{{q}}}} is {{{{a}}}}.\"\n"
    ));
    place.task("write.yaml", format!(
        "task: write\noutput_type: generate_until\n{DATA}doc_to_text: \"{{{{q}}}} =\"\ndoc_to_target: \"{{{{a}}}}\"\n\
         generation_kwargs: {{until: [\".\"]}}\nmetric_list: [{{metric: exact_match}}]\n\
         filter_list: [{{name: digits, filter: [{{function: regex, regex_pattern: \"(\\\\d+)\"}}, {{function: take_first}}]}}]\n"
    ));
    place
}

fn own_tasks() -> Place {
    own_tasks_with(&["--limit", "5"])
}

/// A finished run of the tiny model, which is gone afterwards.
fn finished(place: &Place, suite: &str, extra: &[&str]) {
    write_tiny_model(&place.path("tiny"));
    place.run("run", &[&["--suite", suite], extra].concat());
    fs::remove_dir_all(place.path("tiny")).unwrap();
    fs::remove_dir_all(place.path("run/ledger")).unwrap();
}

/// Grades lines of answers to the task `write`.
fn answers(place: &Place, lines: &[Value], extra: &[&str]) -> Output {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(place.path("answers.jsonl"), text).unwrap();
    let file = place.text("answers.jsonl");
    place.zoo(&[&["score", "--answers", &file, "--suite", "write"], extra].concat())
}

fn row(question: &str, answer: &str, gold: usize) -> String {
    format!("{}\n", json!({"q": question, "a": answer, "gold": gold}))
}

fn value(run: &Path, task: &str, metric: &str) -> f64 {
    let mut rows = csv::Reader::from_path(run.join("results.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let row = rows.iter().find(|row| &row[2] == task && &row[4] == metric);
    row.unwrap_or_else(|| panic!("no {metric} of {task}"))[6].parse().unwrap()
}

#[test]
fn a_run_is_graded_again_to_the_same_bytes_without_its_model() {
    let place = own_tasks();
    finished(&place, "basics,choose,page", &[]);
    let (run, again) = (place.text("run"), place.text("again"));
    let output = place.zoo(&["score", &run, "--out", &again]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("acc_mutual_info"), "{}", stdout(&output));
    assert_eq!(files(&place.path("again")), files(&place.path("run")));
    let description = fs::read_to_string(place.path("again/run.yaml")).unwrap();
    assert!(description.contains("graded:") && description.contains(&run), "{description}");
    // A part of it, printed and not written.
    let output = place.zoo(&["score", &run, "--suite", "choose", "--format", "csv"]);
    assert!(output.status.success() && stdout(&output).lines().count() == 4, "{}", stdout(&output));
    let output = place.zoo(&["score", &run, "--suite", "write"]);
    assert_says(&output, 2, &["the run has no task write", "basics_reading"]);
}

#[test]
fn other_right_answers_make_other_grades_and_other_prompts_are_refused() {
    let place = own_tasks();
    finished(&place, "choose", &[]);
    let (run, again) = (place.text("run"), place.text("again"));
    let before = value(&place.path("run"), "choose", "acc");
    place.task("rows.jsonl", row("1 + 1", "2", 0) + &row("2 + 2", "4", 1) + &row("3 + 3", "6", 0));
    let output = place.zoo(&["score", &run, "--out", &again]);
    assert_says(&output, 0, &["the data are not those of the run"]);
    let after = value(&place.path("again"), "choose", "acc");
    assert!((before + after - 1.0).abs() < 1e-12, "{before} {after}");
    place.task("rows.jsonl", row("1 + 1", "2", 1) + &row("5 + 5", "4", 0) + &row("3 + 3", "6", 1));
    let output = place.zoo(&["score", &run]);
    assert_says(&output, 1, &["choose.jsonl", "document 1", "not the one that was answered"]);
}

#[test]
fn samples_that_do_not_fit_are_named() {
    let place = own_tasks();
    finished(&place, "choose", &[]);
    let (run, samples) = (place.text("run"), place.path("run/samples/tiny/choose.jsonl"));
    let text = fs::read_to_string(&samples).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = |key: &str| {
        let mut line: Value = serde_json::from_str(lines[2]).unwrap();
        line["choices"][0].as_object_mut().unwrap().remove(key);
        [lines[0], lines[1], &line.to_string(), lines[3]].join("\n")
    };
    let fewer = || {
        let mut line: Value = serde_json::from_str(lines[2]).unwrap();
        line["unconditional"].as_array_mut().unwrap().pop();
        [lines[0], lines[1], &line.to_string(), lines[3]].join("\n")
    };
    let impossible = |logprob: f64| {
        let mut line: Value = serde_json::from_str(lines[2]).unwrap();
        line["choices"][0]["logprob"] = logprob.into();
        [lines[0], lines[1], &line.to_string(), lines[3]].join("\n")
    };
    let no_score = |found| vec!["document 1", "logarithms of probabilities", "none of them above 0", found];
    for (text, words) in [
        (impossible(0.25), no_score("found 0.25")),
        (impossible(1e300), no_score("found 1000")),
        (impossible(-1e300), no_score("found -1000")),
        (lines[..3].join("\n"), vec!["expected 3 lines of samples, found 2"]),
        ([lines[0], lines[1], lines[3], lines[2]].join("\n"), vec!["document 1", "found that of document 2"]),
        (
            lines.join("\n").replace("\"doc_id\":2", "\"doc_id\":x"),
            vec!["line 4", "expected a line of samples"],
        ),
        (without("logprob"), vec!["line 3", "logprob"]),
        (fewer(), vec!["document 1", "expected 2 choices by themselves", "found 1"]),
    ] {
        fs::write(&samples, text).unwrap();
        assert_says(&place.zoo(&["score", &run]), 1, &[words, vec!["choose.jsonl"]].concat());
    }
    assert_says(&place.zoo(&["score", &place.text("tasks")]), 1, &["expected the folder of a finished run"]);
    assert_says(&place.zoo(&["score"]), 2, &["RUN"]);
}

#[test]
fn a_run_by_a_protocol_of_ones_own_is_graded_again_as_long_as_its_file_says_the_same() {
    let place = own_tasks();
    let (file, own) = (place.path("mine.yaml"), place.text("mine.yaml"));
    let text = "protocol: mine\ndescription: d\nsource: s\nmarks: none\nmetrics: [acc]\n";
    fs::write(&file, text).unwrap();
    finished(&place, "choose,page", &["--protocol", "llama.cpp", "--protocol", &own]);
    let (run, again) = (place.text("run"), place.text("again"));
    let output = place.zoo(&["score", &run, "--out", &again]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(files(&place.path("again")), files(&place.path("run")));
    let output = place.zoo(&["score", &again, "--format", "csv"]);
    assert_eq!(output.stdout, fs::read(place.path("run/results.csv")).unwrap(), "{}", stderr(&output));
    // Other tokens counted then: the answers are not those of what the file says now.
    fs::write(&file, text.replace("marks: none", "marks: tokenizer")).unwrap();
    assert_says(&place.zoo(&["score", &run]), 1, &["mine.yaml", "not the one of the run", "--reuse"]);
    fs::remove_file(&file).unwrap();
    assert_says(&place.zoo(&["score", &run]), 1, &["mine.yaml", "has to be there"]);
}

#[test]
fn a_protocol_that_does_not_apply_any_more_is_no_reason_to_leave_a_task_out() {
    let place = own_tasks();
    let own = place.text("mine.yaml");
    let text = "protocol: mine\ndescription: d\nsource: s\nexcept: [csv]\n";
    fs::write(&own, text).unwrap();
    finished(&place, "choose,page", &["--protocol", &own]);
    let task = fs::read_to_string(place.path("tasks/choose.yaml")).unwrap();
    place.task("choose.yaml", task.replace("dataset_path: json", "dataset_path: csv"));
    let output = place.zoo(&["score", &place.text("run")]);
    assert_says(&output, 1, &["choose.jsonl", "protocol mine", "no rule for csv"]);
}

#[test]
fn tasks_of_a_later_protocol_are_described_like_those_of_the_first() {
    // llama.cpp ranks choices and asks for no pages.
    let flags = ["--limit", "2", "--suite", "choose,page", "--protocol", "llama.cpp,lm-eval-0.4.13"];
    let place = own_tasks_with(&flags);
    write_tiny_model(&place.path("tiny"));
    let first = stdout(&place.run("run", &[]));
    assert!(first.lines().any(|line| line.contains("page") && line.contains("2 of 3")), "{first}");
    assert_eq!(stdout(&place.run("run", &["--resume"])), first);
    let output = place.zoo(&["score", &place.text("run"), "--out", &place.text("again")]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(files(&place.path("again")), files(&place.path("run")));
    // What the first protocol did not ask is missed where the second one asked it.
    let samples = place.path("run/samples/tiny-lm-eval-0.4.13/page.jsonl");
    fs::remove_file(&samples).unwrap();
    assert_says(&place.zoo(&["score", &place.text("run")]), 1, &["page.jsonl", "cannot read the samples"]);
}

#[test]
fn documents_without_a_line_are_counted() {
    let place = own_tasks();
    finished(&place, "choose", &["--protocol", "lm-eval-0.4.13", "--protocol", "llama.cpp"]);
    let (run, samples) = (place.text("run"), place.path("run/samples"));
    let mut folders: Vec<PathBuf> =
        fs::read_dir(&samples).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort_by_key(|folder| folder.ends_with("tiny-llama.cpp"));
    let cut = |folder: &Path| {
        let file = folder.join("choose.jsonl");
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().take(3).collect();
        fs::write(&file, lines.join("\n").replace("\"n\":3", "\"n\":2")).unwrap();
    };
    // As if the document had been too long for the second model; the header agrees.
    cut(&folders[1]);
    assert_says(&place.zoo(&["score", &run]), 0, &["choose.jsonl", "1 of 3 documents have no line"]);
    // Of the first one the description says how many there were.
    cut(&folders[0]);
    assert_says(&place.zoo(&["score", &run]), 1, &["choose.jsonl", "expected 3 lines of samples, found 2"]);
}

#[test]
fn written_answers_are_cut_filtered_and_graded() {
    let place = own_tasks();
    let lines = [
        json!({"doc_id": 0, "text": "It is 2. Or 7."}),
        json!({"doc_id": 1, "text": "5"}),
        json!({"doc_id": 2, "text": "six"}),
    ];
    let graded = place.text("graded");
    let output = answers(&place, &lines, &["--out", &graded, "--model", "somebody"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!((value(&place.path("graded"), "write", "exact_match") - 1.0 / 3.0).abs() < 1e-12);
    let samples = fs::read_to_string(place.path("graded/samples/somebody/write.jsonl")).unwrap();
    let samples: Vec<Value> = samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&samples[1]["text"], &samples[1]["filtered"]["digits"]), (&json!("It is 2"), &json!("2")));
    assert_eq!(samples[3]["filtered"]["digits"], "[invalid]");
    // What was written there is an answer file, too, and a run that can be graded again.
    let own = place.text("graded/samples/somebody/write.jsonl");
    let output = place.zoo(&["score", "--answers", &own, "--suite", "write", "--format", "csv"]);
    let results = fs::read(place.path("graded/results.csv")).unwrap();
    assert_eq!(output.stdout, results, "{}", stderr(&output));
    let again = place.zoo(&["score", &graded, "--format", "csv"]);
    assert_eq!(again.stdout, results, "{}", stderr(&again));
    // Only filtered: no metric, and the same answers.
    let (filtered, out) = (place.path("filtered"), place.text("filtered"));
    let output = answers(&place, &lines, &["--predict-only", "--out", &out]);
    assert!(
        stderr(&output).contains("3 answers were cut and filtered, and nothing was graded"),
        "{}",
        stderr(&output)
    );
    let text = fs::read_to_string(filtered.join("samples/answers/write.jsonl")).unwrap();
    assert!(text.contains("\"digits\":\"2\"") && !text.contains("exact_match"), "{text}");
}

#[test]
fn the_reference_harness_s_own_files_are_read() {
    let place = own_tasks();
    let hash = |text: &str| zoo::base::digest::sha256(text);
    let line = |doc: usize, prompt: &str, text: &str, filter: &str| {
        json!({"doc_id": doc, "doc": {}, "target": "2", "resps": [[text]], "filtered_resps": ["x"], "filter": filter,
               "prompt_hash": hash(prompt), "metrics": ["exact_match"]})
    };
    let mut lines = vec![
        line(0, "1 + 1 =", "2", "digits"),
        line(0, "1 + 1 =", "2", "none"),
        line(1, "2 + 2 =", "4", "digits"),
        line(2, "3 + 3 =", "5", "digits"),
    ];
    let output = answers(&place, &lines, &["--format", "csv"]);
    assert!(
        stdout(&output).contains(",exact_match,digits,0.666666"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    lines[2] = line(1, "2+2=", "4", "digits");
    assert_says(
        &answers(&place, &lines, &[]),
        1,
        &["line 3", "document 1", "another prompt", "--num-fewshot"],
    );
}

#[test]
fn answers_that_are_missing_or_too_many_are_said() {
    let place = own_tasks();
    let answer = |doc: usize, text: &str| json!({"doc_id": doc, "text": text});
    let lines = [answer(2, "6"), answer(0, "3")];
    let output = answers(&place, &lines, &[]);
    assert_says(&output, 1, &["answers to 2 of 3 documents", "document 1", "--limit", "--skip-missing"]);
    let output = answers(&place, &lines, &["--skip-missing", "--format", "csv"]);
    assert_says(&output, 0, &["1 of 3 documents have no answer"]);
    assert!(stdout(&output).contains("exact_match,digits,0.5,0.5,2,"), "{}", stdout(&output));
    let part = place.text("part");
    let output = answers(&place, &lines, &["--skip-missing", "--out", &part]);
    assert!(output.status.success(), "{}", stderr(&output));
    let again = place.zoo(&["score", &part, "--format", "csv"]);
    assert!(stdout(&again).contains("exact_match,digits,0.5,0.5,2,"), "{}", stderr(&again));
    let output = answers(&place, &lines[1..], &["--limit", "1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_says(
        &answers(&place, &lines, &["--limit", "1"]),
        0,
        &["1 answers are to documents beyond the limit"],
    );
    let output = answers(&place, &[answer(3, "6")], &[]);
    assert_says(&output, 1, &["line 1", "3 documents", "none of the number 3"]);
    let output = answers(&place, &[answer(1, "4"), answer(1, "5")], &[]);
    assert_says(&output, 1, &["line 2", "another answer than in line 1"]);
    let other = json!({"task": "choose", "doc_id": 0, "text": "2"});
    assert_says(&answers(&place, &[other], &[]), 2, &["an answer to task choose", "write"]);
    assert_says(&answers(&place, &[], &[]), 1, &["answers to 0 of 3 documents"]);
    let file = place.text("answers.jsonl");
    let output = place.zoo(&["score", "--answers", &file, "--suite", "choose"]);
    assert_says(&output, 2, &["choose", "generate_until", "zoo eval"]);
}
