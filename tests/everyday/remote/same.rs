//! The same answers, flags and metrics as on this machine, whichever server it is.

use std::sync::Arc;

use serde_json::Value;

use super::{assert_same, is_well, place, served};
use crate::support::hub::Server;
use crate::support::served::{Served, TEMPLATE};

#[test]
fn a_served_model_answers_as_it_does_here() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    // As many positions as the server leaves.
    place.run("local", &["--max-length", "2046"]);
    let vllm = tiny.start();
    is_well(&served(&place, &vllm, "vllm", &[]));
    assert_same(&place.path("local"), &place.path("vllm"));
    let mine = Arc::clone(&tiny);
    let llama = Server::start(move |request| mine.llama_server(request));
    is_well(&served(&place, &llama, "llama", &["--concurrency", "3"]));
    assert_same(&place.path("local"), &place.path("llama"));
    // Halves of characters are not shown; they are looked up in lists.
    let is_list = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["n_probs"] == 64;
    assert!(llama.seen("/completion").iter().any(|seen| is_list(&seen.body)));
    // Letters are one request for each question, and nothing is echoed for them.
    let bodies: Vec<Value> =
        vllm.seen("/v1/completions").iter().map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect();
    let together =
        bodies.iter().filter(|body| body["logprob_token_ids"].as_array().is_some_and(|ids| ids.len() == 3));
    assert_eq!(together.count(), 12);
}

#[test]
fn the_server_s_template_writes_prompts_as_the_checkpoint_s_does() {
    let place = place();
    let tiny = Served::open(&place.path("tiny"));
    std::fs::write(place.path("tiny/chat_template.jinja"), TEMPLATE).unwrap();
    let asked = ["--suite", "letters,written", "--max-length", "2046", "--limit", "5"];
    place.run("local", &[&asked[..], &["--apply-chat-template=checkpoint"]].concat());
    let server = tiny.start();
    is_well(&served(&place, &server, "remote", &[&asked[..], &["--apply-chat-template=server"]].concat()));
    let prompts = |run: &str| -> Vec<serde_json::Value> {
        let mut lines = crate::support::served::samples(&place.path(run));
        lines.remove("letters").unwrap().iter().map(|line| line["choices"].clone()).collect()
    };
    let (local, remote) = (prompts("local"), prompts("remote"));
    assert_eq!(local.len(), 5);
    for (a, b) in local.iter().zip(&remote) {
        for (a, b) in a.as_array().unwrap().iter().zip(b.as_array().unwrap()) {
            assert!(
                (a["logprob"].as_f64().unwrap() - b["logprob"].as_f64().unwrap()).abs() < super::TOLERANCE
            );
        }
    }
    let record: serde_yaml::Value = serde_yaml::from_str(&place.read("remote/run.yaml")).unwrap();
    assert_eq!(record["models"][0]["chat"]["template"].as_str(), Some("server: tiny"));
    assert!(place.eval("other", &["--apply-chat-template=server"]).status.code() == Some(2));
}
