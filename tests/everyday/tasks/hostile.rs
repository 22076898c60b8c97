//! Task files and chat templates made to end the process, never to end, or to take all memory, through the program: each is an
//! error with exit 1, in little time and memory.

use std::fs;
use std::process::{Command, Output};

use crate::support::place::Place;
use crate::support::tiny::{command, stderr};

/// Seconds that a refusal may take, with everything around it.
const SECONDS: u32 = 60;
/// KiB of address space of the process: threads and the allocator reserve most of it, and touch little.
const ADDRESS_SPACE: u32 = 6 << 20;

const TASK: &str = "task: mine
dataset_path: json
dataset_kwargs:
  data_files: {test: test.jsonl}
test_split: test
doc_to_text: \"{{q}}\"
doc_to_choice: [x, y]
doc_to_target: 0
output_type: multiple_choice
metric_list: [{metric: acc}]
";

/// Templates, and what is said of them.
fn templates() -> Vec<(String, &'static str)> {
    let chain = |before: &str, link: &str, after: &str| format!("{before}{}{after}", link.repeat(20_000));
    let nested = "nested at most 200 deep";
    vec![
        (chain("{{ ", "-", "1 }}"), nested),
        (chain("{{ ", "not ", "1 }}"), nested),
        (chain("{{ 1", " ~ 1", " }}"), nested),
        (chain("{{ 1", " ** 1", " }}"), nested),
        (chain("{{ a", ".b", " }}"), nested),
        (chain("{{ a", "()", " }}"), nested),
        (chain("{{ 'a'", "|trim", " }}"), nested),
        (chain("{{ 1", " is odd", " }}"), nested),
        (chain("{{ ", "1 if 1 else ", "1 }}"), nested),
        (chain("{% if 0 %}", "{% elif 0 %}", "{% endif %}"), nested),
        (
            "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"
                .into(),
            "ran out of fuel",
        ),
        ("{{ '{:>2000000000}'.format('x') }}".into(), "ran out of fuel"),
        ("{{ '{:.2000000000f}'.format(1.5) }}".into(), "ran out of fuel"),
        (
            "{% set s = 'é' * 4000000 %}{% for i in range(99999) %}{% if s[-1] == 'b' %}{% endif %}{% endfor %}x".into(),
            "ran out of fuel",
        ),
        (
            "{% set s = 'a' * 8000000 %}{% set t = 'a' * 8000000 %}{% for i in range(99999) %}{% if s == t %}{% endif %}\
             {% endfor %}x"
                .into(),
            "ran out of fuel",
        ),
        (
            "{% set s = 'a' * 4000000 %}{% set a = s ~ 'b' %}{% set l = [s ~ 'c'] * 99999 %}{% if a in l %}{% endif %}x".into(),
            "ran out of fuel",
        ),
        (
            "{% set l = ['a' * 4000000 ~ 'b'] * 20000 %}{{ l|unique|list|length }}{{ l|sort|length }}".into(),
            "ran out of fuel",
        ),
        ("{{ 'x' * 20000000 }}".into(), "at most 8388608 bytes"),
    ]
}

/// Runs the task with bounds on the process.
fn bounded(place: &Place, extra: &[&str]) -> Output {
    let (data, tasks) = (place.text("data"), place.text("tasks"));
    let own: &[&str] = &["--data-dir", &data, "--include-path", &tasks];
    let args = place.args("run", &[extra, own].concat());
    let program = command(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {ADDRESS_SPACE} && exec timeout -s KILL {SECONDS} \"$0\" \"$@\"")]);
    shell.arg(program.get_program()).args(args);
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell.output().expect("sh starts")
}

fn refused(output: &Output, words: &str, what: &str) {
    let text = stderr(output);
    let what = what.get(..80).unwrap_or(what);
    assert_eq!(output.status.code(), Some(1), "{what}: {}", text.get(..2000).unwrap_or(&text));
    assert!(text.contains(words), "{what}: {words:?} is not in: {}", text.get(..2000).unwrap_or(&text));
}

fn place() -> Place {
    let place = Place::new(&["--suite", "mine"]);
    place.task("test.jsonl", "{\"q\": \"one\"}\n");
    place
}

#[test]
fn templates_of_task_files() {
    let place = place();
    for (template, words) in templates() {
        let text = serde_json::to_string(&template).unwrap();
        place.task("mine.yaml", TASK.replace("\"{{q}}\"", &text));
        refused(&bounded(&place, &[]), words, &template);
    }
}

#[test]
fn chat_templates_of_checkpoints() {
    let place = place();
    place.task("mine.yaml", TASK);
    for (template, words) in templates() {
        fs::write(place.path("tiny").join("chat_template.jinja"), &template).unwrap();
        refused(&bounded(&place, &["--apply-chat-template"]), words, &template);
    }
}

#[test]
fn columns_without_an_end() {
    let place = place();
    place.task("mine.yaml", TASK.replace("\"{{q}}\"", "q"));
    place.task("test.jsonl", format!("{{\"q\": \"one\"}}\n{{\"q\": \"{}\"}}\n", "x ".repeat(5 << 20)));
    let words = "evaluated document 1, prompt: expected a text of at most 8388608 bytes";
    refused(&bounded(&place, &[]), words, "a column of 10 MB");
}

#[test]
fn yaml_that_nests_deep() {
    let place = place();
    for text in ["[".repeat(1 << 20), "{a: ".repeat(1 << 18), "[ # ]\n".repeat(1 << 17)] {
        place.task("mine.yaml", TASK.to_owned() + "metadata: " + &text);
        let output = bounded(&place, &[]);
        let said = stderr(&output);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{said}");
        assert!(said.contains("mine.yaml") && said.contains("nested at most 256 deep"), "{said}");
    }
}
