//! A real vLLM of SmolLM2 in f32 against the run of this machine: log-likelihoods within 1e-3, the same greedy flags, the same metrics.
//!
//! `ZOO_VLLM` is the server's address (`http://127.0.0.1:8000`), `ZOO_VLLM_MODEL` the folder that it serves; it has 2048 positions. The
//! data is that of the shared reference folder: `ZOO_SHARED`, or `shared` beside the checkout. Start it as
//! `vllm serve FOLDER --dtype float32 --max-model-len 2048`.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::served::samples;
use crate::support::shared::{named, shared};
use crate::support::tiny::{command, stderr};

/// Log-likelihoods of one continuation in f32 on two machines.
const TOLERANCE: f64 = 1e-3;
/// The same of a whole text, whose windows have two thousand tokens each.
const TOLERANCE_OF_TEXTS: f64 = 2e-2;

/// What is asked: tasks, and flags.
const ASKED: [(&str, &[&str]); 4] = [
    ("arc_easy,hellaswag,lambada_openai", &["--limit", "50"]),
    ("mmlu_abstract_algebra,mmlu_anatomy", &["--limit", "50", "--num-fewshot", "5"]),
    ("wikitext", &["--limit", "8"]),
    ("gsm8k", &["--limit", "20", "--gen-kwargs", "max_gen_toks=96"]),
];

fn eval(model: &str, data: &Path, out: &Path, suite: &str, extra: &[&str]) -> Output {
    let own = ["eval", model, "--suite", suite, "--max-length", "2046", "--data-dir", data.to_str().unwrap()];
    let output = command(&[&own[..], &["--out", out.to_str().unwrap()], extra].concat()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

#[test]
#[ignore = "needs a vLLM, see ZOO_VLLM"]
fn a_real_server_answers_as_it_does_here() {
    let (Some(server), Some(folder)) = (named("ZOO_VLLM"), named("ZOO_VLLM_MODEL")) else { return };
    let Some(data) = shared().map(|shared| shared.join("hub")) else { return };
    let place = tempfile::tempdir().unwrap();
    let folder = folder.to_str().unwrap();
    for (number, (suite, extra)) in ASKED.into_iter().enumerate() {
        let [local, remote] = ["local", "remote"].map(|name| place.path().join(format!("{name}-{number}")));
        let address = format!("remote:{}", server.display());
        let asked = eval(
            &address,
            &data,
            &remote,
            suite,
            &[extra, &["--tokenizer", folder, "--dtype", "float32"]].concat(),
        );
        eval(folder, &data, &local, suite, extra);
        eprintln!(
            "{suite}: {}",
            stderr(&asked)
                .lines()
                .filter(|line| line.contains("served") || line.contains("asked"))
                .collect::<Vec<_>>()
                .join("\n")
        );
        compare(&local, &remote);
    }
}

fn compare(local: &Path, remote: &Path) {
    let (local, remote) = (samples(local), samples(remote));
    assert_eq!(local.keys().collect::<Vec<_>>(), remote.keys().collect::<Vec<_>>());
    for (task, lines) in &local {
        let (mut most, mut choices, mut flags, mut metrics, mut texts) = (0.0f64, 0, 0, 0, 0);
        assert_eq!(lines.len(), remote[task].len());
        for (own, other) in lines.iter().zip(&remote[task]) {
            let of = |line: &Value| line["choices"].as_array().cloned().unwrap_or_default();
            for (a, b) in of(own).iter().zip(&of(other)) {
                most = most.max((a["logprob"].as_f64().unwrap() - b["logprob"].as_f64().unwrap()).abs());
                choices += 1;
                flags += usize::from(a["is_greedy"] != b["is_greedy"]);
                assert_eq!(a["tokens"], b["tokens"]);
            }
            assert_eq!(own["prompt_sha256"], other["prompt_sha256"]);
            texts += usize::from(own["text"] != other["text"]);
            let close = |(key, a): (&String, &Value)| match (a.as_f64(), other["metrics"][key].as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-9,
                _ => *a == other["metrics"][key],
            };
            metrics += own["metrics"].as_object().into_iter().flatten().filter(|pair| !close(*pair)).count();
        }
        eprintln!(
            "{task}: {} documents, {choices} choices, largest difference {most:.2e}; other flags {flags}, metrics {metrics}, texts {texts}",
            lines.len()
        );
        let tolerance = if task.starts_with("wikitext") { TOLERANCE_OF_TEXTS } else { TOLERANCE };
        assert!(most <= tolerance && flags == 0 && metrics == 0 && texts == 0, "{task}");
    }
}
