//! Fetching from the hub imitation of the reference folder, with every fault that it can do: whatever
//! happens on the way, the files are those of the folder, byte by byte.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::hub::config;
use crate::support::shared::shared;
use zoo::base::progress::Silent;
use zoo::hub::{HubConfig, HubError, cached_dataset, fetch_dataset, fetch_model};
use zoo::registry::Card;
use zoo::tasks::data::DatasetRef;
use zoo::tasks::{DataStore, Index};

/// What the hub imitation serves, and the program that does.
fn hub_files() -> Option<PathBuf> {
    Some(shared()?.join("hub"))
}

struct Hub {
    process: Child,
    url: String,
    home: tempfile::TempDir,
}

impl Hub {
    fn start(shared: &Path, options: &[&str]) -> Self {
        let mut process = Command::new("python3")
            .arg(shared.join("serve.py"))
            .args(["--port", "0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Hub { process, url: url.trim().to_owned(), home: tempfile::tempdir().unwrap() }
    }

    fn config(&self, token: Option<&str>) -> HubConfig {
        let mut config = config(self.home.path(), &self.url, token);
        config.attempts = 8;
        config.backoff = Duration::from_millis(10);
        config
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn card(repo: &str, more: &str) -> Card {
    let text = format!(
        "id: x\nname: X\nfamily: llama\nlicense: MIT\nrelease: {{kind: full, format: x}}\n\
         sources: [{{hub: {{repo: zoo-fixtures/{repo}{more}}}}}]"
    );
    serde_yaml::from_str(&text).unwrap()
}

/// All files below a folder by relative path, without those of the cache itself.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let own = path.file_name().unwrap().to_string_lossy().starts_with(".zoo.");
            match path.is_dir() {
                true => folders.push(path),
                false if own => {}
                false => {
                    found.push((path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()))
                }
            }
        }
    }
    found.sort();
    found
}

#[test]
#[ignore = "needs the shared reference folder"]
fn every_form_of_a_model_arrives_whole() {
    let Some(shared) = hub_files() else { return };
    let hub = Hub::start(&shared, &[]);
    for repo in ["stories260k", "stories260k-pt", "stories260k-meta", "story-infinitensor"] {
        let folder = fetch_model(&card(repo, ""), &hub.config(None), &Silent).unwrap();
        assert!(folder.is_dir(), "{repo}: {folder:?}");
        assert_eq!(files(&folder), files(&shared.join("models/zoo-fixtures").join(repo)), "{repo}");
    }
    let several = fetch_model(&card("stories260k-gguf", ""), &hub.config(None), &Silent).unwrap_err();
    assert!(several.to_string().contains("`files:`"), "{several}");
    let one = card("stories260k-gguf", ", files: [stories260k-Q8_0.gguf]");
    let file = fetch_model(&one, &hub.config(None), &Silent).unwrap();
    let original = shared.join("models/zoo-fixtures/stories260k-gguf/stories260k-Q8_0.gguf");
    assert_eq!(fs::read(file).unwrap(), fs::read(original).unwrap());
}

#[test]
#[ignore = "needs the shared reference folder"]
fn every_fault_is_survived() {
    let Some(shared) = hub_files() else { return };
    let faults: [&[&str]; 8] = [
        &["--fail-rate", "0.3", "--seed", "1"],
        &["--rate-limit-once"],
        &["--truncate-once"],
        &["--corrupt-once"],
        &["--no-range"],
        &["--no-range", "--truncate-once", "--corrupt-once"],
        &["--latency-ms", "30", "--slow", "3000000"],
        &["--fail-rate", "0.2", "--seed", "3", "--truncate-once", "--corrupt-once"],
    ];
    for options in faults {
        let hub = Hub::start(&shared, options);
        for repo in ["stories260k", "stories260k-meta"] {
            let location = fetch_model(&card(repo, ""), &hub.config(None), &Silent)
                .unwrap_or_else(|error| panic!("{options:?}: {error}"));
            let expected = files(&shared.join("models/zoo-fixtures").join(repo));
            assert!(files(&location) == expected, "{options:?} {repo}");
        }
        let folder = fetch_dataset("openai/gsm8k", &[Some("main")], &hub.config(None), &Silent)
            .unwrap_or_else(|error| panic!("{options:?}: {error}"));
        assert!(files(&folder) == files(&shared.join("datasets/openai/gsm8k")), "{options:?} gsm8k");
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn a_gated_model_needs_a_token_with_access() {
    let Some(shared) = hub_files() else { return };
    let hub = Hub::start(&shared, &[]);
    let fetch = |repo: &str, token| fetch_model(&card(repo, ""), &hub.config(token), &Silent);
    let gated = "gated-stories260k";
    assert!(matches!(fetch(gated, None), Err(HubError::Gated { has_token: false, .. })));
    assert!(matches!(fetch(gated, Some("hf_noaccess")), Err(HubError::Gated { has_token: true, .. })));
    assert!(matches!(fetch(gated, Some("hf_wrong")), Err(HubError::BadToken { .. })));
    assert!(matches!(fetch("none", None), Err(HubError::NotFound { maybe_private: true, .. })));
    assert!(matches!(fetch("none", Some("hf_test")), Err(HubError::NotFound { maybe_private: false, .. })));
    let location = fetch(gated, Some("hf_test")).unwrap();
    assert_eq!(files(&location), files(&shared.join("models/zoo-fixtures").join(gated)));
}

#[test]
#[ignore = "needs the shared reference folder"]
fn data_sets_arrive_by_configuration() {
    let Some(shared) = hub_files() else { return };
    let hub = Hub::start(&shared, &[]);
    let config = hub.config(None);
    let cases: [(&str, &[&str], usize); 6] = [
        ("cais/mmlu", &["anatomy", "astronomy"], 6),
        ("ceval/ceval-exam", &["accountant"], 2),
        ("allenai/ai2_arc", &["ARC-Easy"], 2),
        ("aps/super_glue", &["boolq"], 2),
        ("SaylorTwift/bbh", &["navigate", "snarks"], 2),
        ("truthfulqa/truthful_qa", &["multiple_choice", "generation"], 2),
    ];
    for (repo, configs, at_least) in cases {
        let names: Vec<Option<&str>> = configs.iter().map(|name| Some(*name)).collect();
        let folder = fetch_dataset(repo, &names, &config, &Silent).unwrap();
        let (fetched, all) = (files(&folder), files(&shared.join("datasets").join(repo)));
        assert!(fetched.iter().all(|file| all.contains(file)), "{repo}");
        let data = fetched.iter().filter(|(path, _)| path.to_string_lossy() != "README.md");
        let named = |path: &Path| configs.iter().any(|name| path.to_string_lossy().contains(name));
        assert!(data.clone().all(|(path, _)| named(path)), "{repo}: {fetched:?}", fetched = fetched.len());
        assert!(data.count() >= at_least, "{repo}");
        assert!(names.iter().all(|name| cached_dataset(repo, *name, &config).is_some()), "{repo}");
    }
    for repo in ["EleutherAI/lambada_openai", "Rowan/hellaswag", "hails/agieval-lsat-ar"] {
        let folder = fetch_dataset(repo, &[None], &config, &Silent).unwrap();
        assert_eq!(files(&folder), files(&shared.join("datasets").join(repo)), "{repo}");
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn a_pulled_suite_has_all_its_splits() {
    let Some(shared) = hub_files() else { return };
    let hub = Hub::start(&shared, &[]);
    let zoo = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
        command.args(args).env("ZOO_HOME", hub.home.path()).env("HF_HOME", hub.home.path());
        command.env_remove("HF_TOKEN").env("HF_ENDPOINT", &hub.url).output().unwrap()
    };
    let index = Index::load(&[]).unwrap();
    let data = DataStore::new(None, Some(hub.home.path()));
    for name in ["mmlu", "ceval-valid", "cmmlu", "arc_easy", "boolq", "hellaswag", "winogrande", "piqa"] {
        let output = zoo(&["pull", &format!("suite:{name}")]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let mut splits = 0;
        for task in index.resolve(name).unwrap().tasks() {
            let config = &task.config;
            let scored = config.test_split.as_ref().or(config.validation_split.as_ref());
            for split in scored.into_iter().chain(&config.fewshot_split) {
                let dataset = DatasetRef::of(&task).unwrap();
                let located = data.locate(&dataset, split).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(!located.files.is_empty());
                splits += 1;
            }
        }
        assert!(splits > 0, "{name}");
        let again = zoo(&["pull", &format!("suite:{name}")]);
        assert!(String::from_utf8_lossy(&again.stderr).contains("is here already"), "{name}");
    }
}
