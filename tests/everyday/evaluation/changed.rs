//! A run is believed only as what it was: of the same tasks, data and model as they are now.

use std::fs;
use std::process::Output;

use serde_json::json;
use zoo::kernels::{Precision, name_of_bits};

use crate::support::interrupted::files;
use crate::support::place::{Place, assert_says};
use crate::support::tiny::{stderr, stdout, write_tiny_model};

const TASK: &str = "task: choose\noutput_type: multiple_choice\ndataset_path: json\n\
     dataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\nnum_fewshot: 0\n\
     doc_to_text: \"{{q}} =\"\ndoc_to_choice: [\"four\", \"2\"]\ndoc_to_target: gold\nmetric_list: [{metric: acc}]\n";

/// A model and a task of its own.
fn place() -> Place {
    let place = Place::new(&["--suite", "choose"]);
    place.task("choose.yaml", TASK);
    rows(&place, [1, 0, 1]);
    place
}

/// The same with a finished run.
fn finished() -> Place {
    let place = place();
    place.run("run", &[]);
    place
}

fn rows(place: &Place, gold: [usize; 3]) {
    let row =
        |(at, gold): (usize, usize)| format!("{}\n", json!({"q": format!("{at} + {at}"), "gold": gold}));
    place.task("rows.jsonl", gold.into_iter().enumerate().map(row).collect::<String>());
}

fn change_configuration(place: &Place, model: &str) {
    let file = place.path(model).join("config.json");
    let mut values: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    values["rms_norm_eps"] = 1e-4.into();
    fs::write(&file, values.to_string()).unwrap();
}

fn resume(place: &Place, extra: &[&str]) -> Output {
    place.eval("run", &[&["--resume"], extra].concat())
}

fn score(place: &Place) -> Output {
    place.zoo(&["score", &place.text("run")])
}

#[test]
fn a_run_of_other_tasks_or_data_is_refused_finished_or_not() {
    let place = finished();
    let same = resume(&place, &[]);
    assert_says(&same, 0, &["this run is complete, since ", "results.csv"]);
    assert_eq!(stderr(&same).lines().count(), 2, "{}", stderr(&same));
    for finished in [true, false] {
        if !finished {
            place.unfinish("run");
        }
        let refused = |what: &str| {
            let output = resume(&place, &[]);
            let words = if finished { "finished run of something else" } else { "begun with other settings" };
            assert_says(&output, 2, &[words, what]);
            assert!(stdout(&output).is_empty());
        };
        // Another prompt, and another metric.
        place.task("choose.yaml", TASK.replace("{{q}} =", "{{q}} is"));
        refused("task choose, doc_to_text: ");
        place.task("choose.yaml", TASK.replace("metric: acc", "metric: acc_norm"));
        refused("task choose, metric_list: ");
        place.task("choose.yaml", TASK.to_owned() + "gen_prefix: \"So\"\n");
        refused("task choose, gen_prefix: none then, ");
        // Through another file.
        place.task("choose.yaml", "include: base\ntask: choose\n");
        place.task("base", TASK.replace("\"2\"", "\"3\""));
        refused("task choose, doc_to_choice: ");
        // The same, written otherwise.
        place.task("base", TASK.replace("task: choose\n", "# A comment.\n"));
        if finished {
            assert_says(&resume(&place, &[]), 0, &["this run is complete"]);
        }
        place.task("choose.yaml", TASK);
        rows(&place, [0, 1, 0]);
        refused("task choose, data: ");
        rows(&place, [1, 0, 1]);
    }
    assert_says(&resume(&place, &[]), 0, &[]);
}

#[test]
fn a_run_of_another_model_is_refused() {
    let place = finished();
    assert_says(&resume(&place, &["--precision", "int8"]), 2, &["arithmetic: exact then, int8 now"]);
    assert_says(&resume(&place, &["--against", "exact"]), 2, &["exact then, exact against exact now"]);
    assert_says(&resume(&place, &["--max-length", "100"]), 2, &["positions: 2048 then, 100 now"]);
    let [then, now] = ["native", "portable"].map(|name| name_of_bits(name, Precision::Exact));
    let expected = format!("matmul: {then} then, {now} now");
    assert_says(&resume(&place, &["--matmul", "portable"]), 2, &[&expected]);
    let file = place.path("tiny/model.safetensors");
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    let low = changed.len() - 3;
    changed[low] ^= 0x10;
    fs::write(&file, changed).unwrap();
    assert_says(&resume(&place, &[]), 2, &["model 1, weights: "]);
    fs::write(&file, whole).unwrap();
    assert_says(&resume(&place, &[]), 0, &["this run is complete"]);
    change_configuration(&place, "tiny");
    assert_says(&resume(&place, &[]), 2, &["model 1, configuration: "]);
    // What is not there any more cannot be compared, and that is said.
    fs::remove_dir_all(place.path("tiny")).unwrap();
    fs::remove_file(place.path("tasks/rows.jsonl")).unwrap();
    let words =
        ["the model tiny is not here any more", "data of choose are not here any more", "complete, since"];
    assert_says(&resume(&place, &[]), 0, &words);
    place.task("choose.yaml", TASK.replace("{{q}} =", "{{q}} is"));
    assert_says(&resume(&place, &[]), 2, &["task choose, doc_to_text: "]);
}

#[test]
fn a_run_of_an_earlier_version_is_compared_as_far_as_it_tells() {
    let place = finished();
    fs::remove_file(place.path("run/settings.yaml")).unwrap();
    assert_says(&resume(&place, &[]), 0, &["did not write down what its task files said", "complete, since"]);
    assert_says(&resume(&place, &["--max-length", "100"]), 2, &["positions: 2048 then, 100 now"]);
    rows(&place, [0, 1, 0]);
    assert_says(&resume(&place, &[]), 2, &["task choose, data: "]);
}

#[test]
fn a_run_is_not_graded_as_answers_to_other_choices() {
    let place = finished();
    let same = score(&place);
    assert_says(&same, 0, &[]);
    assert!(!stderr(&same).contains("not that of the run"), "{}", stderr(&same));
    // Other right answers are what grading again is for.
    place.task("choose.yaml", TASK.replace("doc_to_target: gold", "doc_to_target: \"{{1 - gold}}\""));
    assert_says(&score(&place), 0, &["the task file is not that of the run (other are doc_to_target)"]);
    // The same prompts with other choices were never answered.
    place.task("choose.yaml", TASK.replace("\"2\"", "\"3\""));
    assert_says(&score(&place), 1, &["choose.jsonl", "the continuations are not those that were scored"]);
    place.task("choose.yaml", TASK.to_owned() + "target_delimiter: \"\"\n");
    assert_says(&score(&place), 1, &["the continuations are not those that were scored"]);
}

/// A chat template of one's own beside the model.
const CHAT: &str = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}\
                    {% if add_generation_prompt %}<assistant>{% endif %}";

#[test]
fn a_run_with_and_without_a_chat_template_is_compared_by_both() {
    let place = place();
    let both = ["--apply-chat-template=both"];
    fs::write(place.path("tiny/chat_template.jinja"), CHAT).unwrap();
    let first = place.run("run", &both);
    let expected = files(&place.path("run"));
    assert!(expected.contains_key("samples/tiny__chat_/choose.jsonl"), "{:?}", expected.keys());
    let again = resume(&place, &both);
    assert_says(&again, 0, &["this run is complete, since "]);
    assert_eq!(stderr(&again).lines().count(), 2, "{}", stderr(&again));
    assert_eq!(stdout(&again), stdout(&first));
    assert_eq!(files(&place.path("run")), expected);
    // Asked in one way alone it is another run.
    assert_says(
        &resume(&place, &[]),
        2,
        &["finished run of something else", "--apply-chat-template: both then"],
    );
    for finished in [true, false] {
        if !finished {
            place.unfinish("run");
        }
        fs::write(place.path("tiny/chat_template.jinja"), CHAT.replace("<assistant>", "<model>")).unwrap();
        let words = if finished { "finished run of something else" } else { "begun with other settings" };
        assert_says(&resume(&place, &both), 2, &[words, "model 1, chat templates: checkpoint: default "]);
        fs::write(place.path("tiny/chat_template.jinja"), CHAT).unwrap();
    }
    // What had no end goes on to the same bytes.
    assert_says(&resume(&place, &both), 0, &["were answered before the interruption"]);
    assert_eq!(files(&place.path("run")), expected);
}

#[test]
fn each_of_several_models_is_compared() {
    let place = place();
    let other = place.text("other");
    write_tiny_model(&place.path("other"));
    // The same model twice is two models.
    let models = [place.text("tiny"), other];
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    place.run("run", &models);
    assert_says(&resume(&place, &models), 0, &["this run is complete, since "]);
    change_configuration(&place, "other");
    assert_says(&resume(&place, &models), 2, &["model 3, configuration: "]);
    assert_says(&resume(&place, &models[..1]), 2, &["models: 3 then, 2 now"]);
}
