//! `zoo generate` as a program: answers of a tiny model as text and as objects, templates, stops, sampling, interruptions.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::interrupted::{signal, wait_until};
use crate::support::tiny::{command, stderr, stdout, write_tiny_model, zoo};

/// A folder with the tiny model, whose every byte is a token.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_tiny_model(&folder.path().join("tiny"));
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn args<'a>(&'a self, model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["generate", model, "--threads", "1"], more].concat()
    }

    /// What stdout gets.
    fn generate(&self, more: &[&str]) -> String {
        let model = self.path("tiny");
        let output = zoo(&self.args(model.to_str().unwrap(), more));
        assert!(output.status.success(), "{more:?}: {}", stderr(&output));
        stdout(&output)
    }

    /// The objects that stdout gets.
    fn objects(&self, more: &[&str]) -> Vec<Value> {
        parsed(&self.generate(&[more, &["--json"]].concat()))
    }

    fn object(&self, more: &[&str]) -> Value {
        let mut objects = self.objects(more);
        assert_eq!(objects.len(), 1);
        objects.remove(0)
    }

    /// The error of a call that is refused as wrong usage.
    fn refused(&self, more: &[&str]) -> String {
        let model = self.path("tiny");
        let output = zoo(&self.args(model.to_str().unwrap(), more));
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "");
        stderr(&output)
    }

    /// Gives the model a chat template.
    fn add_template(&self, source: &str) {
        let file = self.path("tiny/tokenizer_config.json");
        let mut settings: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        settings["chat_template"] = json!(source);
        std::fs::write(file, settings.to_string()).unwrap();
    }
}

fn parsed(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An object without the time that it took.
fn timeless(mut object: Value) -> Value {
    assert!(object["seconds"].as_f64().unwrap() > 0.0);
    object.as_object_mut().unwrap().remove("seconds");
    object
}

#[test]
fn an_answer_is_the_same_as_text_as_object_and_among_others() {
    let place = Place::new();
    let alone = place.object(&["The cat", "-n", "40", "--logprobs"]);
    let (text, tokens) = (alone["text"].as_str().unwrap(), alone["tokens"].as_array().unwrap());
    assert_eq!((&alone["prompt"], &alone["end"]), (&json!("The cat"), &json!("length")));
    assert_eq!((alone["n_prompt_tokens"].as_u64(), alone["n_tokens"].as_u64()), (Some(7), Some(40)));
    let logprobs = alone["logprobs"].as_array().unwrap();
    assert_eq!((tokens.len(), logprobs.len()), (40, 40));
    assert!(logprobs.iter().all(|logprob| logprob.as_f64().unwrap() < 0.0));
    // Each token is a byte.
    let bytes: Vec<u8> = tokens.iter().map(|id| u8::try_from(id.as_u64().unwrap()).unwrap()).collect();
    assert_eq!(text, String::from_utf8_lossy(&bytes));
    assert_eq!(place.generate(&["The cat", "-n", "40"]), format!("{text}\n"));

    let prompts = place.write("p.txt", "A dog\n\nThe cat\nThe catalogue\n");
    let several = place.objects(&["--prompts", &prompts, "-n", "40", "--logprobs"]);
    let asked: Vec<&str> = several.iter().map(|object| object["prompt"].as_str().unwrap()).collect();
    assert_eq!(asked, ["A dog", "The cat", "The catalogue"]);
    assert_eq!(timeless(several[1].clone()), timeless(alone.clone()));
    let shown = place.generate(&["--prompts", &prompts, "-n", "40"]);
    let expected: Vec<String> = several
        .iter()
        .enumerate()
        .map(|(at, object)| {
            let (prompt, text) = (object["prompt"].as_str().unwrap(), object["text"].as_str().unwrap());
            format!("[{}/3] {prompt}\n{text}\n", at + 1)
        })
        .collect();
    assert_eq!(shown, expected.join("\n"));

    // In a file, from objects on standard input, and with layers on the disk.
    let out = place.path("out/answers.jsonl");
    let model = place.path("tiny");
    let more =
        ["--prompts", "-", "-n", "40", "--layers", "disk", "--logprobs", "--out", out.to_str().unwrap()];
    let mut child = command(&place.args(model.to_str().unwrap(), &more));
    let child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let lines = "{\"prompt\": \"A dog\"}\n{\"prompt\": \"The cat\", \"id\": 7}\n";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert!(
        stderr(&output).contains("tiny: 80 tokens written after 12 of prompts in "),
        "{}",
        stderr(&output)
    );
    let kept = parsed(&std::fs::read_to_string(out).unwrap());
    assert_eq!(kept.len(), 2);
    assert_eq!(timeless(kept[1].clone()), timeless(alone));
}

#[test]
fn stops_end_an_answer_and_are_no_part_of_it() {
    let place = Place::new();
    let whole = place.object(&["The cat", "-n", "60"]);
    let text = whole["text"].as_str().unwrap();
    // Two characters that are not at the beginning, the first time that they are there.
    let (at, _) = text.char_indices().nth(12).unwrap();
    let stop: String = text[at..].chars().take(2).collect();
    let before = text.split(&stop).next().unwrap();
    let cut = place.object(&["The cat", "-n", "60", "--stop", "never there", "--stop", &stop]);
    assert_eq!((cut["text"].as_str(), cut["end"].as_str()), (Some(before), Some("stop")));
    assert!(cut["n_tokens"].as_u64() < Some(60));
    assert_eq!(place.generate(&["The cat", "-n", "60", "--stop", &stop]), format!("{before}\n"));
}

#[test]
fn prompts_are_put_in_the_template_that_there_is() {
    let place = Place::new();
    let tokens = |more: &[&str]| {
        place.object(&[&["Hi", "-n", "1"], more].concat())["n_prompt_tokens"].as_u64().unwrap() as usize
    };
    assert_eq!((tokens(&[]), tokens(&["--raw"])), (2, 2));
    let error = place.refused(&["Hi", "--system", "s"]);
    assert!(error.contains("--system: tiny has no template"), "{error}");
    let error = place.refused(&["Hi", "--template", "checkpoint"]);
    assert!(error.contains("--template, tiny: expected one chat template of the checkpoint"), "{error}");

    place.add_template(
        "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\
         {% if add_generation_prompt %}<assistant>{% endif %}",
    );
    // <s> is one token.
    let chat = 1 + "<user>Hi<assistant>".len();
    assert_eq!((tokens(&[]), tokens(&["--template", "checkpoint"]), tokens(&["--raw"])), (chat, chat, 2));
    assert_eq!(tokens(&["--system", "Be brief."]), chat + "<system>Be brief.".len());
    assert!(tokens(&["--template", "vicuna-v1.1"]) > 150);
    let error = place.refused(&["Hi", "--template", "vicuna"]);
    assert!(error.contains("--template, tiny: ") && error.contains("vicuna-v1.1"), "{error}");
}

#[test]
fn the_same_seed_draws_the_same_tokens() {
    let place = Place::new();
    let prompts = place.write("p.jsonl", "{\"prompt\": \"Hi\"}\n{\"prompt\": \"Hi\"}\n");
    let tokens = |more: &[&str]| {
        let objects = place.objects(&[&["--prompts", &prompts, "-n", "30"], more].concat());
        objects.iter().map(|object| object["tokens"].clone()).collect::<Vec<_>>()
    };
    let greedy = tokens(&[]);
    assert_eq!(greedy[0], greedy[1]);
    let drawn = tokens(&["--temperature", "1.5", "--seed", "1"]);
    assert_eq!(tokens(&["--temperature", "1.5", "--seed", "1", "--batch-tokens", "7"]), drawn);
    // Each prompt has a generator of its own.
    assert!(drawn[0] != drawn[1] && drawn[0] != greedy[0]);
    assert_ne!(tokens(&["--temperature", "1.5", "--seed", "2"]), drawn);
    // What leaves one token is greedy, and so is a temperature of 0.
    assert_eq!(tokens(&["--top-k", "1"]), greedy);
    assert_eq!(tokens(&["--min-p", "1", "--seed", "5"]), greedy);
    assert_eq!(tokens(&["--temperature", "0", "--top-p", "0.5"]), greedy);
    // A penalty that makes everything new: no byte twice, as long as there are others.
    let punished = tokens(&["--repetition-penalty", "1000"]);
    let distinct: std::collections::BTreeSet<u64> =
        punished[0].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    assert!(distinct.len() >= 29 && greedy[0] != punished[0], "{punished:?}");
}

#[test]
fn an_answer_ends_where_the_model_s_positions_do() {
    let place = Place::new();
    let long = "x".repeat(40);
    let object = place.object(&[&long, "--max-length", "50", "-n", "100"]);
    assert_eq!((object["n_tokens"].as_u64(), object["end"].as_str()), (Some(10), Some("length")));
    let error = place.refused(&[&long, "--max-length", "40"]);
    assert!(error.contains("prompt 1: expected fewer than 40 tokens"), "{error}");
}

#[test]
fn wrong_usage_is_said() {
    let place = Place::new();
    let empty = place.write("empty.txt", "\n");
    let broken = place.write("broken.jsonl", "{\"prompt\": \"a\"}\n{\"text\": \"b\"}\n");
    for (args, words) in [
        (vec![], "<PROMPT>"),
        (vec!["a", "--prompts", &empty], "cannot be used with"),
        (vec!["--prompts", &empty], "expected a prompt in each line, found none"),
        (vec!["--prompts", &broken], "broken.jsonl:2: expected an object with the text `prompt`"),
        (vec!["--prompts", "./no-such-file"], "--prompts ./no-such-file: expected a file of prompts"),
        (vec!["a", "--top-p", "1.5"], "--top-p: expected a number above 0 and at most 1, found 1.5"),
        (vec!["a", "--temperature=-1"], "--temperature: expected a number from 0, found -1"),
        (vec!["a", "--stop", ""], "expected a text"),
        (vec!["a", "--max-tokens", "0"], "expected at least 1"),
        (vec!["a", "--logprobs"], "add --format json or --out FILE"),
        (vec!["a", "--raw", "--system", "s"], "cannot be used with"),
        (vec!["a", "--memory", "1KiB"], "--memory"),
    ] {
        // A model that needs too much is a failure, not wrong usage.
        if args.contains(&"--memory") {
            let model = place.path("tiny");
            let output = zoo(&place.args(model.to_str().unwrap(), &args));
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            continue;
        }
        let error = place.refused(&args);
        assert!(error.contains(words), "{args:?}: {error}");
    }
}

/// More than a moment's work: 600 answers of up to so many tokens.
fn long_work(place: &Place, tokens: &str, more: &[&str]) -> Command {
    let prompts = (0..600).map(|i| format!("Question {i}\n")).collect::<String>();
    let prompts = place.write("many.txt", &prompts);
    let model = place.path("tiny");
    let args = ["generate", model.to_str().unwrap(), "--threads", "1", "--prompts", &prompts, "-n", tokens];
    let mut command = command(&[&args[..], more].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[cfg(unix)]
#[test]
fn an_interruption_ends_with_what_was_written() {
    let place = Place::new();
    let mut child = long_work(&place, "1500", &[]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut begun = [0; 40];
    out.read_exact(&mut begun).unwrap();
    let sent = Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.contains("interrupted: ") && error.contains(" of 600 answers are complete"), "{error}");
    assert!(begun.starts_with(b"[1/600] Question 0\n") && rest.ends_with(b"\n"));
}

#[cfg(unix)]
#[test]
fn an_interruption_keeps_what_was_finished_in_a_file() {
    let place = Place::new();
    let out = place.path("answers.jsonl");
    // Answers of 100 tokens: some are complete while others have not begun.
    let mut child =
        long_work(&place, "100", &["--layers", "disk", "--out", out.to_str().unwrap()]).spawn().unwrap();
    let begun = place.path(&format!(".answers.jsonl.{}.tmp", child.id()));
    let lines = || std::fs::read(&begun).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count());
    assert!(wait_until(&mut child, || lines() > 0), "it was done too soon");
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{error}");
    let answers = parsed(&std::fs::read_to_string(&out).unwrap());
    let complete = answers.iter().filter(|answer| answer["end"] != "interrupted").count();
    let words = format!("interrupted: {complete} of 600 answers are complete, and kept in {}", out.display());
    assert!(error.contains(&words), "{error}");
    assert!((1..600).contains(&answers.len()), "{} answers", answers.len());
    assert_eq!(std::fs::read_dir(place.0.path()).unwrap().count(), 3, "model, prompts, answers");
}

#[test]
fn what_is_not_here_is_listed_with_the_command_that_fetches_it() {
    for verb in ["generate", "chat"] {
        let prompt = if verb == "generate" { vec!["Hi"] } else { vec!["vicuna-7b-v1.5"] };
        let output = zoo(&[&[verb, "smollm2-135m"][..], &prompt].concat());
        let error = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""), "{error}");
        let others = if verb == "chat" { " vicuna-7b-v1.5" } else { "" };
        let command = format!("with a network, this fetches all of it: zoo pull smollm2-135m{others}\n");
        assert!(error.contains("not on this machine, and --offline"), "{error}");
        assert!(error.contains(&command) && error.contains("Apache-2.0"), "{error}");
    }
}

#[test]
fn a_checkpoint_s_own_rules_are_followed_where_that_is_wanted_and_flags_win() {
    let place = Place::new();
    let rules = json!({"do_sample": true, "temperature": 1.5, "top_k": 0, "max_new_tokens": 12, "eos_token_id": 257, "num_beams": 3});
    place.write("tiny/generation_config.json", &rules.to_string());
    let tokens = |more: &[&str]| place.object(&[&["Hi"], more].concat())["tokens"].clone();
    let greedy = tokens(&["-n", "12"]);
    assert_eq!(tokens(&["-n", "12", "--temperature", "0", "--generation-config"]), greedy);
    let drawn = tokens(&["-n", "12", "--temperature", "1.5", "--seed", "3"]);
    assert_eq!(tokens(&["--generation-config", "--seed", "3"]), drawn);
    assert_ne!(drawn, greedy);
    let model = place.path("tiny");
    let said = |verb: &str, more: &[&str]| {
        let args = [&[verb, model.to_str().unwrap(), "--threads", "1"], more].concat();
        let output = command(&args).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let line =
        "tiny: as its generation_config.json says, temperature 1.5, max-tokens 12; flags win over it\n";
    let heard = said("generate", &["Hi", "--generation-config"]);
    assert!(
        heard.contains(line) && heard.contains("generation_config.json: num_beams is not followed here"),
        "{heard}"
    );
    assert!(!said("generate", &["Hi"]).contains("generation_config.json"));
    // A conversation follows it unless that is not wanted.
    assert!(said("chat", &[]).contains(line));
    assert!(
        said("chat", &["-n", "3"])
            .contains("tiny: as its generation_config.json says, temperature 1.5; flags")
    );
    assert!(!said("chat", &["--ignore-generation-config"]).contains("generation_config.json"));
    place.write("tiny/generation_config.json", r#"{"do_sample": true, "top_p": 7}"#);
    let output = command(&["chat", model.to_str().unwrap()]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = "generation_config.json: top_p: expected a number above 0 and at most 1, found 7";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let place = Place::new();
    let mut child = long_work(&place, "1500", &["--format", "text"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), line.as_str()),
        (Some(0), "[1/600] Question 0\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_difference_is_not_run_by_mistake() {
    let place = Place::new();
    let file = place.path("tiny/model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let zeros: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.shape().to_vec(), vec![0; view.data().len()]))
        .collect();
    let views = zeros.iter().map(|(name, shape, data)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
    });
    std::fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
    let model = place.path("tiny");
    let output = zoo(&place.args(model.to_str().unwrap(), &["a"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("these are the values of a difference"), "{}", stderr(&output));
}
