//! Task files and data that are wrong, through the program: every error says which file, which document and which
//! field, and what to do; where the reference harness goes on, so does this one, with a warning.

use std::process::Output;

use crate::support::place::Place;
use crate::support::tiny::{stderr, stdout};

/// A task that is right; each case changes one thing.
const TASK: &str = "task: mine
dataset_path: json
dataset_kwargs:
  data_files: {test: test.jsonl}
test_split: test
doc_to_text: \"{{q}}\"
doc_to_choice: c
doc_to_target: a
output_type: multiple_choice
metric_list: [{metric: acc}]
";

/// Two documents that are right.
const DATA: &str =
    "{\"q\": \"one\", \"a\": 0, \"c\": [\"x\", \"y\"]}\n{\"q\": \"two\", \"a\": 1, \"c\": [\"x\", \"y\"]}\n";

/// Runs the task `mine` of a place with these files.
fn eval(files: &[(&str, &[u8])]) -> (Place, Output) {
    let place = Place::new(&["--suite", "mine"]);
    for (name, bytes) in files {
        place.task(name, bytes);
    }
    let output = place.eval("run", &["--data-dir", &place.text("data")]);
    (place, output)
}

fn with(task: &str, data: &[u8]) -> (Place, Output) {
    eval(&[("mine.yaml", task.as_bytes()), ("test.jsonl", data)])
}

/// The task with one line replaced.
fn task(line: &str, by: &str) -> String {
    assert!(TASK.contains(line), "{line}");
    TASK.replace(line, by)
}

/// It fails, says all of `words` in one sentence of stderr, and leaves no run.
fn refused((place, output): (Place, Output), words: &[&str]) {
    let text = stderr(&output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
    assert!(!place.path("run").exists());
}

/// It runs, warns with all of `words`, and gives `accuracy` at most.
fn warned((place, output): (Place, Output), words: &[&str]) -> Place {
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    place
}

fn first_accuracy(place: &Place) -> Vec<f64> {
    let text = place.read("run/samples/tiny/mine.jsonl");
    let lines = text.lines().skip(1).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| line["metrics"]["acc,none"].as_f64().unwrap()).collect()
}

#[test]
fn the_task_itself_is_right() {
    let (place, output) = with(TASK, DATA.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("mine") && place.path("run/results.csv").exists());
}

#[test]
fn a_missing_column() {
    let words = ["mine.yaml", "\"mine\"", "document 0", "doc_to_text", "undefined", "columns: q, a, c"];
    refused(with(&task("{{q}}", "{{question}}"), DATA.as_bytes()), &words);
    // A name that is no column is a template without variables, and no list of choices.
    refused(
        with(&task("choice: c", "choice: options"), DATA.as_bytes()),
        &["mine.yaml", "document 0", "doc_to_choice"],
    );
    // A row that lacks a column has null there, as in a table.
    let rows = DATA.replace("\"two\", \"a\": 1, \"c\": [\"x\", \"y\"]", "\"two\", \"a\": 1");
    refused(
        with(TASK, rows.as_bytes()),
        &["mine.yaml", "document 1", "doc_to_choice", "a list of choices", "None"],
    );
}

#[test]
fn a_value_of_the_wrong_type() {
    let choices = DATA.replace("[\"x\", \"y\"]", "7");
    refused(with(TASK, choices.as_bytes()), &["mine.yaml", "document 0", "doc_to_choice", "found 7"]);
    let one = DATA.replacen("[\"x\", \"y\"]", "[\"x\", 3]", 2);
    refused(with(TASK, one.as_bytes()), &["document 0", "doc_to_choice", "that are texts", "found 3"]);
    let target = DATA.replace("\"a\": 1", "\"a\": {\"b\": 1}");
    refused(with(TASK, target.as_bytes()), &["mine.yaml", "document 1", "doc_to_target", "{'b': 1}"]);
    let text = DATA.replace("\"two\"", "2.5");
    refused(
        with(&task("\"{{q}}\"", "q"), text.as_bytes()),
        &["mine.yaml", "document 1", "doc_to_text", "found 2.5"],
    );
    refused(
        with(&task("multiple_choice", "multiple_choise"), DATA.as_bytes()),
        &["mine.yaml, line 9", "output_type"],
    );
    refused(with(&task("[{metric: acc}]", "acc"), DATA.as_bytes()), &["mine.yaml, line 10", "metric_list"]);
    refused(with(&task("[{metric: acc}]", "[{metric: acx}]"), DATA.as_bytes()), &["acx", "known are acc"]);
}

#[test]
fn a_template_that_cannot_be_read_or_filled() {
    refused(
        with(&task("{{q}}", "{{q"), DATA.as_bytes()),
        &["mine.yaml", "doc_to_text", "not a readable template"],
    );
    let words = ["mine.yaml", "document 0", "doc_to_target", "'z' is not in the list"];
    refused(with(&task("target: a", "target: \"{{c.index('z')}}\""), DATA.as_bytes()), &words);
    refused(with(&task("{{q}}", "{{q|loudly}}"), DATA.as_bytes()), &["mine.yaml", "doc_to_text", "loudly"]);
}

#[test]
fn a_right_answer_that_is_none_of_the_choices_counts_as_wrong() {
    let data = DATA.replace("\"a\": 1", "\"a\": 2").replace("\"a\": 0", "\"a\": -1");
    let words = ["mine", "2 document(s), the first is 0", "an answer that is none of the choices"];
    let place = warned(with(TASK, data.as_bytes()), &words);
    assert_eq!(first_accuracy(&place), [0.0, 0.0]);
    let named = DATA.replace("\"a\": 1", "\"a\": \"z\"").replace("\"a\": 0", "\"a\": \"x\"");
    warned(with(TASK, named.as_bytes()), &["mine", "the first is 1", "none of the choices"]);
}

#[test]
fn an_empty_choice() {
    let data = DATA.replace("[\"x\", \"y\"]", "[\"\", \"y\"]");
    warned(with(TASK, data.as_bytes()), &["mine", "an empty choice"]);
    let bare = format!("{TASK}target_delimiter: \"\"\n");
    refused(with(&bare, data.as_bytes()), &["mine.yaml", "document 0", "doc_to_choice", "nothing to score"]);
    let none = DATA.replace("[\"x\", \"y\"]", "[]");
    refused(with(TASK, none.as_bytes()), &["mine.yaml", "document 0", "doc_to_choice", "empty"]);
}

#[test]
fn ids_that_stand_twice() {
    let data = DATA.replace("{\"q\"", "{\"id\": \"n1\", \"q\"");
    warned(with(TASK, data.as_bytes()), &["mine", "the first is 1", "an id that an earlier document has"]);
}

#[test]
fn other_encodings() {
    let latin = [DATA.as_bytes(), b"{\"q\": \"caf\xe9\", \"a\": 0, \"c\": [\"x\", \"y\"]}\n"].concat();
    let byte = format!("byte {}", DATA.len() + 10);
    refused(with(TASK, &latin), &["test.jsonl", "line 3", "not UTF-8", &byte, "convert"]);
    let wide: Vec<u8> = DATA.encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused(with(TASK, &[b"\xff\xfe".to_vec(), wide].concat()), &["test.jsonl", "line 1", "not UTF-8"]);
    // A mark of the byte order is no text.
    let (_place, output) = with(TASK, &[b"\xef\xbb\xbf", DATA.as_bytes()].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let table = task("dataset_path: json", "dataset_path: csv")
        .replace("test.jsonl", "test.csv")
        .replace("choice: c", "choice: [x, y]");
    let bad = eval(&[("mine.yaml", table.as_bytes()), ("test.csv", b"q,a\nok,0\ncaf\xe9,1\n")]);
    refused(bad, &["test.csv", "line 3", "not UTF-8"]);
    let ragged = eval(&[("mine.yaml", table.as_bytes()), ("test.csv", b"q,a\nok,0\nthree,1,2\n")]);
    refused(ragged, &["test.csv", "row 1", "fields"]);
    let (_place, good) =
        eval(&[("mine.yaml", table.as_bytes()), ("test.csv", b"\xef\xbb\xbfq,a\nok,0\nb,1\n")]);
    assert!(good.status.success(), "{}", stderr(&good));
}

#[test]
fn rows_that_are_no_documents() {
    let cut = &DATA.as_bytes()[..DATA.len() - 5];
    refused(with(TASK, cut), &["test.jsonl", "row 1", "not JSON"]);
    let text = [DATA, "\"only a text\"\n"].concat();
    refused(with(TASK, text.as_bytes()), &["test.jsonl", "row 2", "expected an object", "only a text"]);
}

#[test]
fn splits_that_are_empty_or_not_there() {
    refused(with(TASK, b""), &["mine", "\"test\"", "no documents", "test.jsonl", "mine.yaml"]);
    refused(eval(&[("mine.yaml", TASK.as_bytes())]), &["test.jsonl", "no such file", "data_files"]);
    let folder = task("data_files:", "data_dir: 3\n  data_files:");
    refused(with(&folder, DATA.as_bytes()), &["data_dir", "expected the name of a folder", "found 3"]);
    let pattern = task("test.jsonl", "'test{.jsonl'");
    refused(with(&pattern, DATA.as_bytes()), &["test{.jsonl", "pattern"]);
    let other = task("test_split: test", "test_split: exam");
    refused(with(&other, DATA.as_bytes()), &["exam", "data_files"]);
    refused(
        with(&task("test_split: test", ""), DATA.as_bytes()),
        &["mine.yaml", "test_split", "validation_split"],
    );
    let shots = format!("{TASK}num_fewshot: 5\n");
    refused(with(&shots, DATA.as_bytes()), &["mine.yaml", "few-shot", "5 examples", "holds 2"]);
}

#[test]
fn includes_that_lead_nowhere_or_in_a_circle() {
    let files: [(&str, &[u8]); 2] = [("mine.yaml", b"include: base.yaml\ntask: mine\n"), ("test.jsonl", b"")];
    refused(eval(&files), &["mine.yaml", "include \"base.yaml\"", "cannot be read"]);
    let circle: [(&str, &[u8]); 2] =
        [("mine.yaml", b"include: base.yaml\ntask: mine\n"), ("base.yaml", b"include: mine.yaml\n")];
    refused(eval(&circle), &["base.yaml", "include \"mine.yaml\"", "circle"]);
    let itself: [(&str, &[u8]); 1] = [("mine.yaml", b"include: mine.yaml\ntask: mine\n")];
    refused(eval(&itself), &["mine.yaml", "circle"]);
}

#[test]
fn files_that_are_no_task() {
    refused(with("task: mine\n  bad: [\n", b""), &["mine.yaml", "line 2"]);
    refused(
        with(&format!("{TASK}doc_to_txt: x\n"), b""),
        &["mine.yaml, line 11", "doc_to_txt", "\"doc_to_text\""],
    );
    refused(
        with(&format!("{TASK}process_docs: !function utils.own\n"), b""),
        &["mine.yaml", "utils.own", "no Python"],
    );
    refused(with("- a\n- b\n", b""), &["mine.yaml", "keys and values"]);
}

#[test]
fn a_file_that_is_no_task_is_not_shown_where_it_is_included() {
    // As in /etc/shadow, whose lines YAML takes for keys; for one that is no text; and for none.
    for text in
        ["root:$6$secret:19000:0:99999:7:::\n", "token: secret\nsecret2: [\n", "7: secret\n", "secret\n"]
    {
        for own in ["include: other\n", "include: other\ntask: mine\n"] {
            let output = eval(&[("mine.yaml", own.as_bytes()), ("other", text.as_bytes())]);
            let said = stderr(&output.1);
            assert!(!said.contains("secret"), "{said}");
            refused(output, &[]);
        }
    }
    let shadow = ("other", &b"root:$6$secret:19000:0:99999:7:::\n"[..]);
    let words = ["other: expected keys of a task file", "not shown"];
    refused(eval(&[("mine.yaml", b"include: other\ntask: mine\n"), shadow]), &words);
    // A slip in a file of tasks is said as before.
    let part = TASK.replace("doc_to_text", "doc_to_txt");
    let words = ["other", "unknown key \"doc_to_txt\"", "doc_to_text"];
    refused(
        eval(&[
            ("mine.yaml", b"include: other\n"),
            ("other", part.as_bytes()),
            ("test.jsonl", DATA.as_bytes()),
        ]),
        &words,
    );
}
