//! Tasks whose answers are written: by the most probable tokens, the same however they are computed, kept as they come.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use zoo::kernels;
use zoo::model::{Checkpoint, Kept, Residence, Wave, unwatched};
use zoo::tokenizer::Tokenizer;

use crate::support::interrupted::{Interrupted, files, ledger_bytes};
use crate::support::tiny::{command, stderr, stdout, write_tiny_bloom, write_tiny_model, zoo};

/// Documents that most tests ask, and all that there are: more than are written together.
const DOCUMENTS: usize = 30;
const ALL: usize = 300;
/// Tokens of an answer, at most.
const MOST: usize = 40;

/// A model, and a task whose prompts begin alike.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        write_tiny_model(&place.path("tiny"));
        fs::create_dir(place.path("tasks")).unwrap();
        let rows = (0..ALL).map(|n| format!("{}\n", json!({"q": format!("What is {n} and {n}"), "a": "x"})));
        fs::write(place.path("tasks/rows.jsonl"), rows.collect::<String>()).unwrap();
        place.task("write", "", "");
        place
    }

    /// A task with more in its settings of writing.
    fn task(&self, name: &str, kwargs: &str, more: &str) {
        let text = format!(
            "task: {name}\noutput_type: generate_until\ndataset_path: json\n\
             dataset_kwargs: {{data_files: {{test: rows.jsonl}}}}\ntest_split: test\nfewshot_split: test\n\
             num_fewshot: 3\nfewshot_config: {{sampler: first_n}}\ndoc_to_text: \"{{{{q}}}}?\"\n\
             doc_to_target: \"{{{{a}}}}\"\ngeneration_kwargs: {{until: [\"e\", \"\\n\\n\"], max_gen_toks: {MOST}{kwargs}}}\n\
             metric_list: [{{metric: exact_match}}]\n{more}"
        );
        fs::write(self.path("tasks").join(format!("{name}.yaml")), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn args(&self, suite: &str, out: &str, extra: &[&str]) -> Vec<String> {
        let [model, tasks, out] = ["tiny", "tasks", out].map(|name| self.path(name).display().to_string());
        let own = ["eval", &model, "--suite", suite, "--include-path", &tasks, "--out", &out];
        own.iter().chain(extra).map(|arg| (*arg).to_owned()).collect()
    }

    /// Of a few documents, unless `extra` says otherwise.
    fn eval(&self, suite: &str, out: &str, extra: &[&str]) -> Output {
        let documents = DOCUMENTS.to_string();
        let few: &[&str] = if extra.contains(&"--limit") { &[] } else { &["--limit", &documents] };
        let args = self.args(suite, out, &[few, extra].concat());
        zoo(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn done(&self, suite: &str, out: &str, extra: &[&str]) {
        let output = self.eval(suite, out, extra);
        assert!(output.status.success(), "{}", stderr(&output));
    }

    /// The lines of a task's samples, without the first, which is of the task.
    fn samples(&self, out: &str, task: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(out).join(format!("samples/tiny/{task}.jsonl"))).unwrap();
        text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// What follows a prompt by the most probable tokens, each by a pass over everything before it, up to the first stop.
fn plainly(model: &Path, prompt: &str) -> String {
    let network = Checkpoint::open(model).unwrap().load(kernels::default(), Residence::Memory).unwrap();
    let tokenizer = Tokenizer::from_folder(model).unwrap();
    let mut tokens = tokenizer.encode_for_model(prompt).unwrap();
    let begins = tokens.len();
    while tokens.len() < begins + MOST {
        let hidden = network
            .forward(&Wave::sequence(&tokens), Kept::Rows(&[tokens.len() - 1]), &mut unwatched)
            .unwrap();
        let logits = network.logits(hidden.view());
        let best = (0..logits.ncols()).max_by(|&a, &b| logits[[0, a]].total_cmp(&logits[[0, b]])).unwrap();
        if tokenizer.eos() == Some(best as u32) {
            break;
        }
        tokens.push(best as u32);
    }
    let text = tokenizer.decode_without_specials(&tokens[begins..]).unwrap();
    let text = text.split('e').next().unwrap();
    text.split("\n\n").next().unwrap().to_owned()
}

#[test]
fn answers_are_those_of_one_pass_for_each_token() {
    let place = Place::new();
    place.done("write", "run", &["--log-samples"]);
    let samples = place.samples("run", "write");
    assert_eq!(samples.len(), DOCUMENTS);
    for (number, sample) in samples.iter().enumerate().step_by(7) {
        // The first three documents are the examples of all others.
        let shots: String =
            (0..4).filter(|n| *n != number).take(3).map(|n| format!("What is {n} and {n}? x\n\n")).collect();
        let prompt = format!("{shots}What is {number} and {number}?");
        assert_eq!(sample["text"], plainly(&place.path("tiny"), &prompt).as_str(), "document {number}");
    }
    assert!(samples.iter().any(|sample| sample["text"] != samples[0]["text"]), "{samples:?}");
    let table = fs::read_to_string(place.path("run/results.csv")).unwrap();
    assert!(table.contains(",write,write,3,exact_match,none,"), "{table}");
    // It is graded again from what it wrote.
    let (run, again) = (place.path("run").display().to_string(), place.path("again").display().to_string());
    let tasks = place.path("tasks").display().to_string();
    let output = zoo(&["score", &run, "--include-path", &tasks, "--out", &again]);
    assert!(output.status.success(), "{}", stderr(&output));
    let without_harness = |folder: &str| {
        let mut files = files(&place.path(folder));
        files.retain(|name, _| name.ends_with(".csv") || name.starts_with("samples/"));
        files
    };
    assert_eq!(without_harness("again"), without_harness("run"));
}

#[test]
fn answers_do_not_depend_on_waves_threads_or_where_layers_are() {
    let place = Place::new();
    place.done("write", "run", &[]);
    let expected = place.samples("run", "write");
    for (number, extra) in [
        &["--threads", "1", "--batch-tokens", "90"][..],
        &["--threads", "3", "--layers", "disk"],
        &["--limit", "9", "--memory", "240MiB"],
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("other{number}");
        place.done("write", &out, extra);
        let found = place.samples(&out, "write");
        assert_eq!(found[..], expected[..found.len()], "{extra:?}");
    }
    fs::remove_dir_all(place.path("tiny")).unwrap();
    write_tiny_bloom(&place.path("tiny"));
    place.done("write", "bloom", &[]);
    let text = &place.samples("bloom", "write")[0]["text"];
    let prompt = "What is 1 and 1? x\n\nWhat is 2 and 2? x\n\nWhat is 3 and 3? x\n\nWhat is 0 and 0?";
    assert_eq!(*text, plainly(&place.path("tiny"), prompt).as_str());
}

#[test]
fn a_run_that_is_killed_keeps_what_was_written() {
    let place = Place::new();
    let all = ["--limit", "300"];
    place.done("write", "whole", &all);
    let expected = files(&place.path("whole"));
    let size = ledger_bytes(&place.path("whole"));
    let mut kills = 0;
    for part in 1..=3 {
        let args = place.args("write", "run", &[&all[..], &["--resume", "--threads", "1"]].concat());
        let mut interrupted = Interrupted::start(command(&[]), &args, &place.path("run"));
        kills += u32::from(interrupted.kill_after_bytes(size * part / 5));
    }
    assert!(kills > 0);
    let kept = ledger_bytes(&place.path("run"));
    assert!(kept > 0 && kept < size, "{kept} of {size}");
    let output = place.eval("write", "run", &[&all[..], &["--resume"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("were answered before the interruption"), "{}", stderr(&output));
    assert_eq!(files(&place.path("run")), expected);
    assert_eq!(ledger_bytes(&place.path("run")), size, "nothing was written twice");
    // Another run takes all of it over, and writes nothing.
    let from = place.path("run").display().to_string();
    let output = place.eval("write", "reused", &[&all[..], &["--reuse", &from]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("300 of 300 requests were taken over"), "{}", stderr(&output));
    assert!(!stderr(&output).contains(" a second"), "{}", stderr(&output));
    assert_eq!(files(&place.path("reused")), expected);
    // Other settings are other answers.
    let output = place.eval("write", "shorter", &["--reuse", &from, "--gen-kwargs", "max_gen_toks=3"]);
    assert!(output.status.success() && !stderr(&output).contains("taken over"), "{}", stderr(&output));
    for (short, long) in place.samples("shorter", "write").iter().zip(&place.samples("run", "write")) {
        let (short, long) = (short["text"].as_str().unwrap(), long["text"].as_str().unwrap());
        assert!(long.starts_with(short) || short.contains('\u{fffd}'), "{short:?} {long:?}");
    }
}

#[test]
fn equal_prompts_are_written_to_once() {
    let place = Place::new();
    let task = fs::read_to_string(place.path("tasks/write.yaml")).unwrap();
    let task = task.replace("task: write", "task: same").replace("{{q}}?", "Say it again");
    fs::write(place.path("tasks/same.yaml"), task.replace("num_fewshot: 3", "num_fewshot: 0")).unwrap();
    place.done("same", "run", &[]);
    let samples = place.samples("run", "same");
    assert_eq!(samples.len(), DOCUMENTS);
    let expected = plainly(&place.path("tiny"), "Say it again");
    assert!(samples.iter().all(|sample| sample["text"] == expected.as_str()), "{expected:?}: {samples:?}");
    let ledger = fs::read_dir(place.path("run/ledger")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_to_string(ledger).unwrap().lines().count(), 2, "whose texts they are, and one");
}

#[test]
fn settings_that_are_not_followed_and_answers_without_place_are_refused() {
    let place = Place::new();
    place.task("beams", ", num_beams: 4", "");
    place.task("drawn", ", do_sample: true, temperature: 0.7, top_p: 1.5", "");
    for (suite, extra, words) in [
        ("beams", &[][..], &["task beams", "generation_kwargs.num_beams", "not followed"][..]),
        ("drawn", &[], &["task drawn", "top_p", "at most 1", "1.5"]),
        (
            "write",
            &["--max-length", "41"],
            &["task write", "up to 40 tokens", "41 positions", "--gen-kwargs"],
        ),
        (
            "write",
            &["--gen-kwargs", "max_gen_toks=18446744073709551615"],
            &["task write", "up to 18446744073709551615 tokens"],
        ),
        (
            "write",
            &["--precision", "int8", "--against", "exact"],
            &["--against exact", "task write", "are written"],
        ),
        ("write", &["--gen-kwargs", "max_gen_toks"], &["KEY=VALUE", "max_gen_toks"]),
    ] {
        let output = place.eval(suite, "refused", extra);
        let text = stderr(&output);
        assert!(!output.status.success(), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
        assert!(!place.path("refused").exists(), "{suite}");
    }
    // A prompt that leaves too little place is cut on the left, and it is said.
    place.done("write", "cut", &["--max-length", "60", "--limit", "4"]);
    let findings = fs::read_to_string(place.path("cut/sanity.csv")).unwrap();
    assert!(findings.contains("truncated"), "{findings}");
}

#[test]
fn drawn_answers_are_the_same_again_and_another_seed_draws_others() {
    let place = Place::new();
    place.task("drawn", ", do_sample: true, temperature: 1.2, seed: 5", "repeats: 2\n");
    place.done("drawn", "run", &["--limit", "8"]);
    place.done("drawn", "again", &["--limit", "4", "--threads", "1"]);
    let (run, again) = (place.samples("run", "drawn"), place.samples("again", "drawn"));
    assert_eq!(run[..4], again[..]);
    place.done("drawn", "other", &["--limit", "8", "--gen-kwargs", "seed=6"]);
    assert_ne!(run, place.samples("other", "drawn"));
    // A repetition is asked the same way.
    let config = place.path("other").display().to_string();
    let again = place.path("repeated").display().to_string();
    let output = zoo(&["eval", "--config", &config, "--out", &again]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.samples("repeated", "drawn"), place.samples("other", "drawn"));
}

#[test]
fn answers_can_be_written_without_being_graded_and_foreseen_without_being_written() {
    let place = Place::new();
    place.done("write", "run", &["--predict-only", "--limit", "3"]);
    let table = fs::read_to_string(place.path("run/results.csv")).unwrap();
    assert!(!table.contains("exact_match"), "{table}");
    assert!(place.samples("run", "write").iter().all(|sample| sample["text"].is_string()));
    let output = place.eval("write", "none", &["--dry-run", "--limit", "3"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("written, at most") && stdout(&output).contains("120"),
        "{}",
        stdout(&output)
    );
    assert!(!place.path("none").exists());
}
