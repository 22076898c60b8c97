//! A run repeated from its description, and defaults from the user's own settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::tiny::{command, stderr, stdout, write_tiny_model, zoo};

/// The folder of a tiny model and of a run of it, started with a relative path.
fn first_run() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    let words = "eval tiny --suite basics_letters_en,basics_reading --limit 3 --num-fewshot 1 --precision bf16 \
                 --metrics acc_token --max-length 1500 --out run";
    let words: Vec<&str> = words.split_whitespace().collect();
    let output = command(&words).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    folder
}

fn repeat(folder: &Path, more: &[&str]) -> Output {
    let run = folder.join("run/run.yaml");
    zoo(&[&["eval", "--config", run.to_str().unwrap()], more].concat())
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_run_is_repeated_from_its_description() {
    let folder = first_run();
    let again = folder.path().join("again");
    let output = repeat(folder.path(), &["--out", again.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("repeats"), "{}", stderr(&output));
    for file in ["results.csv", "samples/tiny/basics_reading.jsonl", "comparison.md"] {
        assert_eq!(text(again.join(file)), text(folder.path().join("run").join(file)), "{file}");
    }
    let description = |run: &str| -> serde_yaml::Value {
        serde_yaml::from_str(&text(folder.path().join(run).join("run.yaml"))).unwrap()
    };
    for part in ["options", "flags", "suites"] {
        assert_eq!(description("again")[part], description("run")[part], "{part}");
    }
    assert_eq!(description("run")["flags"]["precision"], "bf16");
}

#[test]
fn what_is_typed_wins_over_the_run_that_is_repeated() {
    let folder = first_run();
    let out = folder.path().join("fewer");
    // The folder does as well as the file.
    let run = folder.path().join("run");
    let words = ["eval", "--config", run.to_str().unwrap(), "--limit", "2", "--suite", "basics_reading"];
    let output = zoo(&[&words[..], &["--precision", "exact", "--out", out.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let results = text(out.join("results.csv"));
    let mut rows = csv::Reader::from_reader(results.as_bytes());
    for row in rows.records().map(Result::unwrap) {
        // A task whose file says no examples has none.
        assert_eq!((&row[2], &row[3], &row[8]), ("basics_reading", "0", "2"), "{row:?}");
    }
    assert!(text(out.join("run.yaml")).contains("precision: exact"));
}

#[test]
fn a_model_that_is_not_the_same_is_said() {
    let folder = first_run();
    let weights = folder.path().join("tiny/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&0.5f32.to_le_bytes());
    fs::write(&weights, bytes).unwrap();
    let out = folder.path().join("again");
    let output = repeat(folder.path(), &["--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("not all is the same: model 1, weights: ") && !said.contains("tokenizer: "),
        "{said}"
    );
}

#[test]
fn what_cannot_be_repeated_is_refused() {
    let folder = first_run();
    let graded = folder.path().join("graded");
    let run = folder.path().join("run");
    let output = zoo(&["score", run.to_str().unwrap(), "--out", graded.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = zoo(&["eval", "--config", graded.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("zoo score does that"), "{}", stderr(&output));
    let description = run.join("run.yaml");
    let other = text(description.clone()).replace("options:\n", "options:\n  temperature: 1\n");
    fs::write(&description, other).unwrap();
    let output = repeat(folder.path(), &[]);
    assert!(
        stderr(&output).contains("temperature") && output.status.code() == Some(1),
        "{}",
        stderr(&output)
    );
    let output = zoo(&["eval", "--config", "/nonexistent/run.yaml"]);
    assert!(stderr(&output).contains("/nonexistent/run.yaml: expected the run.yaml of a finished run"));
    let output = zoo(&["eval", "tiny"]);
    assert!(output.status.code() == Some(2) && stderr(&output).contains("--suite"), "{}", stderr(&output));
}

#[test]
fn the_user_s_own_settings_are_defaults_of_every_verb() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join("config.yaml");
    let zoo = |words: &[&str]| command(words).env("ZOO_HOME", home.path()).output().unwrap();
    let card = "id: own-model\nname: Own\nfamily: own\nlicense: MIT\nrelease: {kind: unreleased}\n";
    fs::create_dir_all(home.path().join("cards")).unwrap();
    fs::write(home.path().join("cards/own.yaml"), card).unwrap();
    fs::write(&own, "zoo-dir: cards\nthreads: 1\nprecision: int8\noffline: true\n").unwrap();
    let list = zoo(&["list", "--family", "own", "--format", "csv"]);
    assert!(stdout(&list).contains("own-model"), "{}", stderr(&list));
    let doctor = zoo(&["doctor"]);
    let said = stdout(&doctor);
    assert!(
        said.contains("config.yaml: ") && said.contains("threads 1, offline true, precision int8"),
        "{said}"
    );
    assert!(said.contains(", offline") && said.contains("ZOO_HOME="), "{said}");
    // Flags win, and help says what holds without them.
    for verb in ["eval", "plan"] {
        let help = stdout(&zoo(&[verb, "--help"]));
        assert!(help.contains("[default: int8]") && !help.contains("[default: exact]"), "{help}");
    }
    let model = home.path().join("tiny");
    write_tiny_model(&model);
    let precision = |name: &str, more: &[&str]| {
        let out = home.path().join(name);
        let words = ["eval", model.to_str().unwrap(), "--suite", "basics_reading", "--limit", "1", "--out"];
        let output = zoo(&[&words[..], &[out.to_str().unwrap()], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let record: serde_yaml::Value = serde_yaml::from_str(&text(out.join("run.yaml"))).unwrap();
        (record["models"][0]["precision"].as_str().unwrap().to_owned(), record["threads"].as_u64().unwrap())
    };
    assert_eq!(precision("own", &[]), ("int8".to_owned(), 1));
    assert_eq!(precision("typed", &["--precision", "exact", "--threads", "2"]), ("exact".to_owned(), 2));
    fs::write(&own, "threads: 1\nmemry: 4GiB\n").unwrap();
    let wrong = zoo(&["list"]);
    assert_eq!((wrong.status.code(), stdout(&wrong)), (Some(1), String::new()));
    assert!(stderr(&wrong).contains("config.yaml:2: unknown field `memry`"), "{}", stderr(&wrong));
}
