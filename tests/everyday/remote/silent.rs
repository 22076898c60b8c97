//! Servers that are silent, or want to be left alone for long: who waits is told, and not for long.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use zoo::remote::{Access, Address, RemoteError, Server as Probed};
use zoo::tokenizer::Tokenizer;

use super::{command_for, place};
use crate::support::hub::{Answer, Server};
use crate::support::place::Place;
use crate::support::served::{Served, answer, refused};

/// Longer than any of these tests.
const LONG: Duration = Duration::from_secs(600);

fn probed(server: &Server, place: &Place, access: Access) -> Result<Probed, RemoteError> {
    let address = Address::parse(&format!("remote:{}", server.url)).unwrap();
    let access = Access { backoff: Duration::from_millis(1), ..access };
    Probed::probe(&address, access, &Tokenizer::from_folder(&place.path("tiny")).unwrap())
}

fn silent() -> Server {
    Server::start(|_| {
        thread::sleep(LONG);
        Answer::new(200, "{}")
    })
}

#[test]
fn questions_about_a_server_have_a_time_of_their_own() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    let in_the_midst = Server::start(|_| Answer { drip: Some(LONG), ..Answer::new(200, "{}") });
    // It lists its models, and is silent when it is asked for tokens.
    let later = Server::start(move |request| {
        if request.path == "/tokenize" {
            thread::sleep(LONG);
        }
        tiny.vllm(request)
    });
    for server in [silent(), in_the_midst, later] {
        let begun = Instant::now();
        let access = Access { about_wait: Duration::from_millis(200), ..Access::default() };
        let said = probed(&server, &place, access).unwrap_err().to_string();
        assert!(said.contains("answer within 0 s, 2 times in a row"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

#[test]
fn the_model_has_more_time_than_the_server() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    let slow = Server::start(move |request| {
        if request.path == "/v1/completions" {
            thread::sleep(Duration::from_millis(400));
        }
        tiny.vllm(request)
    });
    // So short a time that an answer takes it twice: enough for the server's own.
    let access = Access { about_wait: Duration::from_millis(300), ..Access::default() };
    assert_eq!(probed(&slow, &place, access).unwrap().found.model, "tiny");
}

#[test]
fn whoever_waits_for_a_silent_server_is_told() {
    let place = place();
    let server = silent();
    let mut command = command_for(&place, &server, "run", &[]);
    let mut waiting = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    let lines = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let said = lines.map_while(Result::ok).find(|line| line.contains("has not answered for"));
    let after = begun.elapsed();
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let said = said.expect("it is said before the end");
    assert!(said.contains(server.url.trim_start_matches("http://")), "{said}");
    assert!(after < Duration::from_secs(25), "{after:?}");
}

#[test]
fn a_server_that_asks_for_a_long_pause_is_asked_again_before() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    let begun = Instant::now();
    let access = || Access { longest_pause: Duration::from_millis(20), attempts: 4, ..Access::default() };
    let busy = || refused(429, "busy").with("Retry-After", 300);
    let server = tiny.start_with(move |number, _| (3..6).contains(&number).then(busy));
    assert_eq!(probed(&server, &place, access()).unwrap().found.model, "tiny");
    let never = Server::start(move |request| match request.path.as_str() {
        "/v1/models" => busy(),
        _ => answer(&serde_json::json!({})),
    });
    let said = probed(&never, &place, access()).unwrap_err().to_string();
    assert!(said.contains("answered 429 after 4 attempts: busy"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
