//! Shards that servers answered: each probe measures something else, each server has an address of its own, and chat templates are
//! read where the tokenizer is.

use std::process::Output;
use std::sync::Arc;

use super::world::{merge, world};
use crate::support::hub::Server;
use crate::support::place::{Place, assert_says};
use crate::support::served::{Served, TEMPLATE, samples};
use crate::support::tiny::{stderr, stdout};

/// Runs the served model.
fn served(place: &Place, server: &Server, out: &str, extra: &[&str]) -> Output {
    let (address, tokenizer, out) = (format!("remote:{}", server.url), place.text("tiny"), place.text(out));
    let own = ["eval", &address, "--tokenizer", &tokenizer, "--suite", "pick", "--out", &out];
    place.zoo(&[&own[..], extra].concat())
}

#[test]
fn served_shards_are_merged_and_taken_up_at_another_address() {
    let place = world(&[]);
    std::fs::write(place.path("tiny/chat_template.jinja"), TEMPLATE).unwrap();
    let tiny = Served::open(&place.path("tiny"));
    let servers = [tiny.start(), tiny.start()];
    let template = "--apply-chat-template=checkpoint";
    assert_says(&served(&place, &servers[0], "whole", &[template]), 0, &[]);
    for (index, server) in servers.iter().enumerate() {
        let shard = format!("{index}/2");
        let more: &[&str] = if index == 1 { &["--concurrency", "3"] } else { &[] };
        let flags = [&["--shard", &shard, template][..], more].concat();
        assert_says(&served(&place, server, &format!("2-{index}"), &flags), 0, &[]);
    }
    // No two probes measure the same.
    let described = place.read("2-1/run.yaml");
    let noisy = described.replacen("concurrent_difference: 0.0", "concurrent_difference: 0.25", 1);
    assert_ne!(noisy, described);
    std::fs::write(place.path("2-1/run.yaml"), noisy).unwrap();
    let names = ["2-0".to_owned(), "2-1".to_owned()];
    assert_says(&merge(&place, &names, "merged", &[]), 0, &["merged from 2 shards"]);
    assert_eq!(samples(&place.path("merged")), samples(&place.path("whole")));
    let merged: serde_yaml::Value = serde_yaml::from_str(&place.read("merged/run.yaml")).unwrap();
    let server = &merged["models"][0]["server"];
    assert_eq!(server["concurrent_difference"].as_f64(), Some(0.25));
    assert_eq!(server["repeated_difference"].as_f64(), Some(0.0));
    // Its prompts can be written again.
    let output = place.zoo(&["score", &place.text("merged"), "--format", "csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), place.read("whole/results.csv"));

    // The same served elsewhere is the same; something else is not.
    let again = ["--shard", "0/2", template, "--resume"];
    let asked = || servers.iter().map(|server| server.seen("/v1/completions").len()).collect::<Vec<_>>();
    let before = asked();
    assert_says(&served(&place, &servers[0], "2-0", &again), 0, &["was not asked"]);
    assert_eq!(asked(), before);
    assert_says(&served(&place, &tiny.start(), "2-0", &again), 0, &[]);
    let own = Arc::clone(&tiny);
    let other = Server::start(move |request| {
        let mut answer = own.vllm(request);
        answer.body = String::from_utf8(answer.body).unwrap().replace("-mock", "-other").into_bytes();
        answer
    });
    assert_says(
        &served(&place, &other, "2-0", &again),
        2,
        &["finished run of something else", "configuration"],
    );

    // Nor are other servers those of one run.
    assert_says(&served(&place, &other, "other", &["--shard", "1/2", template]), 0, &[]);
    let names = ["2-0".to_owned(), "other".to_owned()];
    let words = ["not shards of one run", "model 1, server, fingerprint: vllm-0.32.0-mock in", "-other in"];
    assert_says(&merge(&place, &names, "mixed", &[]), 2, &words);
    // What cannot be merged is said before it is asked.
    let before = asked();
    let refused = served(&place, &servers[0], "wrong", &["--shard", "0/2", "--apply-chat-template=server"]);
    assert_says(&refused, 2, &["--shard 0/2 cannot be used with --apply-chat-template=server"]);
    assert_eq!(asked(), before);
    assert_says(&served(&place, &servers[0], "theirs", &["--apply-chat-template=server"]), 0, &[]);
    assert_says(&place.zoo(&["score", &place.text("theirs")]), 2, &["chat template of the server"]);
}
