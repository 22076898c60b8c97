//! Conversations: small tasks through small chat templates, against what lm-evaluation-harness 0.4.13 asks
//! (`tests/fixtures/chat`), and as a user runs them, with protocols side by side.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::conversations::{Corpus, compare, format_of};
use crate::support::tiny::{stderr, stdout, write_tiny_model, zoo};
use serde_json::{Value, json};
use zoo::tasks::{DataStore, Index};
use zoo::tokenizer::Tokenizer;

pub(super) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat")
}

/// A tiny model that puts `<s>` before a text, with a chat template of the fixtures.
fn write_chat_model(folder: &Path, template: &str) {
    write_tiny_model(folder);
    let path = folder.join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]}},
    });
    fs::write(&path, tokenizer.to_string()).unwrap();
    fs::copy(fixtures().join(format!("{template}.jinja")), folder.join("chat_template.jinja")).unwrap();
}

#[test]
fn conversations_are_those_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let formats: BTreeMap<&str, _> = ["turns", "no_system"]
        .map(|template| {
            let model = folder.path().join(template);
            write_chat_model(&model, template);
            (template, format_of(&model))
        })
        .into();
    let place = Corpus {
        index: &Index::load(&[fixtures().join("tasks")]).unwrap(),
        data: &DataStore::new(Some(&fixtures().join("data")), None),
        tokenizer: &Tokenizer::from_folder(&folder.path().join("turns")).unwrap(),
    };
    let text = fs::read_to_string(fixtures().join("requests.jsonl")).unwrap();
    let found = compare(&text, &place, |row| Arc::clone(&formats[row["template"].as_str().unwrap()]));
    assert_eq!(found.differences, Vec::<String>::new());
    assert_eq!((found.sets, found.requests, found.in_tokens), (42, 216, 198));
}

/// Runs the small tasks on a chat model; gives the output and the columns of `results.csv`.
pub(super) fn eval(folder: &Path, extra: &[&str]) -> (std::process::Output, Vec<Vec<String>>) {
    let model = folder.join("tiny");
    if !model.exists() {
        write_chat_model(&model, "turns");
    }
    let (run, data, tasks) = (folder.join("run"), fixtures().join("data"), fixtures().join("tasks"));
    let shots: &[&str] = if extra.contains(&"--num-fewshot") { &[] } else { &["--num-fewshot", "1"] };
    let mut args = [&["eval", model.to_str().unwrap()], shots].concat();
    args.extend(["--data-dir", data.to_str().unwrap(), "--include-path", tasks.to_str().unwrap()]);
    args.extend(["--out", run.to_str().unwrap()]);
    args.extend(extra);
    let output = zoo(&args);
    let text = fs::read_to_string(run.join("results.csv")).unwrap_or_default();
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let rows = rows.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    (output, rows)
}

fn columns(rows: &[Vec<String>], wanted: &[usize]) -> Vec<String> {
    rows.iter().map(|row| wanted.iter().map(|at| row[*at].as_str()).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn with_and_without_a_chat_template_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let (output, rows) = eval(folder.path(), &["--suite", "chat_plain", "--apply-chat-template=both"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(columns(&rows, &[0, 2, 4]), ["tiny chat_plain acc", "tiny (chat) chat_plain acc"]);
    assert!(stdout(&output).contains("tiny (chat)"), "{}", stdout(&output));
    let run = folder.path().join("run");
    let record: serde_yaml::Value =
        serde_yaml::from_str(&fs::read_to_string(run.join("run.yaml")).unwrap()).unwrap();
    assert_eq!(record["models"][1]["chat"]["template"], "checkpoint: default");
    assert_eq!(record["models"][1]["chat"]["fewshot_as_multiturn"], true);
    assert!(record["models"][0]["chat"].is_null());
    let prompt = |model: &str| {
        let text = fs::read_to_string(run.join("samples").join(model).join("chat_plain.jsonl")).unwrap();
        serde_json::from_str::<Value>(text.lines().nth(1).unwrap()).unwrap()["prompt_sha256"].clone()
    };
    assert_ne!(prompt("tiny"), prompt("tiny__chat_"));
}

#[test]
fn protocols_share_a_run_and_leave_out_what_they_are_not_for() {
    let folder = tempfile::tempdir().unwrap();
    let protocols = ["--protocol", "lm-eval-0.4.13,lm-eval-0.4.9,llama.cpp,opencompass-ppl"];
    let more = ["--suite", "chat_plain,chat_word", "--metrics", "acc_bytes,acc_token"];
    let (output, rows) = eval(folder.path(), &[&protocols[..], &more[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("protocol llama.cpp: left out for chat_word: it ranks choices"));
    let found = columns(&rows, &[11, 2, 4]);
    for row in [
        "lm-eval-0.4.13 chat_plain acc",
        "lm-eval-0.4.13 chat_plain acc_bytes",
        "lm-eval-0.4.13 chat_plain acc_token",
        "lm-eval-0.4.9 chat_word acc",
        "llama.cpp chat_plain acc_token",
        "opencompass-ppl chat_plain acc_ppl",
    ] {
        assert!(found.contains(&row.to_owned()), "{row} is not in {found:?}");
    }
    assert!(
        !found.iter().any(|row| row.starts_with("llama.cpp chat_word") || row == "llama.cpp chat_plain acc")
    );
    assert!(stdout(&output).contains("[llama.cpp]"), "{}", stdout(&output));

    let sample = |protocol: &str| {
        let path = folder.path().join(format!("run/samples/tiny-{protocol}/chat_plain.jsonl"));
        let text = fs::read_to_string(path).unwrap();
        serde_json::from_str::<Value>(text.lines().nth(2).unwrap()).unwrap()
    };
    let (new, old) = (sample("lm-eval-0.4.13"), sample("lm-eval-0.4.9"));
    // One special token less before the prompt, and the choices as they were.
    assert_eq!(new["n_ctx_tokens"].as_u64().unwrap(), old["n_ctx_tokens"].as_u64().unwrap() + 1);
    assert_eq!(new["choices"][0]["tokens"], old["choices"][0]["tokens"]);
    assert_ne!(new["choices"][0]["logprob"], old["choices"][0]["logprob"]);
    // " no" and " yes, of course" share the space, which llama.cpp does not score.
    assert_eq!(sample("llama.cpp")["choices"][0]["n_tokens"], 2);
    assert_eq!(new["choices"][0]["n_tokens"], 3);
    let whole = sample("opencompass-ppl");
    let tokens = new["n_ctx_tokens"].as_u64().unwrap() + new["choices"][1]["n_tokens"].as_u64().unwrap();
    assert_eq!(whole["choices"][1]["n_tokens"].as_u64().unwrap() + 1, tokens);
    assert!(whole["choices"][0].get("tokens").is_none());
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, words) in [
        (vec!["--protocol", "original-mmlu"], vec!["does not apply to chat_plain", "cais/mmlu alone"]),
        (vec!["--protocol", "orignal-mmlu"], vec!["did you mean \"original-mmlu\""]),
        (vec!["--metrics", "luck"], vec!["found \"luck\""]),
        (vec!["--metrics", "acc_ppl"], vec!["acc_ppl needs", "opencompass-ppl"]),
        (vec!["--fewshot-as-multiturn"], vec!["add --apply-chat-template"]),
        (vec!["--apply-chat-template=card"], vec!["no card names one", "templates are default"]),
        (vec!["--apply-chat-template=vicuna"], vec!["no prompt template named \"vicuna\"", "vicuna-v"]),
    ] {
        let (output, _) = eval(folder.path(), &[&["--suite", "chat_plain"], &flags[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", stderr(&output));
        for word in words {
            assert!(stderr(&output).contains(word), "{flags:?}: {}", stderr(&output));
        }
    }
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_card_s_template_writes_ids_and_a_single_turn_where_it_has_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let templates = "--apply-chat-template=alpaca,vicuna-v1.1";
    let (output, rows) = eval(folder.path(), &["--suite", "chat_plain", templates]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(columns(&rows, &[0]), ["tiny (chat, card: alpaca)", "tiny (chat, card: vicuna-v1.1)"]);
    let text = fs::read_to_string(folder.path().join("run/run.yaml")).unwrap();
    let record: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(record["models"][0]["chat"]["fewshot_as_multiturn"], false);
    assert_eq!(record["models"][1]["chat"]["fewshot_as_multiturn"], true);
    let text =
        fs::read_to_string(folder.path().join("run/samples/tiny__chat__card__vicuna-v1.1_/chat_plain.jsonl"));
    let line: Value = serde_json::from_str(text.unwrap().lines().nth(1).unwrap()).unwrap();
    // "ASSISTANT:" is followed by a space and the answer, byte by byte.
    assert_eq!(line["choices"][0]["tokens"], json!([b' ', b'n', b'o']));
}

/// Grades the run again; gives the output and where its files are.
fn score(folder: &Path) -> (std::process::Output, PathBuf) {
    let (run, again) = (folder.join("run"), folder.join("again"));
    let (data, tasks) = (fixtures().join("data"), fixtures().join("tasks"));
    let mut args = vec!["score", run.to_str().unwrap(), "--out", again.to_str().unwrap()];
    args.extend(["--data-dir", data.to_str().unwrap(), "--include-path", tasks.to_str().unwrap()]);
    (zoo(&args), again)
}

#[test]
fn protocols_and_templates_are_graded_again_to_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let protocols = ["--protocol", "llama.cpp,lm-eval-0.4.13,opencompass-ppl", "--metrics", "acc_bytes"];
    let more = ["--suite", "chat_plain,chat_word", "--apply-chat-template=both"];
    let (output, rows) = eval(folder.path(), &[&protocols[..], &more[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    // The first protocol has no chat_word, and two of the templates are of the checkpoint.
    assert!(columns(&rows, &[0, 11, 2]).contains(&"tiny (chat) lm-eval-0.4.13 chat_word".to_owned()));
    let (output, again) = score(folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let run = folder.path().join("run");
    let samples = |run: &Path| {
        let folders = fs::read_dir(run.join("samples")).unwrap().map(|entry| entry.unwrap().path());
        let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
        let files = files.map(|file| file.unwrap().path());
        let file =
            |path: PathBuf| (path.strip_prefix(run).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
        files.map(file).collect::<BTreeMap<PathBuf, String>>()
    };
    assert_eq!(samples(&run).len(), 8);
    assert_eq!(samples(&again), samples(&run));
    for file in ["results.csv", "comparison.csv", "comparison.md"] {
        assert_eq!(
            fs::read_to_string(again.join(file)).unwrap(),
            fs::read_to_string(run.join(file)).unwrap()
        );
    }
    // Prompts are written by the template that the run had, or not at all.
    let template = folder.path().join("tiny/chat_template.jinja");
    let text = fs::read_to_string(&template).unwrap();
    fs::write(&template, text + "{# another one #}").unwrap();
    let (output, _) = score(folder.path());
    assert_eq!(output.status.code(), Some(1));
    for words in ["tiny (chat)", "checkpoint: default", "none that is the same"] {
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

#[test]
fn prompts_by_a_template_of_the_registry_are_graded_again_without_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (output, _) = eval(folder.path(), &["--suite", "chat_plain", "--apply-chat-template=alpaca"]);
    assert!(output.status.success(), "{}", stderr(&output));
    fs::remove_dir_all(folder.path().join("tiny")).unwrap();
    let (output, again) = score(folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let results = |run: PathBuf| fs::read_to_string(run.join("results.csv")).unwrap();
    assert_eq!(results(again), results(folder.path().join("run")));
}
