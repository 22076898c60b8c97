//! Servers that refuse, break off, lie, take their time or send elsewhere: what passes is tried again, and what does not ends with the
//! documents named and all other answers kept.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zoo::remote::{Access, Address, RemoteError, Server as Probed};
use zoo::tokenizer::Tokenizer;

use super::{assert_same, is_well, place, served};
use crate::support::hub::{Answer, Server};
use crate::support::place::Place;
use crate::support::served::{Served, answer, refused};
use crate::support::tiny::stderr;

/// Completions of the probe: what comes later is the run's.
const PROBE: usize = 12;

/// A place with one task, and the model that is served there.
fn letters() -> (Place, Arc<Served>) {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    (place, tiny)
}

const WORDS: [&str; 2] = ["--suite", "words"];

#[test]
fn what_passes_is_tried_again() {
    let (place, tiny) = letters();
    is_well(&served(&place, &tiny.start(), "well", &WORDS));
    let fault = |number: usize, _: &Value| match number.checked_sub(PROBE)? {
        1 => Some(refused(429, "slow down").with("Retry-After", 0)),
        3 => Some(refused(429, "slow down")),
        5 => Some(refused(503, "The engine is currently busy")),
        7 => Some(Answer { cut: Some(40), ..answer(&json!({"choices": [], "more": "x".repeat(200)})) }),
        9 => Some(Answer::new(408, "")),
        11 => Some(Answer::new(502, "<html>bad gateway</html>")),
        _ => None,
    };
    let server = tiny.start_with(fault);
    let output = served(&place, &server, "faulty", &[&WORDS[..], &["-v"]].concat());
    is_well(&output);
    assert!(
        stderr(&output).contains("slow down") && stderr(&output).contains("trying again"),
        "{}",
        stderr(&output)
    );
    assert_same(&place.path("well"), &place.path("faulty"));
}

/// What a run says whose `number`th request of the run gets a bad answer; all others are kept, and a second run asks for it alone.
fn bad_once(bad: impl Fn(&Value) -> Answer + Send + Sync + 'static, words: &[&str]) {
    let (place, tiny) = letters();
    let met = Arc::new(AtomicUsize::new(usize::MAX));
    let seen = Arc::clone(&met);
    let server = tiny.start_with(move |number, body| {
        (number == PROBE + 4).then(|| {
            seen.store(number, Ordering::SeqCst);
            bad(body)
        })
    });
    let first = served(&place, &server, "run", &[&WORDS[..], &["--concurrency", "1"]].concat());
    let said = stderr(&first);
    assert_eq!(met.load(Ordering::SeqCst), PROBE + 4, "{said}");
    assert_eq!(first.status.code(), Some(1), "{said}");
    for word in
        ["1 requests were not answered", "task words, document ", "--resume", "of 36"].iter().chain(words)
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!place.path("run/results.csv").exists());
    let before = server.seen("/v1/completions").len();
    is_well(&served(&place, &server, "run", &[&WORDS[..], &["--concurrency", "1", "--resume"]].concat()));
    // The probe's, and the one that was missing.
    assert_eq!(server.seen("/v1/completions").len() - before, PROBE + 1);
    assert!(place.requests("run", "resumed") >= 30);
}

#[test]
fn a_document_that_is_refused_does_not_end_a_run() {
    bad_once(|_| refused(400, "Token id 7 is out of vocabulary"), &["answered 400: Token id 7"]);
}

#[test]
fn what_is_no_answer_is_never_a_score() {
    bad_once(|_| Answer::new(200, "{\"choices\": [{"), &["expected JSON"]);
    bad_once(
        |_| Answer::new(200, "{\"choices\": [{\"index\": 0, \"text\": \"\", \"logprobs\": NaN}]}"),
        &["expected JSON"],
    );
    let lists = |body: &Value, value: Value, short: usize| {
        let prompt = body["prompt"].as_array().unwrap().clone();
        let tokens: Vec<String> = prompt.iter().map(|id| format!("token_id:{id}")).collect();
        let values = vec![value; prompt.len() - short];
        let top: Vec<Value> = tokens.iter().map(|token| json!({token: -0.5})).collect();
        answer(&json!({"choices": [{"index": 0, "text": "", "logprobs": {
            "tokens": tokens, "token_logprobs": values, "top_logprobs": top}}]}))
    };
    bad_once(move |body| lists(body, json!(-1.0), 1), &["token_logprobs of the"]);
    bad_once(move |body| lists(body, json!(0.5), 0), &["found 0.5"]);
    bad_once(move |body| lists(body, json!(-9999.0), 0), &["minus infinity"]);
    bad_once(|_| answer(&json!({"choices": []})), &["one choice, found 0"]);
}

#[test]
fn what_goes_wrong_for_all_ends_soon() {
    let (place, tiny) = letters();
    let server = tiny.start_with(|number, _| (number >= PROBE + 3).then(|| refused(400, "no")));
    let output = served(&place, &server, "run", &[&WORDS[..], &["--concurrency", "1"]].concat());
    let said = stderr(&output);
    assert!(said.contains("answered 400: no") && said.contains("are kept in"), "{said}");
    assert!(server.seen("/v1/completions").len() < PROBE + 15);
    // Somebody who is not known is told at once.
    let server = tiny.start_with(|_, _| Some(Answer::new(401, r#"{"error":"Unauthorized"}"#)));
    let said = stderr(&served(&place, &server, "other", &WORDS));
    assert!(said.contains("answered 401: Unauthorized") && !place.path("other").exists(), "{said}");
    assert_eq!(server.seen("/v1/completions").len(), 1);
}

/// What the probe says of a server, with little patience.
fn probed(server: &str, place: &Place, certificates: Option<&str>) -> Result<Probed, RemoteError> {
    let access = Access {
        certificates: certificates.map(Into::into),
        wait: Duration::from_millis(700),
        backoff: Duration::from_millis(1),
        attempts: 2,
        ..Access::default()
    };
    let address = Address::parse(&format!("remote:{server}")).unwrap();
    Probed::probe(&address, access, &Tokenizer::from_folder(&place.path("tiny")).unwrap())
}

#[test]
fn an_answer_has_a_size_and_a_time() {
    let place = Place::new(&[]);
    let begun = Instant::now();
    let drip = Server::start(|_| Answer {
        drip: Some(Duration::from_millis(50)),
        ..answer(&json!({"data": vec![1; 90]}))
    });
    let said = probed(&drip.url, &place, None).unwrap_err().to_string();
    assert!(said.contains("within 0 s") && begun.elapsed() < Duration::from_secs(8), "{said}");
    let huge = Server::start(|_| Answer::new(200, vec![b' '; (8 << 20) + 1]));
    let patient = Access { wait: Duration::from_secs(60), attempts: 1, ..Access::default() };
    let address = Address::parse(&format!("remote:{}", huge.url)).unwrap();
    let tokenizer = Tokenizer::from_folder(&place.path("tiny")).unwrap();
    let said = Probed::probe(&address, patient, &tokenizer).unwrap_err().to_string();
    assert!(said.contains("an answer of at most 8388608 bytes"), "{said}");
    // A server that is not there.
    let said = probed("http://127.0.0.1:9", &place, None).unwrap_err().to_string();
    assert!(said.contains("127.0.0.1:9") && said.contains("2 times"), "{said}");
}

#[test]
fn nobody_is_asked_who_was_not_named() {
    let (place, tiny) = letters();
    let elsewhere = Arc::new(tiny.start());
    let to = elsewhere.url.clone();
    let server =
        Server::start(move |request| Answer::new(307, "").with("Location", format!("{to}{}", request.path)));
    let said = stderr(&served(&place, &server, "run", &WORDS));
    assert!(said.contains(&elsewhere.url) && said.contains("name that address"), "{said}");
    assert!(elsewhere.seen("").is_empty() && !place.path("run").exists());
}

#[test]
fn a_certificate_is_one_of_the_system_or_one_that_was_named() {
    let (place, tiny) = letters();
    let url = crate::support::served::start_tls(&tiny);
    let said = probed(&url, &place, None).unwrap_err().to_string();
    assert!(said.to_lowercase().contains("certificate"), "{said}");
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/remote/localhost.pem");
    let access = Access { certificates: Some(own.into()), ..Access::default() };
    let address = Address::parse(&format!("remote:{url}")).unwrap();
    let tokenizer = Tokenizer::from_folder(&place.path("tiny")).unwrap();
    assert_eq!(Probed::probe(&address, access, &tokenizer).unwrap().found.model, "tiny");
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/remote/make.sh");
    assert!(probed(&url, &place, Some(key)).unwrap_err().to_string().contains("PEM"));
}

#[test]
fn certificates_are_a_file_that_ends() {
    let place = Place::new(&[]);
    let pipe = place.text("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    for (path, found) in [("/dev/zero", "a device"), (pipe.as_str(), "a pipe"), ("/", "a folder")] {
        let said = probed("http://127.0.0.1:9", &place, Some(path)).unwrap_err().to_string();
        assert!(said.contains("cannot read certificates") && said.contains(found), "{said}");
    }
}

/// Kilobytes of address space for a client whose server answers in bulk; threads and the allocator reserve most of it.
const SPACE: u64 = 4 << 20;

#[test]
fn what_a_server_says_takes_memory_by_what_it_was_asked() {
    let (place, _) = letters();
    // A list in which each entry takes ten times as much memory as it has bytes.
    let bulk = |entries: usize| {
        let nothing = "null,".repeat(entries);
        format!("{{\"choices\": [{{\"text\": \"\", \"logprobs\": {{\"top_logprobs\": [{nothing}null]}}}}]}}")
    };
    let bulk = bulk(24 << 20);
    let server = Server::start(move |request| match request.path.as_str() {
        path if path.contains("models") => {
            answer(&json!({"data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 512}]}))
        }
        path if path.contains("completions") => Answer::new(200, bulk.clone()),
        _ => answer(&json!({})),
    });
    let command = super::command_for(&place, &server, "run", &WORDS);
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -v {SPACE}; exec timeout -s KILL 120 \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("gives no log-probabilities"), "{said}");
}

#[test]
fn names_on_a_server_are_told_in_few_words() {
    let place = Place::new(&[]);
    let many: Vec<Value> = (0..20_000).map(|n| json!({"id": format!("{n}-{}", "x".repeat(200))})).collect();
    let server = Server::start(move |_| answer(&json!({"data": many})));
    let said = probed(&server.url, &place, None).unwrap_err().to_string();
    assert!(said.contains("and 19988 more; say which one is meant") && said.len() < 2000, "{said}");
    let server = Server::start(|_| answer(&json!({"data": [{"id": "x".repeat(2000)}]})));
    let said = probed(&server.url, &place, None).unwrap_err().to_string();
    assert!(said.contains("expected names of at most 1024 bytes, found one of 2000"), "{said}");
}

#[test]
fn the_key_goes_to_the_server_and_nowhere_else() {
    let (place, tiny) = letters();
    let server = tiny.start();
    let output = super::command_for(&place, &server, "run", &[&WORDS[..], &["-vv", "--limit", "2"]].concat())
        .env("OPENAI_API_KEY", "sk-very-secret")
        .output()
        .unwrap();
    is_well(&output);
    assert!(server.seen("").iter().all(|seen| seen.header("authorization") == Some("Bearer sk-very-secret")));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!stdout.contains("very-secret") && !stderr.contains("very-secret"));
    let mut folders = vec![place.path("run")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert!(
                    !String::from_utf8_lossy(&fs::read(&path).unwrap()).contains("very-secret"),
                    "{}",
                    path.display()
                );
            }
        }
    }
}
