//! Models that servers run: a whole run against a server that computes real numbers is the run of this machine, and whatever a
//! server does wrong is no number.

mod asked;
mod changed;
mod faults;
mod recorded;
mod same;
mod silent;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::hub::Server;
use crate::support::place::Place;
use crate::support::served::samples;
use crate::support::tiny::{command, stderr};

/// Log-likelihoods of a document on two machines of one arithmetic, whose sums have other orders.
const TOLERANCE: f64 = 1e-4;

/// A few tasks of each kind: choices of many tokens and of one, whole texts, texts that are written.
const KINDS: [(&str, &str); 4] = [
    (
        "letters",
        "output_type: multiple_choice\ndoc_to_choice: [\"A\", \"B\", \"C\"]\ndoc_to_target: \"{{a}}\"\n\
      target_delimiter: \"\"\nnum_fewshot: 2\n",
    ),
    (
        "words",
        "output_type: multiple_choice\ndoc_to_choice: [\"one two\", \"three\", \"B\"]\ndoc_to_target: \"{{a}}\"\n",
    ),
    ("whole", "output_type: loglikelihood_rolling\ndoc_to_target: \"{{q}}\"\n"),
    (
        "written",
        "output_type: generate_until\ndoc_to_target: \"{{q}}\"\nnum_fewshot: 1\n\
      generation_kwargs: {until: [\"\\n\\n\", \"xx\", \"e\", \"~~\", \"QQ\", \"@@\"], max_gen_toks: 24}\n",
    ),
];

/// A place with those tasks.
fn place() -> Place {
    let place = Place::new(&["--suite", "letters,words,whole,written"]);
    let rows: String = (0..12)
        .map(|n| {
            format!(
                "{{\"q\": \"Which is {n}, and what of {}?{}\", \"a\": {}}}\n",
                n * n,
                " It rains.".repeat(n),
                n % 3
            )
        })
        .collect();
    place.task("rows.jsonl", rows);
    for (name, kind) in KINDS {
        let question = if name == "whole" { "\"\"" } else { "\"Q: {{q}}\\nA:\"" };
        let metrics = match name {
            "whole" => "[{metric: word_perplexity}, {metric: bits_per_byte}]",
            "written" => "[{metric: exact_match}]",
            _ => "[{metric: acc}, {metric: acc_norm}]",
        };
        place.task(
            &format!("{name}.yaml"),
            format!(
                "task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: rows.jsonl}}}}\ntest_split: test\n\
                 fewshot_split: test\nfewshot_config: {{sampler: first_n}}\ndoc_to_text: {question}\nmetric_list: {metrics}\n{kind}"
            ),
        );
    }
    place
}

/// Runs the served model.
fn served(place: &Place, server: &Server, out: &str, extra: &[&str]) -> Output {
    command_for(place, server, out, extra).output().unwrap()
}

/// The command that does it; without a suite in `extra` all of them.
fn command_for(place: &Place, server: &Server, out: &str, extra: &[&str]) -> Command {
    let address = format!("remote:{}", server.url);
    let (tokenizer, tasks, out) = (place.text("tiny"), place.text("tasks"), place.text(out));
    let own = ["eval", &address, "--tokenizer", &tokenizer, "--include-path", &tasks, "--out", &out];
    let all: &[&str] =
        if extra.contains(&"--suite") { &[] } else { &["--suite", "letters,words,whole,written"] };
    let mut command = command(&[&own[..], all, extra].concat());
    command.env_remove("OPENAI_API_KEY");
    command
}

fn assert_same(local: &Path, remote: &Path) {
    let (local, remote) = (samples(local), samples(remote));
    assert_eq!(local.keys().collect::<Vec<_>>(), remote.keys().collect::<Vec<_>>());
    let mut compared = 0;
    for (task, lines) in &local {
        assert_eq!(lines.len(), remote[task].len());
        for (own, other) in lines.iter().zip(&remote[task]) {
            let choices = |line: &Value| line["choices"].as_array().cloned().unwrap_or_default();
            assert_eq!(choices(own).len(), choices(other).len());
            for (a, b) in choices(own).iter().zip(&choices(other)) {
                let far = (a["logprob"].as_f64().unwrap() - b["logprob"].as_f64().unwrap()).abs();
                assert!(far <= TOLERANCE, "{task}: {a} and {b}");
                for key in ["is_greedy", "n_tokens", "tokens"] {
                    assert_eq!(a[key], b[key], "{task}, {key}");
                }
                compared += 1;
            }
            assert_eq!((&own["text"], &own["filtered"]), (&other["text"], &other["filtered"]), "{task}");
            compared += usize::from(own["text"].is_string());
            assert_eq!(own["prompt_sha256"], other["prompt_sha256"]);
        }
    }
    assert!(compared > 30, "{compared}");
}

fn is_well(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}
