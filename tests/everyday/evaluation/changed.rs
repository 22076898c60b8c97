//! A run is believed only as what it was: of the same tasks, data and model as they are now.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::json;

use crate::support::tiny::{stderr, stdout, write_tiny_model, zoo};

const TASK: &str = "task: choose\noutput_type: multiple_choice\ndataset_path: json\n\
     dataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\nnum_fewshot: 0\n\
     doc_to_text: \"{{q}} =\"\ndoc_to_choice: [\"four\", \"2\"]\ndoc_to_target: gold\nmetric_list: [{metric: acc}]\n";

/// A folder with a model, a task of its own and its data.
struct Place(tempfile::TempDir);

impl Place {
    /// With a finished run.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("tasks")).unwrap();
        write_tiny_model(&place.path("tiny"));
        place.write("choose.yaml", TASK);
        place.rows([1, 0, 1]);
        assert_says(&place.eval(&[]), 0, &[]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("tasks").join(name), text).unwrap();
    }

    fn rows(&self, gold: [usize; 3]) {
        let row =
            |(at, gold): (usize, usize)| format!("{}\n", json!({"q": format!("{at} + {at}"), "gold": gold}));
        self.write("rows.jsonl", &gold.into_iter().enumerate().map(row).collect::<String>());
    }

    fn zoo(&self, args: &[&str]) -> Output {
        let tasks = self.path("tasks");
        zoo(&[args, &["--include-path", tasks.to_str().unwrap()]].concat())
    }

    fn eval(&self, extra: &[&str]) -> Output {
        let model = self.path("tiny");
        let run = self.path("run");
        let own = ["eval", model.to_str().unwrap(), "--suite", "choose", "--out", run.to_str().unwrap()];
        self.zoo(&[&own[..], extra].concat())
    }

    fn resume(&self, extra: &[&str]) -> Output {
        self.eval(&[&["--resume"], extra].concat())
    }

    fn score(&self) -> Output {
        self.zoo(&["score", self.path("run").to_str().unwrap()])
    }

    /// The run as it was before its end, with all its scores.
    fn unfinish(&self) {
        let run = self.path("run");
        fs::rename(run.join("settings.yaml"), run.join("run.partial.yaml")).unwrap();
        for file in ["run.yaml", "results.csv"] {
            fs::remove_file(run.join(file)).unwrap();
        }
    }
}

fn assert_says(output: &Output, code: i32, words: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn a_run_of_other_tasks_or_data_is_refused_finished_or_not() {
    let place = Place::new();
    let same = place.resume(&[]);
    assert_says(&same, 0, &["this run is complete, since ", "results.csv"]);
    assert_eq!(stderr(&same).lines().count(), 2, "{}", stderr(&same));
    for finished in [true, false] {
        if !finished {
            place.unfinish();
        }
        let refused = |what: &str| {
            let output = place.resume(&[]);
            let words = if finished { "finished run of something else" } else { "begun with other settings" };
            assert_says(&output, 2, &[words, what]);
            assert!(stdout(&output).is_empty());
        };
        // Another prompt, and another metric.
        place.write("choose.yaml", &TASK.replace("{{q}} =", "{{q}} is"));
        refused("task choose, doc_to_text: ");
        place.write("choose.yaml", &TASK.replace("metric: acc", "metric: acc_norm"));
        refused("task choose, metric_list: ");
        place.write("choose.yaml", &(TASK.to_owned() + "gen_prefix: \"So\"\n"));
        refused("task choose, gen_prefix: none then, ");
        // Through another file.
        place.write("choose.yaml", "include: base\ntask: choose\n");
        place.write("base", &TASK.replace("\"2\"", "\"3\""));
        refused("task choose, doc_to_choice: ");
        // The same, written otherwise.
        place.write("base", &TASK.replace("task: choose\n", "# A comment.\n"));
        if finished {
            assert_says(&place.resume(&[]), 0, &["this run is complete"]);
        }
        place.write("choose.yaml", TASK);
        place.rows([0, 1, 0]);
        refused("task choose, data: ");
        place.rows([1, 0, 1]);
    }
    assert_says(&place.resume(&[]), 0, &[]);
}

#[test]
fn a_run_of_another_model_is_refused() {
    let place = Place::new();
    assert_says(&place.resume(&["--precision", "int8"]), 2, &["arithmetic: exact then, int8 now"]);
    assert_says(&place.resume(&["--against", "exact"]), 2, &["exact then, exact against exact now"]);
    assert_says(&place.resume(&["--max-length", "100"]), 2, &["positions: 2048 then, 100 now"]);
    assert_says(&place.resume(&["--matmul", "portable"]), 2, &["matmul: native then, portable now"]);
    let file = place.path("tiny/model.safetensors");
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    let low = changed.len() - 3;
    changed[low] ^= 0x10;
    fs::write(&file, changed).unwrap();
    assert_says(&place.resume(&[]), 2, &["model 1, weights: "]);
    fs::write(&file, whole).unwrap();
    assert_says(&place.resume(&[]), 0, &["this run is complete"]);
    let config = place.path("tiny/config.json");
    let mut values: serde_json::Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    values["rms_norm_eps"] = 1e-4.into();
    fs::write(&config, values.to_string()).unwrap();
    assert_says(&place.resume(&[]), 2, &["model 1, configuration: "]);
    // What is not there any more cannot be compared, and that is said.
    fs::remove_dir_all(place.path("tiny")).unwrap();
    fs::remove_file(place.path("tasks/rows.jsonl")).unwrap();
    let words =
        ["the model tiny is not here any more", "data of choose are not here any more", "complete, since"];
    assert_says(&place.resume(&[]), 0, &words);
    place.write("choose.yaml", &TASK.replace("{{q}} =", "{{q}} is"));
    assert_says(&place.resume(&[]), 2, &["task choose, doc_to_text: "]);
}

#[test]
fn a_run_of_an_earlier_version_is_compared_as_far_as_it_tells() {
    let place = Place::new();
    fs::remove_file(place.path("run/settings.yaml")).unwrap();
    assert_says(&place.resume(&[]), 0, &["did not write down what its task files said", "complete, since"]);
    assert_says(&place.resume(&["--max-length", "100"]), 2, &["positions: 2048 then, 100 now"]);
    place.rows([0, 1, 0]);
    assert_says(&place.resume(&[]), 2, &["task choose, data: "]);
}

#[test]
fn a_run_is_not_graded_as_answers_to_other_choices() {
    let place = Place::new();
    let same = place.score();
    assert_says(&same, 0, &[]);
    assert!(!stderr(&same).contains("not that of the run"), "{}", stderr(&same));
    // Other right answers are what grading again is for.
    place.write("choose.yaml", &TASK.replace("doc_to_target: gold", "doc_to_target: \"{{1 - gold}}\""));
    assert_says(&place.score(), 0, &["the task file is not that of the run (other are doc_to_target)"]);
    // The same prompts with other choices were never answered.
    place.write("choose.yaml", &TASK.replace("\"2\"", "\"3\""));
    assert_says(&place.score(), 1, &["choose.jsonl", "the continuations are not those that were scored"]);
    place.write("choose.yaml", &(TASK.to_owned() + "target_delimiter: \"\"\n"));
    assert_says(&place.score(), 1, &["the continuations are not those that were scored"]);
}
