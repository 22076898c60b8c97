//! Real servers of SmolLM2-135M-Instruct against the run of this machine in f32: vLLM in f32 and in bf16, and llama-server on the GGUF of
//! f32.
//!
//! `tests/acceptance/elsewhere/served.sh` starts each of them, asks for its tests, and stops it; `docs/servers.md` has what came of it.
//! `ZOO_SERVED` is the server's address, `ZOO_SERVED_MODEL` the folder of the model in f32, `ZOO_SERVED_RUNS` a folder that keeps the
//! runs. The data is that of the shared reference folder: `ZOO_SHARED`, or `shared` beside the checkout.

mod compared;

use std::path::PathBuf;

use compared::{Compared, table};

use crate::support::shared::{named, shared};
use crate::support::tiny::{command, stderr};

/// Log-likelihoods of one continuation in f32 on two machines.
const IN_F32: f64 = 1e-3;
/// The same of a whole text, for each of its thousands of tokens: PyTorch sums probabilities in f32 (`docs/servers.md`).
const OF_A_TOKEN: f64 = 2e-5;
/// The same of llama-server, for each token of continuations and texts: its probabilities are too high by that, since they are parts of
/// a sum in f32 that goes over the vocabulary one after the other.
const OF_LLAMA_SERVER: f64 = 2e-4;
/// The same in bf16, whose numbers depend on what else is in the batch; a choice whose lead is larger stays the same.
const IN_BF16: f64 = 1.0;
/// Their mean.
const MEAN_IN_BF16: f64 = 0.2;
/// What a token adds to that in continuations of many.
const IN_BF16_A_TOKEN: f64 = 0.06;

/// What is asked on this machine, in parts, with how it is asked everywhere.
const PARTS: [(&str, &str, &[&str]); 4] = [
    ("arc_easy,hellaswag,lambada_openai", "50", &[]),
    ("mmlu_abstract_algebra,mmlu_anatomy", "50", &["--num-fewshot", "5"]),
    ("wikitext", "50", &[]),
    ("gsm8k", "50", &["--gen-kwargs", "max_gen_toks=96"]),
];

/// A server, and where its runs and those of this machine are.
struct Place {
    server: String,
    model: String,
    data: PathBuf,
    /// Of what this machine answers, which is computed once for all servers.
    here: PathBuf,
    own: tempfile::TempDir,
}

impl Place {
    /// `None` if the user opted out.
    fn find() -> Option<Self> {
        let (server, model) = (named("ZOO_SERVED")?, named("ZOO_SERVED_MODEL")?);
        let data = shared()?.join("hub");
        let own = tempfile::tempdir().unwrap();
        let here = std::env::var_os("ZOO_SERVED_RUNS").map_or_else(|| own.path().to_owned(), PathBuf::from);
        let [server, model] = [server, model].map(|path| path.to_str().unwrap().to_owned());
        Some(Self { server, model, data, here, own })
    }

    /// Runs a model.
    fn eval(&self, model: &str, out: PathBuf, extra: &[&str]) -> PathBuf {
        let own = ["eval", model, "--max-length", "2046", "--data-dir", self.data.to_str().unwrap()];
        let output =
            command(&[&own[..], &["--out", out.to_str().unwrap()], extra].concat()).output().unwrap();
        assert!(output.status.success(), "{}: {}", out.display(), stderr(&output));
        out
    }

    /// Runs the model on this machine, or prints what is there of it.
    fn eval_here(&self, name: &str, extra: &[&str]) -> PathBuf {
        self.eval(&self.model, self.here.join(name), &[extra, &["--resume"]].concat())
    }

    /// Asks the server.
    fn ask(&self, name: &str, dtype: &str, extra: &[&str]) -> PathBuf {
        let asked = ["--tokenizer", &self.model, "--dtype", dtype];
        let address = format!("remote:{}", self.server);
        self.eval(&address, self.own.path().join(name), &[&asked, extra].concat())
    }

    /// What this machine answers to a part.
    fn local(&self, part: usize) -> PathBuf {
        let (suite, limit, extra) = PARTS[part];
        let asked = ["--suite", suite, "--limit", limit];
        self.eval_here(&part.to_string(), &[&asked, extra].concat())
    }

    /// What the server answers to the first documents of some tasks of a part.
    fn remote(&self, part: usize, dtype: &str, suite: &str, limit: &str) -> PathBuf {
        let asked = ["--suite", suite, "--limit", limit];
        let (first, _) = suite.split_once(',').unwrap_or((suite, ""));
        self.ask(&format!("of-server-{part}-{first}"), dtype, &[&asked, PARTS[part].2].concat())
    }

    /// Holds a server against this machine, part by part.
    fn hold(&self, server: (&str, &str), asked: &[(usize, &str, &str)]) -> Vec<Compared> {
        let one = |(part, suite, limit): &(usize, &str, &str)| {
            let remote = self.remote(*part, server.1, suite, limit);
            Compared::of(&self.local(*part), &remote)
        };
        let all: Vec<Compared> = asked.iter().flat_map(one).collect();
        eprintln!("{}", table(server.0, &all));
        all
    }
}

/// All parts, whole.
fn whole() -> Vec<(usize, &'static str, &'static str)> {
    PARTS.iter().enumerate().map(|(part, (suite, limit, _))| (part, *suite, *limit)).collect()
}

/// The same numbers, but for the order of sums in f32; so far for each token of continuations, and of whole texts, if that is more.
fn assert_same(all: &[Compared], of_a_token: [f64; 2]) {
    for one in all {
        let of_a_token = of_a_token[usize::from(one.task.starts_with("wikitext"))];
        for (apart, tokens) in &one.apart {
            let tolerance = IN_F32.max(of_a_token * *tokens as f64);
            assert!(*apart <= tolerance, "{}: {apart} apart in {tokens} tokens", one.task);
        }
        assert_eq!(one.flags, 0, "{}: greedy flags", one.task);
        assert!(one.texts.is_empty(), "{}: texts {:?}", one.task, one.texts);
        assert!(one.metrics_apart() <= IN_F32, "{}: {:?} and {:?}", one.task, one.metrics[0], one.metrics[1]);
        assert!(one.documents > 0 && one.continuations + one.written > 0, "{}", one.task);
    }
}

#[test]
#[ignore = "needs a vLLM in f32, see served.sh"]
fn vllm_float32_answers_as_it_does_here() {
    let Some(place) = Place::find() else { return };
    assert_same(&place.hold(("vllm-float32", "float32"), &whole()), [0.0, OF_A_TOKEN]);
}

#[test]
#[ignore = "needs a vLLM in f32, see served.sh"]
fn vllm_float32_writes_conversations_as_the_checkpoint_says() {
    let Some(place) = Place::find() else { return };
    let asked =
        ["--suite", "gsm8k", "--limit", "10", "--num-fewshot", "0", "--gen-kwargs", "max_gen_toks=96"];
    let theirs = [&asked[..], &["--apply-chat-template=server"]].concat();
    let remote = place.ask("of-server-chat", "float32", &theirs);
    let local = place.eval_here("chat", &[&asked[..], &["--apply-chat-template=checkpoint"]].concat());
    let all = Compared::of(&local, &remote);
    eprintln!("{}", table("vllm-float32, the server's template", &all));
    assert_same(&all, [0.0, OF_A_TOKEN]);
    assert_eq!((all.len(), all[0].written), (1, 10));
}

#[test]
#[ignore = "needs a vLLM in bf16, see served.sh"]
fn vllm_bfloat16_is_as_far_as_bf16_is() {
    let Some(place) = Place::find() else { return };
    let all = place.hold(("vllm-bfloat16", "bfloat16"), &whole());
    for one in all.iter().filter(|one| !one.task.starts_with("wikitext")) {
        for (apart, tokens) in &one.apart {
            let tolerance = IN_BF16.max(IN_BF16_A_TOKEN * *tokens as f64);
            assert!(*apart <= tolerance, "{}: {apart} apart in {tokens} tokens", one.task);
        }
        assert!(one.mean() <= MEAN_IN_BF16, "{}: {} apart in the mean", one.task, one.mean());
        assert!(one.lost_lead <= IN_BF16, "{}: a lead of {} is lost", one.task, one.lost_lead);
    }
    let far = all.iter().map(Compared::most).fold(0.0, f64::max);
    assert!(far > IN_F32, "{far}: that is f32");
}

#[test]
#[ignore = "needs a llama-server, see served.sh"]
fn llama_server_answers_as_it_does_here() {
    let Some(place) = Place::find() else { return };
    // A token is a request of its own.
    let asked = [
        (0, "arc_easy,lambada_openai", "50"),
        (0, "hellaswag", "10"),
        (1, "mmlu_abstract_algebra,mmlu_anatomy", "10"),
        (2, "wikitext", "1"),
        (3, "gsm8k", "10"),
    ];
    assert_same(&place.hold(("llama-server", "float32"), &asked), [OF_LLAMA_SERVER; 2]);
}
