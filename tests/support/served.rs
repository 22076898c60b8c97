//! A server of a model, as vLLM and llama-server answer: it computes real numbers with the tiny model, so that a whole run against it
//! can be held against one on this machine. What it says and refuses is what was seen of the real servers.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use zoo::kernels::{self, Precision};
use zoo::model::{Checkpoint, Kept, Network, Residence, Wave, unwatched};
use zoo::tokenizer::{AddSpecials, Tokenizer};

use super::hub::{Answer, Request, Server, serve_on};

/// Positions of the served model.
pub const POSITIONS: usize = 2048;
/// What stops of one request vLLM takes.
const STOPS: usize = 4;

/// What answers.
pub struct Served {
    network: Network,
    tokenizer: Tokenizer,
}

impl Served {
    /// The model in a folder.
    pub fn open(folder: &Path) -> Arc<Self> {
        let matmul = kernels::by_name("portable", Precision::Exact).unwrap();
        let network = Checkpoint::open(folder).unwrap().load(matmul, Residence::Memory).unwrap();
        Arc::new(Self { network, tokenizer: Tokenizer::from_folder(folder).unwrap() })
    }

    /// Log-probabilities of every token at every place: of what follows each prefix of `ids`.
    fn rows(&self, ids: &[u32]) -> Vec<Vec<f64>> {
        let hidden = self.network.forward(&Wave::sequence(ids), Kept::All, &mut unwatched).unwrap();
        let logits = self.network.logits(hidden.view());
        let row = |row: ndarray::ArrayView1<'_, f32>| {
            let most = row.iter().fold(f64::MIN, |most, logit| most.max(f64::from(*logit)));
            let sum: f64 = row.iter().map(|logit| (f64::from(*logit) - most).exp()).sum();
            let value = |logit: &f32| f64::from((f64::from(*logit) - most - sum.ln()) as f32);
            row.iter().map(value).collect()
        };
        logits.rows().into_iter().map(row).collect()
    }

    fn next(&self, ids: &[u32]) -> Vec<f64> {
        self.rows(ids).pop().unwrap()
    }

    /// Writes greedily; gives ids, text up to a stop, the stop, and why it ends.
    fn write(
        &self,
        prompt: &[u32],
        most: usize,
        stops: &[String],
    ) -> (Vec<u32>, String, Option<String>, &'static str) {
        let mut all = prompt.to_vec();
        let text = |all: &[u32]| self.tokenizer.decode_without_specials(&all[prompt.len()..]).unwrap();
        while all.len() - prompt.len() < most {
            let (best, _) = best(&self.next(&all));
            all.push(best);
            if self.tokenizer.ends().contains(&best) {
                return (all[prompt.len()..].to_vec(), text(&all), None, "stop");
            }
            let written = text(&all);
            let found = stops.iter().filter_map(|stop| Some((written.find(stop.as_str())?, stop))).min();
            if let Some((at, stop)) = found {
                return (all[prompt.len()..].to_vec(), written[..at].to_owned(), Some(stop.clone()), "stop");
            }
        }
        (all[prompt.len()..].to_vec(), text(&all), None, "length")
    }

    /// What vLLM answers.
    pub fn vllm(&self, request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match request.path.as_str() {
            "/v1/models" => answer(&json!({"object": "list", "data": [
                {"id": "tiny", "owned_by": "vllm", "root": "/models/tiny", "max_model_len": POSITIONS}]})),
            "/version" => answer(&json!({"version": "0.32.0"})),
            "/tokenize" => {
                let text = match body["messages"].as_array() {
                    Some(messages) => conversation(messages, body["add_generation_prompt"] == true),
                    None => body["prompt"].as_str().unwrap().to_owned(),
                };
                let ids = self.tokenizer.encode(&text, AddSpecials::None).unwrap();
                answer(&json!({"count": ids.len(), "max_model_len": POSITIONS, "tokens": ids}))
            }
            "/v1/completions" => self.completion(&body),
            _ => Answer::new(404, r#"{"detail":"Not Found"}"#),
        }
    }

    fn completion(&self, body: &Value) -> Answer {
        let prompt = ids(&body["prompt"]);
        let most = body["max_tokens"].as_u64().unwrap() as usize;
        let stops: Vec<String> = serde_json::from_value(body["stop"].clone()).unwrap_or_default();
        if body["model"] != "tiny" {
            return refused(404, "The model does not exist.");
        }
        if prompt.len() >= POSITIONS {
            return refused(400, "This model's maximum context length is 2048 tokens.");
        }
        if stops.len() > STOPS {
            return refused(400, "at most 4 stop sequences are allowed");
        }
        let most = most.min(POSITIONS - prompt.len());
        let (written, text, stop, reason) = self.write(&prompt, most, &stops);
        let mut choice =
            json!({"index": 0, "text": text, "finish_reason": reason, "stop_reason": stop, "logprobs": null});
        if body["return_token_ids"] == true {
            choice["token_ids"] = json!(written);
        }
        if body["logprobs"] == 1 {
            choice["logprobs"] = self.logprobs(&prompt, written[0], body);
        }
        answer(&json!({
            "object": "text_completion", "model": "tiny", "choices": [choice], "system_fingerprint": "vllm-0.32.0-mock",
            "usage": {"prompt_tokens": prompt.len(), "completion_tokens": written.len()},
        }))
    }

    fn logprobs(&self, prompt: &[u32], written: u32, body: &Value) -> Value {
        let echo = body["echo"] == true;
        let all: Vec<u32> = prompt.iter().copied().chain([written]).collect();
        let rows = self.rows(prompt);
        let mut lists = [Vec::new(), Vec::new(), Vec::new()];
        let mut add = |id: u32, row: Option<&Vec<f64>>, more: &[u32]| {
            lists[0].push(json!(named(id)));
            lists[1].push(json!(row.map(|row| row[id as usize])));
            let top = row.map(|row| {
                let shown = [id].into_iter().chain(more.iter().copied());
                shown.map(|id| (named(id), json!(row[id as usize]))).collect::<Map<_, _>>()
            });
            lists[2].push(json!(top));
        };
        if echo {
            add(all[0], None, &[]);
            for (at, row) in rows.iter().enumerate() {
                add(all[at + 1], Some(row), &[best(row).0]);
            }
        } else {
            let chosen = if body["logprob_token_ids"].is_null() {
                Vec::new()
            } else {
                ids(&body["logprob_token_ids"])
            };
            add(written, rows.last(), &chosen);
        }
        let [tokens, values, top] = lists;
        json!({"tokens": tokens, "token_logprobs": values, "top_logprobs": top})
    }

    /// What llama-server answers.
    pub fn llama_server(&self, request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match request.path.as_str() {
            "/v1/models" => answer(&json!({"data": [{"id": "tiny", "owned_by": "llamacpp",
                "meta": {"n_ctx": POSITIONS, "n_vocab": 258, "ftype": "F32"}}]})),
            "/props" => answer(&json!({"build_info": "b11434", "total_slots": 2})),
            "/tokenize" => {
                let text = body["content"].as_str().unwrap_or_default();
                answer(&json!({"tokens": self.tokenizer.encode(text, AddSpecials::None).unwrap()}))
            }
            "/completion" => {
                let prompt = ids(&body["prompt"]);
                if prompt.len() >= POSITIONS {
                    return refused(400, "the request exceeds the available context size");
                }
                let row = self.next(&prompt);
                let (top, _) = best(&row);
                let stops: Vec<String> = serde_json::from_value(body["stop"].clone()).unwrap_or_default();
                let most = body["n_predict"].as_u64().unwrap() as usize;
                let forced = body["logit_bias"][0][0].as_u64().map(|id| id as u32);
                let (mut written, text, stop, reason) = match forced {
                    Some(id) => (vec![id], String::new(), None, "length"),
                    None => self.write(&prompt, most, &stops),
                };
                if stop.is_none() && reason == "stop" {
                    written.pop();
                }
                let stop_type = match (&stop, reason) {
                    (Some(_), _) => "word",
                    (None, "stop") => "eos",
                    _ => "limit",
                };
                let own = forced.unwrap_or(top);
                let mut most_probable: Vec<u32> = (0..row.len() as u32).filter(|id| *id != top).collect();
                most_probable.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]));
                let shown = [top]
                    .into_iter()
                    .chain(most_probable)
                    .take(body["n_probs"].as_u64().unwrap_or(1) as usize);
                let shown: Vec<Value> =
                    shown.map(|id| json!({"id": id, "logprob": row[id as usize]})).collect();
                let mut probabilities = vec![
                    json!({"id": own, "token": "", "logprob": row[own as usize], "top_logprobs": shown}),
                ];
                // What is no whole character is kept back, and nothing is said of it.
                if self.tokenizer.decode(&[own]).unwrap().contains('\u{fffd}') {
                    probabilities.clear();
                }
                answer(&json!({
                    "model": "tiny", "content": text, "tokens": written, "stop_type": stop_type, "truncated": false,
                    "completion_probabilities": probabilities,
                }))
            }
            _ => Answer::new(404, r#"{"error":{"code":404,"message":"File Not Found"}}"#),
        }
    }

    /// A server that answers as vLLM does.
    pub fn start(self: &Arc<Self>) -> Server {
        let served = Arc::clone(self);
        Server::start(move |request| served.vllm(request))
    }

    /// The same, but for the completions, by number from 0, that `fault` answers otherwise. The probe's are among them.
    pub fn start_with(
        self: &Arc<Self>,
        fault: impl Fn(usize, &Value) -> Option<Answer> + Send + Sync + 'static,
    ) -> Server {
        let served = Arc::clone(self);
        let number = AtomicUsize::new(0);
        Server::start(move |request| {
            if request.path != "/v1/completions" {
                return served.vllm(request);
            }
            let body = serde_json::from_slice(&request.body).unwrap();
            let number = number.fetch_add(1, Ordering::SeqCst);
            fault(number, &body).unwrap_or_else(|| served.vllm(request))
        })
    }
}

/// The template of the server, as a checkpoint's.
pub const TEMPLATE: &str = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}\
                            {% if add_generation_prompt %}[assistant] {% endif %}";

/// What it writes.
fn conversation(messages: &[Value], asks: bool) -> String {
    let text = |key: &str, message: &Value| message[key].as_str().unwrap().to_owned();
    let all = messages.iter().map(|one| format!("[{}] {}\n", text("role", one), text("content", one)));
    all.collect::<String>() + if asks { "[assistant] " } else { "" }
}

/// An answer in JSON.
pub fn answer(value: &Value) -> Answer {
    Answer::new(200, value.to_string()).with("Content-Type", "application/json")
}

/// A refusal as servers word it.
pub fn refused(status: u16, message: &str) -> Answer {
    Answer::new(
        status,
        json!({"error": {"message": message, "type": "x", "param": null, "code": status}}).to_string(),
    )
}

fn named(id: u32) -> String {
    format!("token_id:{id}")
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// The most probable token, the first of equal ones.
fn best(row: &[f64]) -> (u32, f64) {
    let best = row.iter().enumerate().fold(
        (0, f64::MIN),
        |best, (id, value)| {
            if *value > best.1 { (id, *value) } else { best }
        },
    );
    (best.0 as u32, best.1)
}

/// What the samples of a run of one model say: for each document its choices or texts and its metrics.
pub fn samples(run: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut models = std::fs::read_dir(run.join("samples")).unwrap();
    let folder = models.next().unwrap().unwrap().path();
    assert!(models.next().is_none(), "{}: several models", run.display());
    std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), lines)
        })
        .collect()
}

/// The same behind TLS, with a certificate that no system knows (`tests/fixtures/remote`); gives its address.
pub fn start_tls(served: &Arc<Served>) -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    zoo::base::http::install_encryption();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/remote/");
    let own = CertificateDer::from_pem_file(format!("{folder}localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{folder}localhost.key")).unwrap();
    let config =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![own], key).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let served = Arc::clone(served);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, served) = (Arc::clone(&config), Arc::clone(&served));
            std::thread::spawn(move || {
                let session = rustls::ServerConnection::new(config).unwrap();
                let stream = rustls::StreamOwned::new(session, stream);
                let answer = move |request: &Request| served.vllm(request);
                serve_on(stream, &answer, &Mutex::default());
            });
        }
    });
    url
}
