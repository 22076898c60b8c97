//! From an empty cache to a table: what a run needs is said, checked and fetched by the run itself, data before weights.

#[cfg(unix)]
mod interrupted;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use crate::support::hub::{Answer, Files, Request, Server};
use crate::support::interrupted::{signal, wait_until};
use crate::support::place::assert_says;
use crate::support::tiny::{stderr, stdout, write_tiny_model};

const CARD: &str = "id: tiny\nname: Tiny\naliases: [small]\nfamily: llama\nlicense: MIT\n\
    release: {kind: full, format: safetensors, dtype: fp32}\nsources:\n  - hub: {repo: org/tiny}\n";
const README: &str = "---\nlicense: cc-by-4.0\nconfigs:\n- config_name: birds\n  data_files:\n  - split: test\n    path: \
    birds/test.jsonl\n- config_name: fish\n  data_files:\n  - split: test\n    path: fish/test.jsonl\n---\n";

/// A cache with a card, a folder with two tasks in a group and one of another data set, and what a hub has of all that.
struct Cache {
    folder: tempfile::TempDir,
    model: Files,
    rows: Files,
}

impl Cache {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("home/zoo")).unwrap();
        fs::write(path("home/zoo/tiny.yaml"), CARD).unwrap();
        fs::create_dir(path("tasks")).unwrap();
        for (name, data, config) in
            [("birds", "org/rows", "birds"), ("fish", "org/rows", "fish"), ("ants", "org/ants", "x")]
        {
            let task = format!(
                "task: {name}\ndataset_path: {data}\ndataset_name: {config}\ntest_split: test\noutput_type: multiple_choice\n\
                 doc_to_text: \"{{{{q}}}}\"\ndoc_to_choice: [\"yes\", \"no\"]\ndoc_to_target: a\nmetric_list:\n  - metric: acc\n"
            );
            fs::write(path(&format!("tasks/{name}.yaml")), task).unwrap();
        }
        let group = "group: animals\ntask: [birds, fish]\naggregate_metric_list:\n  - metric: acc\n    weight_by_size: true\n";
        fs::write(path("tasks/animals.yaml"), group).unwrap();
        let group = "group: all\ntask: [birds, ants]\naggregate_metric_list:\n  - metric: acc\n    weight_by_size: true\n";
        fs::write(path("tasks/all.yaml"), group).unwrap();
        write_tiny_model(&path("model"));
        let names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
        let files: Vec<(&str, Vec<u8>)> =
            names.iter().map(|name| (*name, fs::read(path("model").join(name)).unwrap())).collect();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        let model = Files::model("org/tiny", &files);
        let lines = "{\"q\": \"Is it?\", \"a\": 0}\n{\"q\": \"Was it?\", \"a\": 1}\n";
        let rows = [
            ("README.md", README.as_bytes()),
            ("birds/test.jsonl", lines.as_bytes()),
            ("fish/test.jsonl", lines.as_bytes()),
        ];
        let rows = Files { dataset: true, ..Files::model("org/rows", &rows) };
        Self { folder, model, rows }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A hub that has the model and the rows, and no ants.
    fn hub(&self) -> impl Fn(&Request) -> Answer + Send + Sync + 'static {
        let (model, rows) = (self.model.clone(), self.rows.clone());
        move |request| match request.path.as_str() {
            path if path.contains("org/rows") => rows.answer(request),
            path if path.contains("org/ants") => Answer::new(404, "").with("X-Error-Code", "RepoNotFound"),
            _ => model.answer(request),
        }
    }

    fn command(&self, url: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
        let home = self.path("home");
        command.args(args).arg("--include-path").arg(self.path("tasks"));
        command.env_clear().env("ZOO_HOME", &home).env("HF_HOME", &home).env("HF_ENDPOINT", url);
        command.current_dir(self.folder.path());
        command
    }

    /// A hub that breaks off in the weights, and is silent at the next request for them until the sender is dropped.
    fn stalling(&self) -> (Server, Sender<()>) {
        let hub = self.hub();
        let count = AtomicUsize::new(0);
        let (silence, end_of_silence) = channel::<()>();
        let end_of_silence = Mutex::new(end_of_silence);
        let server = Server::start(move |request| {
            let mut answer = hub(request);
            if request.path.ends_with("model.safetensors") {
                match count.fetch_add(1, Ordering::SeqCst) {
                    0 => answer.cut = Some(1000),
                    // Until the test lets go.
                    1 => drop(end_of_silence.lock().unwrap().recv()),
                    _ => {}
                }
            }
            answer
        });
        (server, silence)
    }

    /// Bytes of the weights that are on the disk and not all of them.
    fn weights_that_came(&self) -> Option<u64> {
        let folder = self.path("home/models/hub/org/tiny/main");
        let mut files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let part = files.find(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("model.safetensors.") && name.ends_with(".part") && !name.contains("etag")
        });
        Some(fs::metadata(part?).ok()?.len())
    }

    fn zoo(&self, url: &str, args: &[&str]) -> Output {
        self.command(url, args).output().unwrap()
    }

    fn eval(&self, url: &str, suite: &str, out: &str, more: &[&str]) -> Output {
        self.zoo(url, &[&["eval", "small", "--suite", suite, "--out", out][..], more].concat())
    }
}

/// The files that were asked for, in order.
fn fetched(server: &Server) -> Vec<String> {
    let paths = server.seen("/resolve/").into_iter().map(|request| request.path);
    paths.map(|path| path.rsplit_once("/resolve/").unwrap().1.split_once('/').unwrap().1.to_owned()).collect()
}

#[test]
fn an_empty_cache_becomes_a_table_and_nothing_is_fetched_twice() {
    let place = Cache::new();
    let server = Server::start(place.hub());
    let output = place.eval(&server.url, "animals", "run", &[]);
    let (out, err) = (stdout(&output), stderr(&output));
    assert!(output.status.success(), "{err}");
    assert!(out.contains("animals") && err.contains("results: run/results.csv"), "{out}{err}");
    // Data comes before weights; what is small of the model tells its shape and that it may be had.
    let mut files = fetched(&server);
    assert_eq!(files.pop().unwrap(), "model.safetensors");
    let data = files.iter().position(|file| file == "birds/test.jsonl").unwrap();
    assert!(files.iter().position(|file| file == "tokenizer.json").unwrap() < data, "{files:?}");
    let mut once = files.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), files.len(), "{files:?}");
    // Listed once, with sizes and licences, before a line for each file.
    let weights = place.model.files.iter().find(|(name, _)| name == "model.safetensors").unwrap().1.len();
    assert_eq!(err.matches("not on this machine, and fetched now").count(), 1, "{err}");
    for words in
        ["org/rows", "2 configurations", "cc-by-4.0", "hub repository org/tiny", "MIT", "tokens to compute"]
    {
        assert!(err.contains(words), "{words:?} is not in {err}");
    }
    let line = format!("fetching model.safetensors ({:.1} kB)", weights as f64 / 1e3);
    assert!(err.contains(&line) && err.contains("fetching test.jsonl"), "{line} is not in {err}");
    // Another run finds everything.
    let requests = server.seen("").len();
    let output = place.eval(&server.url, "animals", "again", &["--offline"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("not on this machine"), "{}", stderr(&output));
    assert_eq!(server.seen("").len(), requests);
    let read = |run: &str| fs::read(place.path(run).join("results.csv")).unwrap();
    assert_eq!(read("run"), read("again"));
}

#[test]
fn without_a_network_one_command_is_said_that_fetches_all() {
    let place = Cache::new();
    let server = Server::start(place.hub());
    for (flag, variable) in [("--offline", "0"), ("--quiet", "1")] {
        let mut command =
            place.command(&server.url, &["eval", "small", "--suite", "animals", "--out", "run", flag]);
        let output = command.env("HF_HUB_OFFLINE", variable).output().unwrap();
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{err}");
        let tasks = place.path("tasks").display().to_string();
        let command = format!("zoo pull small suite:animals --include-path {tasks}");
        assert!(err.contains(&command), "{err}");
        assert!(err.contains("org/rows") && err.contains("tiny"), "{err}");
        assert_eq!(server.seen("").len(), 0);
        assert!(!place.path("run").exists());
    }
    let output = place.zoo(&server.url, &["pull", "small", "suite:animals"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let paths = ["home/datasets/org/rows", "home/models/hub/org/tiny/main"].map(|path| place.path(path));
    assert_eq!(stdout(&output), format!("{}\n{}\n", paths[0].display(), paths[1].display()));
    let output = place.eval(&server.url, "animals", "run", &["--offline"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_cached_file_of_other_bytes_is_refused_and_fetched_anew_when_it_is_removed() {
    let place = Cache::new();
    let server = Server::start(place.hub());
    assert!(place.eval(&server.url, "animals", "run", &[]).status.success());
    for file in [
        "datasets/org/rows/fish/test.jsonl",
        "datasets/org/rows/README.md",
        "models/hub/org/tiny/main/model.safetensors",
        "models/hub/org/tiny/main/config.json",
        "models/hub/org/tiny/main/tokenizer.json",
    ] {
        let path = place.path("home").join(file);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        // Of the same size, and read without an error: a letter of a question, a bit of a weight, a digit of a shape.
        let at = match file.rsplit('.').next() {
            Some("jsonl") => 8,
            Some("json") => whole.iter().rposition(u8::is_ascii_digit).unwrap(),
            _ => whole.len() - 3,
        };
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let output = place.eval(&server.url, "animals", "other", &[]);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_says(&output, 1, &[name, "expected the file that was fetched (sha256 ", "remove it"]);
        assert!(!place.path("other").exists());
        fs::remove_file(&path).unwrap();
        let output = place.eval(&server.url, "animals", "other", &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(fs::read(&path).unwrap(), whole);
        fs::remove_dir_all(place.path("other")).unwrap();
    }
}

#[test]
fn missing_data_stops_a_run_before_anything_is_fetched_or_is_marked_in_every_table() {
    let place = Cache::new();
    let server = Server::start(place.hub());
    let output = place.eval(&server.url, "animals,all", "run", &[]);
    let err = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("org/ants") && err.contains("--skip-missing-data"), "{err}");
    assert!(fetched(&server).iter().all(|file| !file.ends_with(".safetensors") && !file.ends_with(".jsonl")));
    let output = place.eval(&server.url, "animals,all", "run", &["--skip-missing-data"]);
    let (out, err) = (stdout(&output), stderr(&output));
    assert!(output.status.success(), "{err}");
    for text in [&err, &fs::read_to_string(place.path("run/run.yaml")).unwrap()] {
        assert!(text.contains("MISSING DATA: ants"), "{text}");
    }
    let comparison = fs::read_to_string(place.path("run/comparison.md")).unwrap();
    for text in [&out, &comparison] {
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(line("ants").contains("NO DATA"), "{text}");
        assert!(line(" all ").contains("DATA MISSING"), "{text}");
        assert!(!line("animals").contains("DATA"), "{text}");
    }
    // No plausible number: the group has no value although one of its tasks has one.
    let results_csv = fs::read_to_string(place.path("run/results.csv")).unwrap();
    let value = |suite: &str, task: &str| {
        let line =
            results_csv.lines().find(|line| line.starts_with(&format!("tiny,{suite},{task},"))).unwrap();
        line.split(',').nth(6).unwrap().to_owned()
    };
    assert_eq!([value("all", "all"), value("all", "ants")], ["", ""]);
    assert!(
        value("all", "birds").parse::<f64>().is_ok() && value("animals", "animals").parse::<f64>().is_ok()
    );
    // The reference harness's form says so apart from what its readers make tables of.
    let results: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("run/results.json")).unwrap()).unwrap();
    let why = results["missing_data"]["ants"].as_str().unwrap();
    assert!(why.contains("org/ants") && results["missing_data"].as_object().unwrap().len() == 1, "{why}");
    for part in ["results", "versions", "n-shot", "n-samples", "configs", "higher_is_better"] {
        assert!(results[part].get("birds").is_some() && results[part].get("ants").is_none(), "{part}");
    }
    assert!(results["groups"].get("animals").is_some() && results["groups"].get("all").is_none());
    assert_eq!(results["group_subtasks"]["all"], serde_json::json!(["birds"]));
    // Graded again, it has the same gaps.
    let output = place.zoo(&server.url, &["score", "run", "--out", "graded"]);
    assert!(output.status.success() && stderr(&output).contains("MISSING DATA: ants"), "{}", stderr(&output));
    let graded = fs::read_to_string(place.path("graded/results.csv")).unwrap();
    assert_eq!(graded, results_csv);
    // The finished run is read back with its gaps.
    let output = place.eval(&server.url, "animals,all", "run", &["--skip-missing-data", "--resume"]);
    assert!(output.status.success() && stdout(&output).contains("NO DATA"), "{}", stderr(&output));
    // Nothing at all is no run.
    let output = place.eval(&server.url, "ants", "other", &["--skip-missing-data"]);
    assert!(!output.status.success() && stderr(&output).contains("every task"), "{}", stderr(&output));
}

#[test]
fn what_would_not_run_is_refused_before_weights_come() {
    let place = Cache::new();
    let server = Server::start(place.hub());
    let no_weights =
        || fetched(&server).iter().all(|file| !file.ends_with(".safetensors") && !file.ends_with(".jsonl"));
    let output = place.eval(&server.url, "animals", "run", &["--memory", "1MB"]);
    let err = stderr(&output);
    assert!(
        !output.status.success() && err.contains("nothing was fetched") && err.contains("memory"),
        "{err}"
    );
    assert!(no_weights());
    // A difference whose base nobody can fetch.
    let base = "id: lost\nname: Lost\nfamily: llama\nlicense: MIT\nrelease: {kind: full}\nsources: []\n";
    fs::write(place.path("home/zoo/lost.yaml"), base).unwrap();
    let delta = CARD.replace("id: tiny", "id: mine").replace("aliases: [small]", "base: lost").replace(
        "{kind: full, format: safetensors, dtype: fp32}",
        "{kind: delta, rule: vicuna_delta, vocabulary: {rule: same, rows: 258}}",
    );
    fs::write(place.path("home/zoo/mine.yaml"), delta).unwrap();
    let output = place.zoo(&server.url, &["eval", "mine", "--suite", "animals", "--out", "run"]);
    let err = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{err}");
    for words in
        ["lost (base)", "bring it", "mine has to be built", "--from lost=PATH", "nothing was fetched"]
    {
        assert!(err.contains(words), "{words:?} is not in {err}");
    }
    assert!(no_weights());
    // More than the disk holds.
    let hub = place.hub();
    let weights = place.model.files.iter().find(|(name, _)| name == "model.safetensors").unwrap().1.len();
    let server = Server::start(move |request| {
        let mut answer = hub(request);
        if request.path.contains("org/tiny/tree") {
            let listing = String::from_utf8(answer.body).unwrap();
            answer.body =
                listing.replace(&format!("\"size\":{weights}"), "\"size\":9000000000000000").into_bytes();
        }
        answer
    });
    let output = place.eval(&server.url, "animals", "run", &[]);
    let err = stderr(&output);
    assert!(!output.status.success() && err.contains("9000000.0 GB") && err.contains("make room"), "{err}");
    assert!(fetched(&server).iter().all(|file| !file.ends_with(".jsonl")), "{:?}", fetched(&server));
    assert!(!place.path("run").exists());
}

#[test]
fn a_plan_needs_no_weights() {
    let place = Cache::new();
    let server = Server::start(place.hub());
    let output = place.zoo(&server.url, &["plan", "small", "--suite", "animals"]);
    let (out, err) = (stdout(&output), stderr(&output));
    assert!(output.status.success(), "{err}");
    for words in [
        "not on this machine",
        "org/rows",
        "cc-by-4.0",
        "memory as f16",
        "memory as q8_0",
        "streamed",
        "tokens asked",
    ] {
        assert!(out.contains(words), "{words:?} is not in {out}");
    }
    for precision in ["exact", "bf16", "int8"] {
        assert!(out.contains(&format!("time in {precision}, about")), "{out}");
    }
    assert!(fetched(&server).iter().all(|file| !file.ends_with(".safetensors")), "{:?}", fetched(&server));
    // Said in a line before the first file of it comes.
    let line = err.find("fetching data to count its tokens, ").expect(&err);
    assert!(err[line..].lines().next().unwrap().ends_with(": org/rows (cc-by-4.0)"), "{err}");
    assert!(line < err.find("fetching test.jsonl").unwrap(), "{err}");
    // The same numbers as with the weights, line by line, and for programs.
    let json = |args: &[&str]| -> Vec<(String, serde_json::Value)> {
        let output = place.zoo(&server.url, args);
        assert!(output.status.success(), "{}", stderr(&output));
        let lines: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        // Waves are cut by time, and with them what is computed.
        let known = |line: &&serde_json::Value| {
            ["requests", "asked", "distinct"].iter().any(|name| line["name"] == *name)
        };
        let tokens = lines.as_array().unwrap().iter().filter(|line| line["what"] == "tokens").filter(known);
        tokens.map(|line| (line["name"].as_str().unwrap().to_owned(), line["value"].clone())).collect()
    };
    let before = json(&["plan", "small", "--suite", "animals", "--format", "json"]);
    assert!(
        before.iter().any(|(name, value)| name == "distinct" && value.as_f64() > Some(8.0)),
        "{before:?}"
    );
    assert!(place.zoo(&server.url, &["pull", "small"]).status.success());
    assert_eq!(json(&["plan", "small", "--suite", "animals", "--format", "json"]), before);
    assert_eq!(json(&["eval", "small", "--suite", "animals", "--dry-run", "--format", "json"]), before);
}

#[test]
fn a_plan_says_what_it_cannot_know() {
    let place = Cache::new();
    let server = Server::start(place.hub());
    let output = place.zoo(&server.url, &["plan", "small", "vicuna-13b", "--suite", "animals", "--offline"]);
    let out = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(server.seen("").len(), 0);
    assert_eq!(out.matches("tokens and time are not known").count(), 2, "{out}");
    // LLaMA-13B: 26 GB in two bytes each, 13.8 in blocks of Q8_0.
    let vicuna = out.split_once("vicuna-13b-v1.5").unwrap().1;
    assert!(vicuna.contains("Llama 2 Community") && vicuna.contains("unknown"), "{out}");
    let amount = |label: &str| {
        let line = vicuna.lines().find(|line| line.contains(label)).unwrap();
        let mut words = line.rsplit_once(label).unwrap().1.split_whitespace();
        words.next().unwrap().parse::<f64>().unwrap()
    };
    assert!((24.0..26.5).contains(&amount("memory as f16 ")), "{vicuna}");
    assert!((12.5..14.5).contains(&amount("memory as q8_0")), "{vicuna}");
}

#[test]
fn a_plan_leaves_out_what_a_run_would() {
    let place = Cache::new();
    let server = Server::start(place.hub());
    let plan = |suite: &str, more: &[&str]| {
        place.zoo(&server.url, &[&["plan", "small", "--suite", suite], more].concat())
    };
    let output = plan("birds,ants", &[]);
    let out = stdout(&output);
    assert!(output.status.success() && out.contains("org/ants") && !out.contains("tokens distinct"), "{out}");
    let skip = ["--skip-missing-data"];
    let output = plan("birds,ants", &skip);
    assert_says(&output, 0, &["MISSING DATA: ants left out"]);
    let out = stdout(&output);
    assert!(out.contains("birds") && out.contains("tokens distinct"), "{out}");
    assert_says(&plan("ants", &skip), 1, &["the data of every task is missing"]);
}
