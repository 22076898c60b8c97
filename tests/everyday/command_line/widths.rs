//! A walk through every verb, in terminals of 60, 80 and 120 columns and without one: what people look at.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::hub::{Files, Server};
use crate::support::terminal;
use crate::support::tiny::{command, stderr, stdout, write_tiny_model};

const WIDTHS: [u16; 3] = [60, 80, 120];

/// The same command line in `folder`, as often as it is wanted; an OUT in it is a new name each time.
fn line<'a>(folder: &'a Path, words: &'a [&'a str]) -> impl Fn() -> Command + 'a {
    let calls = Cell::new(0);
    move || {
        calls.set(calls.get() + 1);
        let words: Vec<String> =
            words.iter().map(|word| word.replace("OUT", &format!("out-{}", calls.get()))).collect();
        let mut command = command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        command
            .current_dir(folder)
            .env_remove("COLUMNS")
            .env_remove("HF_ENDPOINT")
            .env_remove("HF_TOKEN")
            .env("NO_COLOR", "1");
        command
    }
}

/// What is on stdout without a terminal, then what is on the screen of each width; `same` makes one of what differs from
/// call to call. Nothing is coloured, and stderr is silent.
fn walk(line: impl Fn() -> Command, same: impl Fn(&str) -> String) -> String {
    let output = line().arg("--quiet").output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{}", stdout(&output));
    let piped = same(&stdout(&output));
    // What a terminal would be wide is nothing to a pipe.
    let narrow = line().args(["--quiet"]).env("COLUMNS", "60").output().unwrap();
    assert_eq!(same(&stdout(&narrow)), piped);
    let mut all = format!("=== without a terminal ===\n{piped}");
    for columns in WIDTHS {
        let mut command = line();
        command.arg("--quiet");
        let seen = terminal::run(command, columns);
        assert_eq!((seen.code, seen.stderr.as_str()), (0, ""), "{columns} columns: {}", seen.screen);
        let screen = same(&seen.screen);
        assert!(!screen.contains('\u{1b}'), "colour: {screen}");
        all += &format!("=== {columns} columns ===\n{screen}");
    }
    all
}

/// The same, of lines none of which is wider than its screen, but for words that are.
fn walk_that_fits(line: impl Fn() -> Command, same: impl Fn(&str) -> String) -> String {
    for columns in WIDTHS {
        let mut command = line();
        command.arg("--quiet");
        let screen = terminal::run(command, columns).screen;
        for line in screen.lines().filter(|line| line.chars().count() > usize::from(columns)) {
            // The last word of what hangs behind a name, or the only one of its line.
            let room = line.trim_start().rsplit("  ").next().unwrap();
            assert!(!room.trim().contains(' '), "{columns} columns: {line}");
        }
    }
    walk(line, same)
}

fn as_it_is(text: &str) -> String {
    text.to_owned()
}

fn nowhere(words: &[&str]) -> String {
    walk(line(Path::new("."), words), as_it_is)
}

/// The screens of a walk with their widths.
fn screens(all: &str) -> impl Iterator<Item = (usize, &str)> {
    all.split("=== ").filter_map(|part| {
        let (head, screen) = part.split_once(" columns ===\n")?;
        Some((head.parse().ok()?, screen))
    })
}

fn assert_fits(all: &str) {
    for (columns, screen) in screens(all) {
        for line in screen.lines() {
            assert!(line.chars().count() <= columns, "{columns} columns: {line}");
        }
    }
}

#[test]
fn list() {
    let all = nowhere(&["list", "--family", "vicuna,llama-2"]);
    assert_fits(&all);
    insta::assert_snapshot!(all);
}

#[test]
fn suites() {
    let all = nowhere(&["suites"]);
    for (columns, screen) in screens(&all).filter(|(columns, _)| *columns >= 80) {
        assert!(screen.lines().all(|line| line.chars().count() <= columns), "{screen}");
    }
    insta::assert_snapshot!(all);
    insta::assert_snapshot!("protocols", nowhere(&["suites", "--protocols"]));
}

#[test]
fn models() {
    insta::assert_snapshot!("show", nowhere(&["show", "vicuna-7b-v1.5"]));
    insta::assert_snapshot!("tree", nowhere(&["tree", "llama-2-7b"]));
    insta::assert_snapshot!("recipe", nowhere(&["recipe", "vicuna-7b-v1.5"]));
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["base", "tuned"].map(|name| folder.path().join(name));
    write_tiny_model(&a);
    write_tiny_model(&b);
    let weights = b.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    // Before the last norm, which has 64 bytes: in the value projection of the last layer.
    let at = bytes.len() - 68;
    bytes[at..at + 4].copy_from_slice(&0.5f32.to_le_bytes());
    fs::write(weights, bytes).unwrap();
    // Without names and times that are others in each call.
    let one_name = |text: &str| -> String {
        let text = (1..10).fold(text.to_owned(), |text, n| text.replace(&format!("out-{n}"), "out"));
        text.lines().map(|line| line.split(" after ").next().unwrap_or_default().to_owned() + "\n").collect()
    };
    let verb = |words: &[&str]| walk(line(folder.path(), words), one_name);
    insta::assert_snapshot!("verify", verb(&["verify", "base"]));
    let diff = verb(&["diff", "base", "tuned", "--fast", "--top", "3"]);
    assert_fits(&diff);
    insta::assert_snapshot!("diff", diff);
    insta::assert_snapshot!(
        "extract_lora",
        verb(&["extract-lora", "base", "tuned", "--rank", "2", "--out", "OUT"])
    );
    let build = ["build", "--rule", "peft_lora", "--from", "base=base", "--from", "adapter=out-1"];
    let build = [&build[..], &["--out", "built-OUT"]].concat();
    // The last bits of an adapter are those of this machine's LAPACK.
    let no_digest = |text: &str| -> String {
        let line = |line: &str| line.split_once("_sha256 ").map_or(line, |(name, _)| name).to_owned() + "\n";
        one_name(text).lines().map(line).collect()
    };
    insta::assert_snapshot!("build", walk(line(folder.path(), &build), no_digest));
    insta::assert_snapshot!(
        "convert",
        verb(&["convert", "base", "--to", "gguf", "--dtype", "f16", "--out", "OUT.gguf"])
    );
    fs::write(
        folder.path().join("card.yaml"),
        "id: own\nname: Own\nfamily: own\nlicense: MIT\nrelease: {kind: full}\n",
    )
    .unwrap();
    insta::assert_snapshot!("card", verb(&["card", "check", "card.yaml"]));
}

#[test]
fn a_run_and_its_grading() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    let eval = ["eval", "tiny", "--suite", "basics", "--limit", "4", "--out", "run"];
    let all = walk(line(folder.path(), &eval), as_it_is);
    assert_fits(&all);
    insta::assert_snapshot!("eval", all);
    let scored = walk(line(folder.path(), &["score", "run"]), as_it_is);
    assert_eq!(scored, all, "the same table");
}

/// Times are those of this machine, and waves, which are cut by time: what is said of them, not how much.
#[test]
fn a_plan() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    let home = folder.path().join("home");
    let plan = ["plan", "tiny", "--suite", "basics", "--limit", "4", "--memory", "1GiB"];
    let own = line(folder.path(), &plan);
    let line = || {
        let mut command = own();
        command.env("ZOO_HOME", &home);
        command
    };
    let labels = |text: &str| -> String {
        let (amounts, rest) = text.split_once("  a forecast from GFLOP/s: ").expect("times have a reason");
        let (reason, tasks) = rest.split_once("\n\n").expect("tasks come last");
        assert!(reason.contains("exact ") && reason.contains("measured just now"), "{reason}");
        let name = |line: &str| line.trim_start().split("  ").next().unwrap().trim_end().to_owned() + "\n";
        // A share of the time ends the line of a task.
        let task =
            |line: &str| line.rsplit_once("   ").map_or(line, |(line, _)| line).trim_end().to_owned() + "\n";
        amounts.lines().map(name).chain(["\n".to_owned()]).chain(tasks.lines().map(task)).collect()
    };
    insta::assert_snapshot!("plan", walk_that_fits(line, labels));
}

/// The places of what was fetched, whole in any width: they are copied.
#[test]
fn a_pull() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("zoo")).unwrap();
    let card = "id: own\nname: Own\nfamily: own\nlicense: MIT\nrelease: {kind: full}\nsources: [{hub: {repo: o/n}}]\n";
    fs::write(home.path().join("zoo/own.yaml"), card).unwrap();
    let files = Files::model("o/n", &[("config.json", b"{}"), ("model.safetensors", b"weights")]);
    let server = Server::start(move |request| files.answer(request));
    let own = line(home.path(), &["pull", "own"]);
    let line = || {
        let mut command = own();
        command.env("ZOO_HOME", home.path()).env("HF_ENDPOINT", &server.url).env("HF_HUB_OFFLINE", "0");
        command
    };
    let place = home.path().display().to_string();
    insta::assert_snapshot!("pull", walk(line, |text| text.replace(&place, "HOME")));
}

/// Digits are those of this machine: what is said, not how much.
#[test]
fn this_machine() {
    let words = |text: &str| -> String {
        // What hangs below a name is more of the same.
        let heads = text.lines().map(|line| line.split("  ").next().unwrap_or_default());
        heads.filter(|head| !head.is_empty()).map(|head| format!("{head}\n")).collect()
    };
    insta::assert_snapshot!("doctor", walk_that_fits(line(Path::new("."), &["doctor"]), words));
    let titles = |text: &str| -> String {
        text.lines()
            .filter(|line| line.contains("what "))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
            .collect()
    };
    let bench = [
        "bench",
        "--shape",
        "smollm2-135m",
        "--layers",
        "1",
        "--tokens",
        "16",
        "--decode",
        "2",
        "--precision",
        "exact",
    ];
    insta::assert_snapshot!("bench", walk(line(Path::new("."), &bench), titles));
}

/// What a shell and `man` are given does not depend on a terminal.
#[test]
fn completions_and_manual_pages() {
    let all = nowhere(&["completions", "bash"]);
    let scripts: Vec<&str> = all.split("===\n").skip(1).collect();
    assert!(scripts[0].contains("--num-fewshot") && scripts[0].contains("extract-lora"), "{}", scripts[0]);
    for (_, screen) in screens(&all) {
        assert_eq!(screen, scripts[0].trim_end_matches("=== 60 columns "));
    }
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(
            stdout(&command(&["completions", shell]).output().unwrap()).contains("extract-lora"),
            "{shell}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let output = command(&["man", pages.to_str().unwrap()]).output().unwrap();
    assert_eq!(
        (output.status.code(), stdout(&output), stderr(&output)),
        (Some(0), String::new(), String::new())
    );
    let eval = fs::read_to_string(pages.join("zoo-eval.1")).unwrap();
    assert!(eval.contains(".SH EXTRA") || eval.contains("Examples"), "{eval}");
    assert!(eval.contains("num\\-fewshot"), "{eval}");
    assert!(pages.join("zoo.1").is_file() && !pages.join("zoo-man.1").exists());
}

/// `--help` keeps to the terminal, and to 100 columns without one.
#[test]
fn help() {
    let here = Path::new(".");
    let help = stdout(&line(here, &["--help"])().output().unwrap());
    let verbs =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs =
        verbs.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    for verb in verbs.filter(|verb| *verb != "help") {
        for columns in WIDTHS {
            let seen = terminal::run(line(here, &[verb, "--help"])(), columns);
            assert_eq!(seen.code, 0, "{verb}");
            let options = seen.screen.split("Examples:").next().unwrap();
            for text in options.lines().filter(|line| !line.starts_with("Usage: ")) {
                let plain = text.chars().count() <= usize::from(columns).min(100);
                assert!(plain || !text.trim().contains(' '), "{verb}, {columns}: {text}");
            }
        }
    }
}
