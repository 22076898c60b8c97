//! What a real vLLM and a real llama-server have answered, read by what asks them. `tests/fixtures/remote/record.py` recorded it; an
//! answer is found by its question, so that whatever is sent otherwise has none.

use std::sync::Arc;

use serde_json::{Value, json};
use zoo::engine::Score;
use zoo::remote::{Access, Address, Client, Found, Job, Kind, RemoteError, Scoring, Tokens, WriteJob};
use zoo::tokenizer::Tokenizer;

use crate::support::hub::{Answer, Server};
use crate::support::place::Place;

/// Two ways of asking for one log-probability in f32.
const TOLERANCE: f64 = 1e-4;
/// What llama-server says too much of each: its sums over the vocabulary are in f32, one after the other.
const OF_LLAMA_SERVER: f64 = 2e-4;

const VLLM: &str = include_str!("../../fixtures/remote/vllm.json");
const LLAMA_SERVER: &str = include_str!("../../fixtures/remote/llama_server.json");

/// The records, a server that answers with them, and a client of it.
struct Recorded {
    all: Value,
    _server: Server,
    client: Client,
}

fn recorded(records: &str) -> Recorded {
    let all: Value = serde_json::from_str(records).unwrap();
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

fn found_llama() -> Found {
    Found { kind: Kind::LlamaServer, scoring: Some(Scoring::Forced), ..found(false) }
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn answers_of_one_token_are_the_same_one_by_one_and_together() {
    let Recorded { all, client, .. } = &recorded(VLLM);
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
    let Recorded { all, client, .. } = &recorded(VLLM);
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
    let Recorded { all, client, .. } = &recorded(VLLM);
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
    let Recorded { all, client, .. } = &recorded(VLLM);
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

#[test]
fn llama_server_s_forced_tokens_have_the_scores_that_vllm_gives_them() {
    let Recorded { all, client, .. } = &recorded(LLAMA_SERVER);
    let other = recorded(VLLM);
    assert_eq!(
        (&all["context"], &all["answers"]),
        (&other.all["context"], &other.all["answers"]),
        "one model"
    );
    let context = ids(&all["context"]);
    let continuations = ids(&all["answers"]).into_iter().map(|id| vec![id]).collect();
    let job = Job { context: context.clone(), continuations, requests: vec![0, 1, 2] };
    let forced = job.ask(client, &found_llama()).unwrap();
    let echoed = job.ask(&other.client, &found(false)).unwrap();
    assert_eq!(forced.len(), 3);
    for (a, b) in forced.iter().zip(&echoed) {
        assert!((a.logprob - b.logprob).abs() < OF_LLAMA_SERVER && a.is_greedy == b.is_greedy, "{a:?} {b:?}");
    }
    // Of several tokens each is forced after those before it.
    let prompts = other.all["exchanges"].as_array().unwrap().iter().filter(|one| one["body"]["echo"] == true);
    let answered = prompts.filter(|one| one["status"] == 200).map(|one| ids(&one["body"]["prompt"]));
    let continuation = answered.max_by_key(Vec::len).unwrap()[context.len()..].to_vec();
    let tokens = continuation.len() as f64;
    let job = Job { context, continuations: vec![continuation], requests: vec![0] };
    let (forced, echoed) =
        (job.ask(client, &found_llama()).unwrap()[0], job.ask(&other.client, &found(false)).unwrap()[0]);
    let apart = (forced.logprob - echoed.logprob).abs();
    assert!(tokens > 3.0 && apart < OF_LLAMA_SERVER * tokens, "{forced:?} {echoed:?}");
    assert_eq!(forced.is_greedy, echoed.is_greedy);
}

#[test]
fn llama_server_s_texts_are_its_ids_and_its_refusals_its_words() {
    let Recorded { all, client, .. } = &recorded(LLAMA_SERVER);
    let exchanges = all["exchanges"].as_array().unwrap();
    let asked = |most: u64| {
        let mut all = exchanges.iter();
        all.find(|one| one["body"]["n_predict"] == most && one["body"]["n_probs"].is_null()).unwrap()
    };
    // A vocabulary of the same size that says of each token which one it is.
    let vocabulary: serde_json::Map<String, Value> =
        (0..49_152).map(|id| (format!("<{id}>"), id.into())).collect();
    let place = Place::new(&[]);
    let file = place.path("numbers/tokenizer.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let model = json!({"type": "BPE", "vocab": vocabulary, "merges": []});
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let tokenizer = json!({"model": model, "pre_tokenizer": bytes, "decoder": bytes});
    std::fs::write(&file, tokenizer.to_string()).unwrap();
    let tokenizer = Tokenizer::from_folder(file.parent().unwrap()).unwrap();
    let write = |most: u64, ends: &[u32]| {
        let prompt = ids(&asked(most)["body"]["prompt"]).into();
        let job = WriteJob {
            prompt,
            most: most as usize,
            ends: ends.into(),
            stops: [].into(),
            sampling: None,
            stream: 0,
        };
        job.ask(client, &found_llama(), &tokenizer).unwrap()
    };
    let said = |ids: &[u32]| ids.iter().map(|id| format!("<{id}>")).collect::<String>();
    let three = ids(&asked(3)["answer"]["tokens"]);
    let written = write(3, &[]);
    assert_eq!((written.tokens, written.text, three.len()), (3, said(&three), 3));
    // The model's own end of a turn is the last id, and no text.
    let turn = ids(&asked(40)["answer"]["tokens"]);
    let (end, before) = turn.split_last().unwrap();
    let written = write(40, &[*end]);
    assert_eq!((asked(40)["answer"]["stop_type"].as_str(), written.text), (Some("eos"), said(before)));

    let one = |context: Vec<u32>, id: u32| Job { context, continuations: vec![vec![id]], requests: vec![0] };
    let long = one(vec![7; 2048], 7).ask(client, &found_llama()).unwrap_err();
    assert!(
        long.is_of_request() && long.to_string().contains("exceeds the available context size"),
        "{long}"
    );
    let unknown = one(vec![1 << 20], 7).ask(client, &found_llama()).unwrap_err();
    assert!(unknown.is_of_request() && unknown.to_string().contains("invalid tokens"), "{unknown}");
}
