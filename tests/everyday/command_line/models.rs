//! The verbs around models as a user sees them: output, exit codes, closed pipes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::hub::{Files, Server};

const CARD: &str = "id: tiny\nname: Tiny\naliases: [small]\nfamily: llama\nlicense: MIT\n\
    release: {kind: full, format: safetensors}\nsources:\n  - hub: {repo: org/tiny}\n";

fn zoo(home: &Path, endpoint: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
    command.args(args).env_clear().env("ZOO_HOME", home).env("HF_HOME", home).env("HF_ENDPOINT", endpoint);
    command
}

fn run(home: &Path, endpoint: &str, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = zoo(home, endpoint, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A cache folder with one card of the user's own.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("zoo")).unwrap();
    fs::write(home.path().join("zoo/tiny.yaml"), CARD).unwrap();
    home
}

#[test]
fn a_model_of_ones_own_is_listed_pulled_and_shown() {
    let home = home();
    let files = Files::model("org/tiny", &[("config.json", b"{}"), ("model.safetensors", b"weights")]);
    let server = Server::start(move |request| files.answer(request));
    const FILES: &str = "fetching config.json (2 B)\nfetching model.safetensors (7 B)\n";
    let list = || run(home.path(), &server.url, &["list", "--format", "csv"]).1;
    assert!(list().contains("tiny,llama,,,,,full,MIT,,true,false,,,\n"), "{}", list());
    let (code, out, err) = run(home.path(), &server.url, &["pull", "Small"]);
    let place = home.path().join("models/hub/org/tiny/main");
    assert_eq!((code, out, err), (0, format!("{}\n", place.display()), FILES.to_owned()));
    let (code, _, err) = run(home.path(), &server.url, &["pull", "tiny"]);
    assert_eq!((code, err.as_str()), (0, "tiny is here already\n"));
    assert!(list().contains("tiny,llama,,,,,full,MIT,,true,true,,,\n"), "{}", list());
    let (code, out, _) = run(home.path(), &server.url, &["show", "tiny"]);
    assert!(code == 0 && out.contains(&format!("here: {}", place.display())), "{out}");
    assert!(!out.contains('\u{1b}'), "no colour in a pipe");
    let (_, json, _) = run(home.path(), &server.url, &["list", "--format", "json"]);
    let lines: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(lines.as_array().unwrap().iter().any(|line| line["id"] == "tiny" && line["local"] == true));
}

#[test]
fn relatives_stand_behind_the_family_and_are_counted() {
    let home = home();
    let list = |args: &[&str]| {
        let (code, out, err) =
            run(home.path(), "http://127.0.0.1:9", &[&["list", "--format", "csv"], args].concat());
        assert_eq!(code, 0, "{err}");
        let ids: Vec<String> =
            out.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect();
        (ids, err)
    };
    let (family, said) = list(&[]);
    let (all, said_of_all) = list(&["--all"]);
    let left = all.len() - family.len();
    assert!(
        said.starts_with(&format!("{} models; {left} relatives with --all: baize, ", family.len())),
        "{said}"
    );
    assert_eq!(said_of_all, format!("{} models\n", all.len()));
    assert_eq!(all[..family.len()], family);
    // A model of one's own is among the family, and a filter looks among all.
    assert!(family.iter().any(|id| id == "tiny") && !family.iter().any(|id| id == "yi-6b"));
    assert_eq!(
        list(&["yi", "koala"]),
        (["koala-13b", "yi-34b", "yi-6b"].map(str::to_owned).to_vec(), String::new())
    );
}

#[test]
fn the_family_is_filtered_drawn_and_explained() {
    let home = home();
    let zoo = |args: &[&str]| {
        let (code, out, err) = run(home.path(), "http://127.0.0.1:9", args);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        assert!(!out.contains('\u{1b}'), "no colour in a pipe: {args:?}");
        out
    };
    let ziya = zoo(&["list", "--family", "ziya", "--method", "rlhf", "--format", "csv"]);
    let ids: Vec<&str> = ziya.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(ids, ["ziya-llama-13b-v1", "ziya-llama-13b-v1.1"]);
    let markdown = zoo(&["list", "--base", "llama2-7b-chat", "--language", "zh", "--format", "md"]);
    assert_eq!(markdown.lines().count(), 3, "{markdown}");
    assert!(zoo(&["tree", "tiny"]).starts_with("tiny ◀"));
    assert!(zoo(&["tree", "ziya-13b", "--format", "dot"]).starts_with("digraph zoo {"));
    let curve = zoo(&["recipe", "llama2-7b", "--steps", "0,2000,500000"]);
    assert_eq!(
        curve,
        "stage,step,tokens,learning_rate\n1,0,0,0\n1,2000,8000000000,0.0003\n1,500000,2000000000000,0.00003\n"
    );
    let file = home.path().join("curve.svg");
    assert_eq!(zoo(&["recipe", "alpaca", "--format", "svg", "--out", file.to_str().unwrap()]), "");
    assert!(fs::read_to_string(&file).unwrap().starts_with("<svg "));
    let json: serde_json::Value =
        serde_json::from_str(&zoo(&["show", "vicuna-7b", "--format", "json"])).unwrap();
    assert_eq!(json["lineage"][0], "llama-2-7b");
    assert_eq!(json["recipe_in_full"]["name"], "vicuna");
}

#[test]
fn verbs_of_the_family_say_what_is_wrong() {
    let home = home();
    let zoo = |args: &[&str]| {
        let (code, out, err) = run(home.path(), "http://127.0.0.1:9", args);
        assert_eq!(out, "", "{args:?}");
        (code, err)
    };
    let (code, err) = zoo(&["recipe", "tiny"]);
    assert!(code == 1 && err.contains("no recipe is known for tiny"), "{err}");
    let (code, err) = zoo(&["recipe", "longchat-7b-16k", "--points", "5"]);
    assert!(code == 1 && err.contains("the number of steps"), "{err}");
    assert_eq!(zoo(&["recipe", "alpaca", "--points", "1"]).0, 2);
    assert_eq!(zoo(&["recipe", "alpaca", "--format", "csv", "--stage", "2"]).0, 2);
    assert_eq!(zoo(&["list", "--method", "magic"]).0, 2);
    let (code, err) = zoo(&["list", "--base", "vicunna-13b"]);
    assert!(code == 2 && err.contains("nearest: vicuna-13b"), "{err}");
    let (code, err) = zoo(&["tree", "--out", "/nonexistent/tree.svg", "--format", "svg"]);
    assert!(code == 1 && err.contains("/nonexistent/tree.svg"), "{err}");
}

#[test]
fn an_unknown_model_is_wrong_usage_with_the_nearest_names() {
    let home = home();
    for verb in ["show", "pull"] {
        let (code, out, err) = run(home.path(), "http://127.0.0.1:9", &[verb, "tny"]);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.starts_with("error: no model named \"tny\"") && err.contains("nearest: tiny"), "{err}");
    }
    let (code, _, err) = run(home.path(), "http://127.0.0.1:9", &["pull", "suite:mmlo"]);
    assert!(code == 2 && err.contains("\"mmlo\"") && err.contains("\"mmlu\""), "{err}");
}

#[test]
fn the_data_of_a_suite_is_pulled() {
    let home = home();
    let readme = b"---\nconfigs:\n- config_name: boolq\n  data_files: boolq/*\n---\n";
    let mut files = Files::model("aps/super_glue", &[("README.md", readme), ("boolq/test.jsonl", b"{}\n")]);
    files.dataset = true;
    let server = Server::start(move |request| files.answer(request));
    let (code, out, err) = run(home.path(), &server.url, &["pull", "suite:boolq"]);
    let place = home.path().join("datasets/aps/super_glue");
    assert_eq!((code, out), (0, format!("{}\n", place.display())));
    assert_eq!(err, format!("fetching README.md ({} B)\nfetching test.jsonl (3 B)\n", readme.len()));
    assert_eq!(fs::read(place.join("boolq/test.jsonl")).unwrap(), b"{}\n");
    let (code, out, err) = run(home.path(), &server.url, &["pull", "suite:basics"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", "basics needs no data from a hub\n"));
}

#[test]
fn a_failed_fetch_is_exit_code_1() {
    let home = home();
    let (code, out, err) = run(home.path(), "http://127.0.0.1:9", &["pull", "tiny"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("error: cannot reach 127.0.0.1:9 for model org/tiny: "), "{err}");
    let (code, _, err) = run(home.path(), "nonsense", &["pull", "tiny"]);
    assert!(code == 1 && err.contains("HF_ENDPOINT"), "{err}");
}

#[test]
fn a_bad_card_is_named_with_file_line_and_field() {
    let home = home();
    let cards = home.path().join("cards");
    fs::create_dir(&cards).unwrap();
    fs::write(cards.join("bad.yaml"), CARD.replace("family: llama", "family: llama\ncontext: many")).unwrap();
    let flag = cards.to_str().unwrap();
    let (code, _, err) = run(home.path(), "http://127.0.0.1:9", &["--zoo-dir", flag, "list"]);
    assert_eq!(code, 1);
    assert!(err.contains("cards/bad.yaml:5: ") && err.contains("context"), "{err}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = home();
    let mut child = zoo(home.path(), "http://127.0.0.1:9", &["list"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn doctor_finds_this_machine_in_order() {
    let home = home();
    let (code, out, err) = run(home.path(), "http://127.0.0.1:9", &["doctor"]);
    assert_eq!((code, err.as_str()), (0, ""));
    for name in ["program", "CPU features", "threads", "memory", "BLAS", "LAPACK", "disk free", "models here"]
    {
        assert!(out.lines().any(|line| line.starts_with(name)), "{name} in {out}");
    }
    assert!(out.contains(home.path().to_str().unwrap()));
}

#[test]
fn cards_are_checked_before_they_go_into_a_folder() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("tiny.yaml");
    let file = place.to_str().unwrap();
    fs::write(&place, CARD).unwrap();
    let (code, out, err) = run(home.path(), "http://127.0.0.1:9", &["card", "check", file]);
    assert_eq!((code, out, err), (0, format!("{file}: card tiny, release full\nall right\n"), String::new()));
    fs::write(&place, CARD.replace("family:", "base: llama-8b\nfamily:")).unwrap();
    let (code, out, err) = run(home.path(), "http://127.0.0.1:9", &["card", "check", file]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("tiny.yaml:4: base: expected the id of another card, found \"llama-8b\""), "{err}");
    assert!(err.contains("1 fault in 1 file"), "{err}");
    let (code, ..) = run(home.path(), "http://127.0.0.1:9", &["card", "check"]);
    assert_eq!(code, 2);
}

#[test]
fn a_difference_is_never_run_as_a_model() {
    let home = home();
    let output = zoo(home.path(), "http://127.0.0.1:9", &["eval", "alpaca", "--suite", "basics"])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{err}");
    assert!(err.contains("alpaca-7b has to be built") && err.contains("--from llama-7b=PATH"), "{err}");
}
