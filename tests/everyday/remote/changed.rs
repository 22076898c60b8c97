//! Servers that become other ones in the midst of a run, and such as are only called otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::{is_well, place, served};
use crate::support::hub::{Answer, Request, Server};
use crate::support::place::assert_says;
use crate::support::served::Served;
use crate::support::tiny::stderr;

/// Completions of the probe of a vLLM.
const PROBE: usize = 12;

type Asked = fn(&Served, &Request) -> Answer;

/// A server whose completions, by number from 0, have other words in them; tokens that are forced do not count.
fn saying(
    tiny: &Arc<Served>,
    asked: Asked,
    words: impl Fn(usize, String) -> String + Send + Sync + 'static,
) -> Server {
    let (tiny, number) = (Arc::clone(tiny), AtomicUsize::new(0));
    Server::start(move |request| {
        let mut answer = asked(&tiny, request);
        let is_forced = String::from_utf8_lossy(&request.body).contains("logit_bias");
        if request.path.contains("completion") && !is_forced {
            let number = number.fetch_add(1, Ordering::SeqCst);
            answer.body = words(number, String::from_utf8(answer.body).unwrap()).into_bytes();
        }
        answer
    })
}

const FINGERPRINT: &str = "vllm-0.32.0-mock";
const MODEL: &str = "\"model\":\"tiny\"";

#[test]
fn a_server_that_becomes_another_one_ends_the_run() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    let vllm: Asked = |tiny, request| tiny.vllm(request);
    let native: Asked = |tiny, request| tiny.llama_server(request);
    for (name, asked, probe, suite, old, new) in [
        ("a", vllm, PROBE, "words", FINGERPRINT, "vllm-0.32.0-else"),
        ("b", vllm, PROBE, "words", MODEL, "\"model\":\"else\""),
        ("c", vllm, PROBE, "letters", FINGERPRINT, "vllm-0.32.0-else"),
        ("d", vllm, PROBE, "written", FINGERPRINT, "vllm-0.32.0-else"),
        ("e", native, 0, "written", MODEL, "\"model\":\"else\""),
    ] {
        let others = probe + 5..probe + 6;
        let server = saying(&tiny, asked, move |number, body| {
            assert!(body.contains(old), "{body}");
            if others.contains(&number) { body.replace(old, new) } else { body }
        });
        let extra = ["--suite", suite, "--concurrency", "1"];
        let output = served(&place, &server, name, &extra);
        assert_says(&output, 1, &["the server is another one now", "else", "5 of ", "are kept"]);
        assert!(!place.path(&format!("{name}/results.csv")).exists());
        // The one that was there is there again: nothing of the other one's answer is among those that are kept.
        is_well(&served(&place, &server, name, &[&extra[..], &["--resume"]].concat()));
        assert!(place.requests(name, "resumed") >= 5, "{name}");
    }
}

#[test]
fn one_of_several_servers_that_becomes_another_one_ends_the_run() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    let changed = saying(
        &tiny,
        |tiny, request| tiny.vllm(request),
        |number, body| {
            if number >= PROBE + 3 { body.replace(FINGERPRINT, "else") } else { body }
        },
    );
    let both = Server::at(format!("{},{}", tiny.start().url, changed.url));
    let host = changed.url.trim_start_matches("http://").to_owned() + ": the server is another one now";
    assert_says(&served(&place, &both, "run", &["--suite", "words"]), 1, &[&host]);
}

#[test]
fn a_server_may_have_other_names_in_its_answers_and_none() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    let said = |name: &str, words: fn(usize, String) -> String| {
        let server = saying(&tiny, |tiny, request| tiny.vllm(request), words);
        let output = served(&place, &server, name, &["--suite", "words,letters,written"]);
        is_well(&output);
        stderr(&output)
    };
    let names = "its answers do not all name one";
    // A gateway's own name of the model; answers without names; a name that is no text.
    let said_once = said("gateway", |_, body| body.replace(MODEL, "\"model\":\"gateway/tiny@2\""));
    assert!(!said_once.contains(names), "{said_once}");
    said("none", |_, body| {
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        answer.as_object_mut().unwrap().retain(|key, _| key != "model" && key != "system_fingerprint");
        answer.to_string()
    });
    said("odd", |_, body| body.replace(MODEL, "\"model\":[7]"));
    // A fingerprint for each answer is none of the server.
    let varying = said("varying", |number, body| body.replace(FINGERPRINT, &format!("request-{number}")));
    assert!(varying.contains(&format!("{names} fingerprint")), "{varying}");
}
