//! Models that have no card: several files in a folder, repositories of a hub, and the cards that are made for them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::hub::{Answer, Files, Server, sha256};
use crate::support::tiny::{stderr, stdout, write_tiny_model};

fn zoo(home: &Path, endpoint: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
    command.args(args).env_clear().env("ZOO_HOME", home).env("HF_HOME", home).env("HF_ENDPOINT", endpoint);
    command.current_dir(home).output().unwrap()
}

const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn messages_are_spelled_in_pipes_too() {
    let home = tempfile::tempdir().unwrap();
    let output = zoo(home.path(), NOWHERE, &["show", "a\u{1b}[31m\u{202e}b"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("\\u{1b}[31m\\u{202e}b") && !said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
}

#[test]
fn a_folder_of_several_gguf_files_says_how_to_name_one() {
    let home = tempfile::tempdir().unwrap();
    let zoo = |args: &[&str]| zoo(home.path(), NOWHERE, args);
    write_tiny_model(&home.path().join("tiny"));
    fs::create_dir(home.path().join("files")).unwrap();
    for dtype in ["f16", "f32"] {
        let file = format!("files/tiny-{dtype}.gguf");
        let output = zoo(&["convert", "tiny", "--to", "gguf", "--dtype", dtype, "--out", &file]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    // What macOS leaves beside a file is no model.
    fs::write(home.path().join("files/._tiny-f16.gguf"), [0, 5, 22, 7]).unwrap();
    for args in [&["eval", "files", "--suite", "basics"][..], &["verify", "files"], &["card", "new", "files"]]
    {
        let output = zoo(args);
        let said = stderr(&output) + &stdout(&output);
        assert_ne!(output.status.code(), Some(0), "{args:?}: {said}");
        assert!(said.contains("2: tiny-f16.gguf, tiny-f32.gguf"), "{args:?}: {said}");
        assert!(said.contains("name one of them: files/tiny-f16.gguf"), "{args:?}: {said}");
    }
    let one = zoo(&["eval", "files/tiny-f16.gguf", "--suite", "basics", "--limit", "2"]);
    assert!(one.status.success() && stdout(&one).contains("tiny-f16"), "{}", stderr(&one));
    fs::remove_file(home.path().join("files/tiny-f32.gguf")).unwrap();
    let only = zoo(&["verify", "files"]);
    assert!(stdout(&only).contains("tiny-f16.gguf"), "{}{}", stdout(&only), stderr(&only));
}

#[test]
fn a_new_card_has_all_that_the_files_prove() {
    let home = tempfile::tempdir().unwrap();
    let zoo = |args: &[&str]| zoo(home.path(), NOWHERE, args);
    let folder = home.path().join("My -- Model (v2)");
    write_tiny_model(&folder);
    let tokenizer = fs::read(folder.join("tokenizer.json")).unwrap();
    fs::create_dir_all(home.path().join("cards/tokenizers")).unwrap();
    let record = |sha256: &str| {
        let text = format!(
            "kind: byte-level-bpe\nvocab_size: 258\nbos: 256\neos: 257\ndigests:\n  files:\n    tokenizer.json: \
             {{sha256: {sha256}}}\n"
        );
        fs::write(home.path().join("cards/tokenizers/bytes.yaml"), text).unwrap();
    };
    record(&sha256(&tokenizer));
    let new = ["--zoo-dir", "cards", "card", "new", "My -- Model (v2)"];
    let output = zoo(&new);
    let card = stdout(&output);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    for line in ["id: my-model-v2\n", "name: \"My -- Model (v2)\"\n", "tokenizer: bytes\n", "context: 2048\n"]
    {
        assert!(card.contains(line), "{line:?} is not in {card}");
    }
    fs::write(home.path().join("my-model-v2.yaml"), &card).unwrap();
    let checked = zoo(&["--zoo-dir", "cards", "card", "check", "my-model-v2.yaml"]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    // As many tokens and the same special ones prove nothing.
    record(&sha256(b"another one"));
    let output = zoo(&new);
    assert!(output.status.success() && !stdout(&output).contains("tokenizer:"), "{}", stdout(&output));
}

#[test]
fn what_the_cache_holds_has_the_name_of_its_repository() {
    let home = tempfile::tempdir().unwrap();
    for (revision, name, id) in [("main", "My-Model", "my-model"), ("v2", "My-Model@v2", "my-model-v2")] {
        let folder = home.path().join("models/hub/org/My-Model").join(revision);
        write_tiny_model(&folder);
        let path = format!("models/hub/org/My-Model/{revision}");
        // A folder that zoo has not filled is called as it is.
        let output = zoo(home.path(), NOWHERE, &["card", "new", &path]);
        assert!(stdout(&output).contains(&format!("name: \"{revision}\"\n")), "{}", stdout(&output));
        fs::write(folder.join(".zoo.json"), "{}").unwrap();
        let output = zoo(home.path(), NOWHERE, &["card", "new", &path]);
        let card = stdout(&output);
        assert!(output.status.success(), "{}", stderr(&output));
        for line in [format!("id: {id}\n"), format!("name: \"{name}\"\n")] {
            assert!(card.contains(&line), "{line:?} is not in {card}");
        }
    }
    let path = "models/hub/org/My-Model/main";
    let args = ["eval", path, "--suite", "basics_yesno", "--limit", "1", "--format", "csv"];
    let output = zoo(home.path(), NOWHERE, &args);
    assert!(stdout(&output).contains("\nMy-Model,basics_yesno,"), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn a_repository_of_the_hub_is_shown_as_the_card_that_is_made_of_it() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("tiny");
    write_tiny_model(&folder);
    let readme = b"---\nlicense: apache-2.0\n---\n# Tiny\n".as_slice();
    let mut files: Vec<(&str, Vec<u8>)> = ["config.json", "model.safetensors", "tokenizer.json"]
        .map(|name| (name, fs::read(folder.join(name)).unwrap()))
        .into();
    files.push(("README.md", readme.to_vec()));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let files = Files::model("org/tiny", &files);
    let server = Server::start(move |request| match request.path.contains("org/tiny") {
        true => files.answer(request),
        false => Answer::new(404, "").with("X-Error-Code", "RepoNotFound"),
    });
    let offline = zoo(home.path(), NOWHERE, &["show", "org/tiny"]);
    assert_eq!(offline.status.code(), Some(1), "a hub that cannot be reached: {}", stdout(&offline));
    let output = zoo(home.path(), &server.url, &["show", "org/tiny"]);
    let page = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    for words in ["org--tiny · tiny", "apache-2.0", "2048 tokens", "hub repository org/tiny", "not here"] {
        assert!(page.contains(words), "{words:?} is not in {page}");
    }
    let has = |name: &str, value: &str| page.lines().any(|line| line.split_whitespace().eq([name, value]));
    assert!(has("hidden_size", "16") && has("vocab_size", "258"), "{page}");
    assert!(server.seen("model.safetensors").is_empty(), "no weights for a page");
    // What is here needs no network, and a plan says the same licence.
    let requests = server.seen("").len();
    let again = zoo(home.path(), &server.url, &["show", "org/tiny", "--format", "json"]);
    let object: serde_json::Value = serde_json::from_str(&stdout(&again)).unwrap();
    assert_eq!((&object["license"], &object["context"]), (&"apache-2.0".into(), &2048.into()));
    assert_eq!(server.seen("").len(), requests);
    let plan = zoo(home.path(), &server.url, &["plan", "org/tiny", "--suite", "basics", "--limit", "2"]);
    assert!(stdout(&plan).contains("apache-2.0"), "{}{}", stdout(&plan), stderr(&plan));
    let absent = zoo(home.path(), &server.url, &["show", "org/none"]);
    assert!(absent.status.code() == Some(1) && stderr(&absent).contains("org/none"), "{}", stderr(&absent));
}
