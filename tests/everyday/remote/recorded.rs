//! What a real vLLM has answered, read by what asks it. `tests/fixtures/remote/record.py` recorded it; an answer is found by its
//! question, so that whatever is sent otherwise has none.

use std::sync::Arc;

use serde_json::Value;
use zoo::engine::Score;
use zoo::remote::{Access, Address, Client, Found, Job, Kind, RemoteError, Scoring, Tokens, WriteJob};
use zoo::tokenizer::Tokenizer;

use crate::support::hub::{Answer, Server};
use crate::support::place::Place;

/// Two ways of asking for one log-probability in f32.
const TOLERANCE: f64 = 1e-4;

/// The records, a server that answers with them, and a client of it.
struct Recorded {
    all: Value,
    _server: Server,
    client: Client,
}

fn recorded() -> Recorded {
    let all: Value = serde_json::from_str(include_str!("../../fixtures/remote/vllm.json")).unwrap();
    let exchanges = all["exchanges"].as_array().unwrap().clone();
    let server = Server::start(move |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let path = request.path.trim_start_matches('/');
        let found = exchanges.iter().find(|known| known["path"] == path && known["body"] == body);
        found.map_or_else(
            || Answer::new(418, format!("nobody has recorded the answer to {body}")),
            |known| Answer::new(known["status"].as_u64().unwrap() as u16, known["answer"].to_string()),
        )
    });
    let address = Address::parse(&format!("remote:{}", server.url)).unwrap();
    let client = Client::new(&address.urls[0], &Arc::new(Access::default())).unwrap();
    Recorded { all, _server: server, client }
}

fn found(together: bool) -> Found {
    Found {
        kind: Kind::Vllm,
        version: None,
        fingerprint: None,
        model: "smollm2".to_owned(),
        root: None,
        dtype: None,
        positions: Some(2048),
        scoring: Some(Scoring::Echo),
        together,
        shown: None,
        tokens: Tokens::Alike,
        repeated: 0.0,
        at_once: 0.0,
    }
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn answers_of_one_token_are_the_same_one_by_one_and_together() {
    let Recorded { all, client, .. } = &recorded();
    let continuations = ids(&all["answers"]).into_iter().map(|id| vec![id]).collect();
    let job = Job { context: ids(&all["context"]), continuations, requests: vec![0, 1, 2] };
    let [echoed, together] = [false, true].map(|together| job.ask(client, &found(together)).unwrap());
    for (a, b) in echoed.iter().zip(&together) {
        assert!((a.logprob - b.logprob).abs() < TOLERANCE && a.is_greedy == b.is_greedy, "{a:?} {b:?}");
    }
    let greedy: Vec<bool> = together.iter().map(|score| score.is_greedy).collect();
    assert_eq!(greedy, [false, true, false]);
    assert!((together[1].logprob + 1.1607294).abs() < TOLERANCE, "{together:?}");
}

#[test]
fn a_continuation_of_several_tokens_is_their_sum() {
    let Recorded { all, client, .. } = &recorded();
    let exchanges = all["exchanges"].as_array().unwrap();
    let longest = exchanges.iter().filter(|one| one["body"]["echo"] == true && one["status"] == 200);
    let longest = longest.max_by_key(|one| one["body"]["prompt"].as_array().unwrap().len()).unwrap();
    let (context, prompt) = (ids(&all["context"]), ids(&longest["body"]["prompt"]));
    let continuation = prompt[context.len()..].to_vec();
    let job = Job { context, continuations: vec![continuation.clone()], requests: vec![0] };
    let Score { logprob, .. } = job.ask(client, &found(true)).unwrap()[0];
    let lists = &longest["answer"]["choices"][0];
    // The same numbers stand there a second time, by id.
    let by_id = |(at, id): (usize, &u32)| {
        lists["prompt_logprobs"][prompt.len() - continuation.len() + at][id.to_string()]["logprob"]
            .as_f64()
            .unwrap()
    };
    let sum: f64 = continuation.iter().enumerate().map(by_id).sum();
    assert!((logprob - sum).abs() < 1e-9 && continuation.len() > 3, "{logprob} {sum}");
}

#[test]
fn refusals_are_told_in_the_server_s_words() {
    let Recorded { all, client, .. } = &recorded();
    let one = |context: Vec<u32>, continuation: u32| Job {
        context,
        continuations: vec![vec![continuation]],
        requests: vec![0],
    };
    let said = |job: Job, found: &Found| job.ask(client, found).unwrap_err();
    let long = said(one(vec![7; 2047], 7), &found(false));
    assert!(
        long.is_of_request() && long.to_string().contains("answered 400: max_tokens must be at least 1"),
        "{long}"
    );
    let unknown = Job { context: vec![], continuations: vec![vec![1 << 20]], requests: vec![0] };
    assert!(said(unknown, &found(false)).to_string().contains("Token id 1048576 is out of vocabulary"));
    let answers = ids(&all["answers"]);
    let nope = Found { model: "nope".to_owned(), ..found(false) };
    let mut context = ids(&all["context"]);
    let error = said(one(context.clone(), answers[0]), &nope);
    // The record of it has the prompt without an answer; what is not recorded is told apart.
    assert!(matches!(error, RemoteError::Refused { status: 418, .. }), "{error}");
    let last = context.pop().unwrap();
    let error = said(one(context, last), &nope);
    assert!(
        !error.is_of_request() && error.to_string().contains("The model `nope` does not exist"),
        "{error}"
    );
}

#[test]
fn texts_end_at_a_stop_or_at_their_length() {
    let Recorded { all, client, .. } = &recorded();
    let place = Place::new(&[]);
    let tokenizer = Tokenizer::from_folder(&place.path("tiny")).unwrap();
    let write = |most: usize, stops: &[&str]| {
        let stops = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let prompt = ids(&all["context"]).into();
        let job = WriteJob { prompt, most, ends: [].into(), stops, sampling: None, stream: 0 };
        // Text alone, as of a server that gives no ids.
        job.ask(client, &Found { kind: Kind::Other, ..found(true) }, &tokenizer).map(|written| written.text)
    };
    assert_eq!(write(12, &[".", "\n"]).unwrap(), " morning");
    assert_eq!(write(3, &[]).unwrap(), " morning. The");
}
