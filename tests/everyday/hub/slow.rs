//! Servers that take their time: each is given up after a while that is known, and whoever waits is told.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::hub::{Answer, Files, Request, Server, config};
use crate::support::tiny::command;
use zoo::base::progress::Silent;
use zoo::hub::{HubConfig, HubError, fetch_model};
use zoo::registry::Card;

/// Milliseconds between two bytes of what drips.
const DRIP: Duration = Duration::from_millis(20);

fn files() -> Files {
    Files::model("org/tiny", &[("config.json", b"{}"), ("model.safetensors", &[7; 3000])])
}

fn tiny() -> Card {
    let text = "id: tiny\nname: Tiny\nfamily: llama\nlicense: MIT\nrelease: {kind: full, format: x}\n\
                sources: [{hub: {repo: org/tiny}}]";
    serde_yaml::from_str(text).unwrap()
}

/// What is said of a server; it is said soon.
fn given_up(
    handler: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    set: impl Fn(&mut HubConfig),
) -> (HubError, Server) {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(handler);
    let mut config = config(home.path(), &server.url, None);
    config.timeout = Duration::from_millis(300);
    config.patience = Duration::from_secs(1);
    set(&mut config);
    let begun = Instant::now();
    let error = fetch_model(&tiny(), &config, &Silent).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}: {error}", begun.elapsed());
    (error, server)
}

#[test]
fn a_file_comes_at_a_least_rate() {
    let dripping = |request: &Request| {
        let answer = files().answer(request);
        let drip = request.path.ends_with("model.safetensors").then_some(DRIP);
        Answer { drip, ..answer }
    };
    let (error, server) = given_up(dripping, |config| config.attempts = 2);
    let said = error.to_string();
    assert!(
        matches!(error, HubError::NoNetwork { .. }) && said.contains("fewer than 1024 bytes a second"),
        "{said}"
    );
    // The second attempt goes on from where the first one ended.
    let asked = server.seen("model.safetensors");
    assert_eq!((asked.len(), asked[0].header("range"), asked[1].header("range").is_some()), (2, None, true));
    // A rate that is asked for is enough, and a line that breaks after every few bytes is none.
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(move |request| {
        let files = Files::model("org/tiny", &[("config.json", b"{}"), ("model.safetensors", &[7; 30])]);
        let drip = request.path.ends_with("model.safetensors").then_some(DRIP);
        Answer { drip, ..files.answer(request) }
    });
    let mut enough = config(home.path(), &server.url, None);
    (enough.timeout, enough.least_rate) = (Duration::from_millis(300), 1);
    assert!(fetch_model(&tiny(), &enough, &Silent).is_ok());
    let cut = |request: &Request| {
        let answer = files().answer(request);
        let cut = request.path.ends_with("model.safetensors").then_some(1);
        Answer { cut, ..answer }
    };
    let (error, server) = given_up(cut, |config| config.backoff = Duration::from_millis(20));
    assert!(matches!(error, HubError::NoNetwork { .. }), "{error}");
    assert_eq!(server.seen("model.safetensors").len(), 5);
}

#[test]
fn an_answer_comes_before_its_deadline() {
    let dripping = |request: &Request| Answer { drip: Some(DRIP), ..files().answer(request) };
    let (error, _) = given_up(dripping, |_| {});
    assert!(matches!(error, HubError::NoNetwork { .. }), "{error}");
    let silent = |request: &Request| {
        std::thread::sleep(Duration::from_secs(3));
        files().answer(request)
    };
    let (error, server) = given_up(silent, |config| config.attempts = 100);
    assert!(matches!(error, HubError::NoNetwork { .. }), "{error}");
    assert!(server.seen("").len() < 10);
    let busy = |_: &Request| Answer::new(503, "busy").with("Retry-After", 100);
    let (error, server) = given_up(busy, |_| {});
    assert!(error.to_string().contains("no whole answer in 1 s"), "{error}");
    assert_eq!(server.seen("").len(), 1);
}

#[test]
fn pages_without_files_come_to_an_end() {
    let empty = |request: &Request| match request.path.split_once("/tree/") {
        Some((_, page)) => {
            let next = page.len();
            Answer::new(200, "[]")
                .with("Link", format!("<?recursive=true&cursor={}>; rel=\"next\"", "x".repeat(next)))
        }
        None => files().answer(request),
    };
    let (error, server) = given_up(empty, |config| config.patience = Duration::from_secs(30));
    let said = error.to_string();
    assert!(matches!(error, HubError::BadAnswer { .. }) && said.contains("at most 10 empty pages"), "{said}");
    assert_eq!(server.seen("/tree/").len(), 11);
}

#[test]
fn whoever_waits_is_told() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|request: &Request| match request.path.as_str() {
        path if path.contains("/revision/") => Answer::new(429, "slowly").with("Retry-After", 6),
        _ => files().answer(request),
    });
    let mut pull = command(&["pull", "org/tiny"]);
    pull.env("ZOO_HOME", home.path()).env("HF_ENDPOINT", &server.url).env_remove("HF_HUB_OFFLINE");
    let mut child = pull.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let said: Vec<String> = lines.take_while(|line| !line.contains("trying again in 6 s")).collect();
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ended, None, "{said:?}");
}
