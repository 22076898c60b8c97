//! Templates, task files, cards, listings, and what runs write.

use std::fs;

use serde_json::{Value, json};

use super::Seeds;
use crate::engine::{Score, ScoreJournal as _, ScoreRequest};
use crate::fuzzing::foreign::identity;
use crate::records::Ledger;

/// Texts as they are.
fn texts(all: &[(&'static str, &str)]) -> Seeds {
    all.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect()
}

/// A chain of so many links.
fn chain(before: &str, link: &str, after: &str) -> Vec<u8> {
    format!("{before}{}{after}", link.repeat(600)).into_bytes()
}

const CHAT: &str = "{% for message in messages %}{% if message['role'] == 'user' %}{{ '<|user|>\n' + message['content'].strip() }}\
    {% else %}{{ message.content|trim ~ eos_token }}{% endif %}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";
const NAMESPACE: &str = "{% set ns = namespace(found=false, l=[]) %}{% for m in messages[1:] if m.role != 'x' %}\
    {% set ns.found = loop.last and (m.content | length > 2) %}{% set ns.l = ns.l + [m.role] %}{% endfor %}\
    {{ ns.found }}{{ ns.l|join(', ')|upper }}{{ messages[-1].content }}{{ messages|map(attribute='content')|list|tojson }}";

pub(super) fn chats() -> Seeds {
    let mut seeds = texts(&[
        ("good-plain", CHAT),
        ("good-namespace", NAMESPACE),
        (
            "good-macro",
            "{% macro m(a, b=1) %}{{ a.content }}{{ b }}{% endmacro %}{% for x in messages %}{{ m(x) }}{% endfor %}",
        ),
        ("bad-refuses", "{{ raise_exception('no\u{1b}[2J') }}"),
        (
            "bad-doubles",
            "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        ),
        ("bad-wide", "{{ '{:>2000000000}'.format('x') }}"),
        ("bad-itself", "{% set a = namespace() %}{% set a.x = a %}{{ a == a.x }}"),
        ("bad-open", "{% for m in messages %}"),
    ]);
    seeds.push(("bad-chain", chain("{{ ", "not ", "1 }}")));
    seeds
}

pub(super) fn templates() -> Seeds {
    let mut seeds = texts(&[
        (
            "good-question",
            "Question: {{question}}\n{% for c in choices %}{{ 'AB'[loop.index0] }}. {{ c|trim }}\n{% endfor %}Answer:",
        ),
        (
            "good-list",
            "{{ choices[::-1] + ['x'] * 2 }}{{ choices|length }}{{ map.a[0] + answer }}{{ x ~ none }}",
        ),
        (
            "good-methods",
            "{{ question.replace('1', '2').split(' ')[0].upper() }}{{ '{:.3f}|{:>5}'.format(x, answer) }}",
        ),
        ("good-regex", "{{ question|regex_replace('[0-9]+', '<\\\\g<0>>') }}"),
        ("bad-undefined", "{{ nothing }}"),
        ("bad-repeated", "{{ 'x' * 20000000 }}"),
        ("bad-loop", "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}"),
        ("bad-tag", "{% import 'os' as os %}"),
    ]);
    seeds.push(("bad-chain", chain("{{ 1", " if 1 else 1", " }}")));
    seeds
}

/// A task of choices.
const TASK: &str = "task: mine\ntag: [a, b]\noutput_type: multiple_choice\ndataset_path: json\ndataset_kwargs:\n  \
    data_files: {test: x.jsonl}\ntest_split: test\ndoc_to_text: \"{{q}}\"\ndoc_to_choice: [a, b]\ndoc_to_target: 0\nmetric_list:\n  \
    - metric: acc\n    aggregation: mean\n    higher_is_better: true\nmetadata:\n  version: 1.0\n";
/// A task that writes.
const WRITES: &str = "task: writes\noutput_type: generate_until\ndataset_path: org/name\ntest_split: test\ndoc_to_text: q\n\
    doc_to_target: a\ngeneration_kwargs: {until: [\"\\n\"], max_gen_toks: 5}\nfilter_list:\n  - name: first\n    filter:\n      \
    - function: regex\n        regex_pattern: '(\\d+)'\n      - function: take_first\nmetric_list: [{metric: exact_match}]\n";

pub(super) fn tasks() -> Seeds {
    let mut seeds = texts(&[
        ("good-choices", TASK),
        ("good-writes", WRITES),
        (
            "good-group",
            "group: both\ntask: [a, b]\naggregate_metric_list:\n  - metric: acc\n    weight_by_size: true\n",
        ),
        ("bad-list", "- a\n- b\n"),
        ("bad-none", "include: other\n"),
        ("bad-cut", "task: mine\nmetric_list: [\n"),
    ]);
    seeds.push(("bad-key", TASK.replace("doc_to_text", "doc_to_txt").into_bytes()));
    seeds.push(("bad-type", TASK.replace("multiple_choice", "\"\\e[2J\"").into_bytes()));
    seeds.push(("bad-depth", ("task: mine\nmetadata: ".to_owned() + &"[".repeat(2000)).into_bytes()));
    seeds
}

/// The ledger of a model after two answers.
fn written(weights: &str) -> Vec<u8> {
    let run = tempfile::tempdir().unwrap();
    let identity = crate::records::Identity { weights_sha256: weights.repeat(64), ..identity() };
    let mut ledger = Ledger::open(run.path(), "tiny", identity, 64).unwrap();
    for token in 1..3 {
        let request = ScoreRequest { context: vec![1].into(), continuation: vec![token] };
        ledger.record(&[(&request, Score { logprob: -f64::from(token), is_greedy: false })]).unwrap();
    }
    drop(ledger);
    let file = fs::read_dir(run.path().join("ledger")).unwrap().next().unwrap().unwrap().path();
    fs::read(file).unwrap()
}

pub(super) fn ledgers() -> Seeds {
    let good = written("w");
    let text = String::from_utf8(good.clone()).unwrap();
    let mut seeds = texts(&[
        ("good-empty", ""),
        ("good-lines", "a\nb\tc\n\n"),
        ("good-controls", "\u{1b}[2J\t\u{0}\n\u{202e}\n"),
        ("good-twice", &text.repeat(2)),
        ("good-changed", &text.replace("-1.0", "1.0")),
        ("good-cut", &text[..text.len() - 9]),
    ]);
    seeds.push(("good-two", good));
    seeds.push(("good-bytes", vec![0xff, b'\n', 0xfe, b'\n']));
    seeds.push(("bad-other", written("x")));
    seeds
}

pub(super) fn samples() -> Seeds {
    let header = json!({
        "kind": "header", "model": "tiny", "weights_sha256": "", "task": "mine", "num_fewshot": 0, "output_type": "multiple_choice",
        "n": 1, "metrics": {"acc,none": 1.0}
    });
    let choice = json!({"text": " a", "logprob": -1.5, "is_greedy": true, "n_tokens": 1, "tokens": [5]});
    let line = json!({
        "doc_id": 0, "prompt_sha256": "0", "n_prompt_tokens": 3, "truncated": false, "choices": [choice], "target": 0,
        "metrics": {"acc,none": 1.0}
    });
    let file = |lines: &[&Value]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (good, alone) = (file(&[&header, &line]), file(&[&header]));
    texts(&[
        ("good-line", &good),
        ("good-header", &alone),
        ("good-high", &good.replace("-1.5", "1e300")),
        ("bad-empty", ""),
        ("bad-lines-first", &file(&[&line, &header])),
        ("bad-infinite", &good.replace("-1.5", "1e999")),
        ("bad-cut", &good[..good.len() - 20]),
        ("bad-controls", &good.replace("header", "\u{1b}[2J")),
        ("bad-depth", &(alone.clone() + &"[".repeat(400))),
    ])
}

pub(super) fn runs() -> Seeds {
    let run = "zoo: 0.1.0\nstarted: 2023-07-18T00:00:00Z\nseconds: 1.5\nprotocol: lm-eval\nfewshot_seed: 1234\noverlong: truncated\n\
               cpu: some\nthreads: 2\nsuites: [mine]\nmodels: []\ntasks:\n- task: mine\n  num_fewshot: 0\n  documents: 2\n  of: 3\n  \
               data_sha256: '0'\n";
    let changed = |from: &str, to: &str| run.replace(from, to);
    texts(&[
        ("good-plain", run),
        ("good-findings", &(run.to_owned() + "findings: ['a: b']\nmissing_data: []\n")),
        ("good-none", &changed("suites: [mine]", "suites: []")),
        ("bad-empty", ""),
        ("bad-number", &changed("1.5", "soon")),
        ("bad-list", &changed("models: []", "models: [\n")),
        ("bad-seed", &changed("1234", "-1")),
        ("bad-depth", &changed("models: []", &("models: ".to_owned() + &"{a: ".repeat(1000)))),
    ])
}

pub(super) fn listings() -> Seeds {
    let file = |path: &str| json!({"type": "file", "path": path, "size": 3, "oid": "x", "lfs": {"oid": "a".repeat(64), "size": 3}});
    let one = |path: &str| json!([file(path)]).to_string();
    let git = json!([{"type": "file", "path": "a", "size": 3, "oid": "b".repeat(40)}]).to_string();
    texts(&[
        (
            "good-files",
            &json!([file("config.json"), file("x/y.bin"), {"type": "directory", "path": "../x"}]).to_string(),
        ),
        ("good-git", &git),
        ("good-empty", "[]"),
        ("bad-above", &one("../x")),
        ("bad-absolute", &one("/etc/passwd")),
        ("bad-controls", &one("a\u{1b}[2J\0")),
        ("bad-digest", &git.replace("bbbb", "b")),
        ("bad-size", &git.replace('3', "-3")),
        ("bad-page", "<html>"),
    ])
}

pub(super) fn cards() -> Seeds {
    let card = "id: tiny\nname: Tiny\naliases: [small]\nfamily: llama\nlicense: MIT\nrelease: {kind: full, format: safetensors, dtype: fp32}\n\
                sources:\n  - hub: {repo: org/tiny}\n";
    let changed = |from: &str, to: &str| card.replace(from, to);
    texts(&[
        ("good-hub", card),
        ("good-alias", &changed("[small]", "[small, smaller]")),
        ("good-path", &changed("hub: {repo: org/tiny}", "path: model")),
        ("bad-empty", ""),
        ("bad-key", &changed("license", "licence")),
        ("bad-repo", &changed("org/tiny", "../tiny")),
        ("bad-kind", &changed("full", "\"\\e[2J\"")),
        ("bad-depth", &(card.to_owned() + "notes: " + &"[".repeat(2000))),
        ("bad-cut", &card[..60]),
    ])
}

pub(super) fn shards() -> Seeds {
    let shard = "shard: 1/8\nmodels:\n- name: tiny\n  special_tokens: [[<unk>, 0], [</s>, 2], [<s>, 1]]\n  findings:\n  - task: mine\n    \
                 check: skipped\n    documents: 3\n    of: 9\n    first: [0, 4, 8]\n    cut: {bos: 0, description: 1, examples: 2, \
                 question: 3}\n";
    let settings = "zoo: 0.1.0\ncpu: some\noptions: {shard: 1/8, limit: 9}\nmodels:\n- name: tiny\n  weights_sha256: a\n  \
                    config_sha256: b\n  tokenizer_sha256: c\n  max_length: 64\n  matmul: native\ntasks:\n- task: mine\n  num_fewshot: \
                    0\n  documents: 9\n  data_sha256: d\n";
    let changed = |from: &str, to: &str| shard.replace(from, to);
    texts(&[
        ("good-shard", shard),
        ("good-none", "shard: 0/1\nmodels: []\n"),
        ("good-settings", settings),
        ("bad-empty", ""),
        ("bad-place", &changed("1/8", "8/8")),
        ("bad-many", &changed("1/8", "1/18446744073709551616")),
        ("bad-documents", &changed("documents: 3", "documents: 18446744073709551615")),
        ("bad-turn", &(shard.to_owned() + "    turn: 18446744073709551615\n")),
        ("bad-id", &changed("<s>, 1]", "<s>, -1]")),
        ("bad-check", &changed("skipped", "\"\\e[2J\"")),
        ("bad-depth", &changed("models:", &("models: ".to_owned() + &"[".repeat(1000)))),
        ("bad-key", &(settings.to_owned() + "later: 1\n")),
    ])
}
