//! What is refused before the work, what is recorded, several servers, and runs that end early.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use zoo::remote::{Access, Address, Client, Ended, Pool, RemoteError};

use super::{assert_same, command_for, is_well, place, served};
use crate::support::hub::Server;
use crate::support::place::assert_says;
use crate::support::served::{Served, answer};
use crate::support::tiny::{stderr, zoo};

#[test]
fn what_a_server_cannot_do_is_said_before() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    let says = |server: &Server, extra: &[&str], code: i32, words: &[&str]| {
        let output = served(&place, server, "run", extra);
        assert_says(&output, code, words);
        assert!(!place.path("run").exists(), "nothing was begun");
    };
    // Generated tokens alone, as llama-server and chat servers have them.
    let mute = tiny.start_with(|_, body| {
        (body["echo"] == true)
            .then(|| answer(&json!({"choices": [{"index": 0, "text": "x", "logprobs": {"content": []}}]})))
    });
    says(&mute, &["--suite", "words"], 1, &["no log-probabilities of a prompt's tokens"]);
    // Texts can be written all the same.
    is_well(&served(&place, &mute, "texts", &["--suite", "written", "--limit", "2"]));
    let own = Arc::clone(&tiny);
    let other = Server::start(move |request| match request.path.as_str() {
        "/tokenize" => answer(&json!({"tokens": [84, 104, 9, 9]})),
        _ => own.vllm(request),
    });
    says(&other, &[], 1, &["other tokens of a text than --tokenizer", "9 9"]);
    let server = tiny.start();
    says(&server, &["--max-length", "2048"], 2, &["--max-length 2048", "at most 2046"]);
    says(&server, &["--precision", "bf16"], 2, &["a server computes in its own way"]);
    says(&server, &["--against", "int8"], 2, &["--against int8"]);
    says(&server, &["--dry-run"], 2, &["server's affair"]);
    let address = format!("remote:{}", server.url);
    assert_says(&zoo(&["eval", &address, "--suite", "basics"]), 2, &["--tokenizer"]);
    assert_says(
        &zoo(&["eval", &format!("{address}#nope"), "--tokenizer", &place.text("tiny"), "--suite", "basics"]),
        1,
        &["serves no \"nope\", but tiny"],
    );
    assert_says(&zoo(&["generate", &address, "Hello"]), 2, &["asked by zoo eval"]);
    assert_says(&zoo(&["eval", "remote:nowhere", "--suite", "basics"]), 2, &["remote:URL"]);
}

#[test]
fn the_run_says_who_answered() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    let output = served(
        &place,
        &tiny.start(),
        "run",
        &["--suite", "words", "--dtype", "float32", "--concurrency", "4"],
    );
    is_well(&output);
    let line = "served by vLLM 0.32.0 (fingerprint vllm-0.32.0-mock), float32 as declared, 4 at a time; a repeated request has the \
                same bits, one among others has the same bits";
    assert!(stderr(&output).contains(line), "{}", stderr(&output));
    assert!(place.read("run/comparison.md").contains("served by vLLM 0.32.0"));
    let record: serde_yaml::Value = serde_yaml::from_str(&place.read("run/run.yaml")).unwrap();
    let model = &record["models"][0];
    assert_eq!(model["precision"].as_str(), Some("served, float32"));
    let server = &model["server"];
    assert_eq!(server["scores_by"].as_str(), Some("echo"));
    assert_eq!((server["concurrency"].as_u64(), server["positions"].as_u64()), (Some(4), Some(2048)));
    assert_eq!(server["tokens_compared"].as_bool(), Some(true));
    assert_eq!(record["flags"]["dtype"].as_str(), Some("float32"));
    // Another configuration is another model: nothing of it is taken for this one's.
    let own = Arc::clone(&tiny);
    let changed = Server::start(move |request| {
        let mut answer = own.vllm(request);
        let text = String::from_utf8(answer.body).unwrap();
        answer.body = text.replace("vllm-0.32.0-mock", "vllm-0.32.0-other").into_bytes();
        answer
    });
    place.unfinish("run");
    let output = served(
        &place,
        &changed,
        "run",
        &["--suite", "words", "--dtype", "float32", "--concurrency", "4", "--resume"],
    );
    assert_says(&output, 2, &["configuration"]);
}

#[test]
fn servers_of_one_model_share_the_load() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    let [one, two] = [tiny.start(), tiny.start()];
    is_well(&served(&place, &one, "one", &[]));
    let alone = one.seen("/v1/completions").len();
    is_well(&served(&place, &Server::at(format!("{},{}", one.url, two.url)), "both", &[]));
    assert_same(&place.path("one"), &place.path("both"));
    let [one_more, two_more] = [one.seen("/v1/completions").len() - alone, two.seen("/v1/completions").len()];
    assert!(one_more > 20 && two_more > 20, "{one_more} {two_more}");
    assert!(place.read("both/comparison.md").contains("2 servers"));
    // A server of something else does not share.
    let own = Arc::clone(&tiny);
    let other = Server::start(move |request| {
        let mut answer = own.vllm(request);
        answer.body = String::from_utf8(answer.body).unwrap().replace("-mock", "-other").into_bytes();
        answer
    });
    let both = Server::at(format!("{},{}", one.url, other.url));
    assert_says(
        &served(&place, &both, "third", &[]),
        1,
        &["not the same as", "fingerprint \"vllm-0.32.0-mock\" there, \"vllm-0.32.0-other\" here"],
    );
}

#[test]
fn what_a_server_that_is_gone_leaves_is_done_by_the_others() {
    let there = Server::start(|request| answer(&json!(request.path)));
    let access = Arc::new(Access { backoff: Duration::from_millis(1), attempts: 2, ..Access::default() });
    let address = Address::parse(&format!("remote:{},http://127.0.0.1:9", there.url)).unwrap();
    let clients: Vec<Arc<Client>> =
        address.urls.iter().map(|url| Arc::new(Client::new(url, &access).unwrap())).collect();
    let run = |clients: &[Arc<Client>]| {
        let pool = Pool { clients: clients.to_vec(), concurrency: Some(4) };
        let mut answers = vec![None; 40];
        let jobs = (0..40).map(|number: usize| (number, 1)).collect();
        let ask = |client: &Client, number: &usize| client.get::<String>(&format!("job/{number}"));
        let ended = pool.run(jobs, ask, &|| false, &mut |job, answer| {
            assert!(answers[job].replace(answer).is_none(), "a job is answered once");
            Ok::<(), ()>(())
        });
        (ended.unwrap(), answers)
    };
    let (ended, answers) = run(&clients);
    assert!(matches!(ended, Ended::Done(failed) if failed.is_empty()));
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.as_deref(), Some(format!("/job/{number}").as_str()));
    }
    assert!(matches!(run(&clients[1..]).0, Ended::Failed(RemoteError::Unreachable { .. })));
}

#[test]
fn a_killed_run_goes_on_with_what_is_missing() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    is_well(&served(&place, &tiny.start(), "whole", &[]));
    let server = tiny.start();
    let mut command = command_for(&place, &server, "run", &["--concurrency", "2"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while server.seen("/v1/completions").len() < 30 {
        assert!(began.elapsed().as_secs() < 60, "nothing is asked");
        std::thread::sleep(Duration::from_millis(2));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    is_well(&served(&place, &server, "run", &["--concurrency", "2", "--resume"]));
    assert!(place.requests("run", "resumed") > 5);
    assert_eq!(place.read("whole/results.csv"), place.read("run/results.csv"));
}
