//! `zoo build` on the released forms of the shared reference folder: every file of the result is that of the
//! reference tools, whatever form the base has, and what does not belong together leaves nothing behind.

use std::fs;
use std::path::Path;

use crate::support::shared::kit;
use crate::support::tiny::{stderr, zoo};
use serde_json::{Value, json};
use zoo::base::digest::sha256;
use zoo::store::Lock;
use zoo::weights;

/// Case, rule, and the parts with their names.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const CASES: [Case; 10] = [
    ("vicuna-v0", "vicuna_delta_v0", &[("delta", "vicuna-v0/delta")]),
    ("vicuna-v1.1", "vicuna_delta", &[("delta", "vicuna-v1.1/delta")]),
    ("alpaca", "alpaca_diff", &[("diff", "alpaca/wdiff")]),
    ("ziya", "ziya_delta", &[("delta", "ziya/delta")]),
    (
        "belle-xor",
        "belle_xor",
        &[("encrypted", "belle/enc"), ("key", "base/meta/2shard/consolidated.00.pth")],
    ),
    ("lora-qv-r8", "peft_lora", &[("adapter", "lora/qv-r8")]),
    ("lora-default-infix", "peft_lora", &[("adapter", "lora/qv-r8-default-infix")]),
    ("lora-rslora", "peft_lora", &[("adapter", "lora/rslora")]),
    ("lora-zh-llama-r16", "chinese_lora", &[("adapter", "lora/zh-llama-r16")]),
    (
        "lora-llama-plus-then-alpaca-plus",
        "chinese_lora",
        &[("adapter", "lora/zh-llama-plus"), ("adapter", "lora/zh-alpaca-plus")],
    ),
];

fn build(kit: &Path, rule: &str, parts: &[(&str, &str)], out: &Path) -> std::process::Output {
    let given = parts.iter().map(|(name, path)| format!("{name}={}", kit.join(path).display()));
    let mut args: Vec<String> = ["build", "--rule", rule, "--out"].map(str::to_owned).into();
    args.push(out.display().to_string());
    args.extend(given.flat_map(|given| ["--from".to_owned(), given]));
    zoo(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn config(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap()
}

/// The folder against `expected/CASE.json`: tensors, their digests in the lock, the tokenizer's files.
fn compare(expected: &Value, folder: &Path, what: &str) {
    let tensors = expected["tensors"].as_array().unwrap();
    let written = weights::open(folder).unwrap();
    assert_eq!(written.tensors().len(), tensors.len(), "{what}");
    let lock = Lock::read(folder).unwrap();
    for tensor in tensors {
        let name = tensor["name"].as_str().unwrap();
        let view = written.tensor(name).unwrap();
        let digest = sha256(&view.data);
        assert_eq!(json!(view.info.shape), tensor["shape"], "{what} {name}");
        assert_eq!(tensor["dtype"], view.info.dtype.name(), "{what} {name}");
        assert_eq!(tensor["sha256"], digest.as_str(), "{what} {name}");
        assert!(lock.tensors.iter().any(|t| t.name == name && t.sha256 == digest), "{what} {name}");
    }
    for (name, digest) in expected["tokenizer_files"].as_object().into_iter().flatten() {
        assert_eq!(*digest, sha256(fs::read(folder.join(name)).unwrap()).as_str(), "{what} {name}");
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn every_released_form_is_built_from_every_form_of_its_base() {
    let Some(kit) = kit() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (case, rule, parts) in CASES {
        let text = fs::read_to_string(kit.join(format!("expected/{case}.json"))).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let bases: &[Option<&str>] = match rule {
            "belle_xor" => &[None],
            _ => &[
                Some("base/hf-bin"),
                Some("base/hf-st-f16"),
                Some("base/meta/1shard"),
                Some("base/meta/2shard"),
            ],
        };
        for base in bases {
            let what = format!("{case} on {base:?}");
            let out = folder.path().join("out");
            let parts: Vec<_> =
                base.iter().map(|base| ("base", *base)).chain(parts.iter().copied()).collect();
            let output = build(&kit, rule, &parts, &out);
            assert!(output.status.success(), "{what}: {}", stderr(&output));
            compare(&expected, &out, &what);
            // An adapter leaves the base's configuration, and Meta's says less.
            if !(rule.ends_with("lora") && base.is_some_and(|base| base.contains("meta"))) {
                assert_eq!(config(&out), expected["config"], "{what}");
            }
            fs::remove_dir_all(&out).unwrap();
            // Nothing is left beside it, decrypted files included.
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{what}");
        }
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn what_does_not_belong_together_is_refused_before_anything_has_its_name() {
    let Some(kit) = kit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let refused = |rule: &str, parts: &[(&str, &str)], words: &[&str]| {
        let out = folder.path().join("out");
        let output = build(&kit, rule, parts, &out);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{parts:?}: {text}");
        assert!(text.contains("expected") && text.contains("found"), "{parts:?}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "{parts:?}: {text}");
        assert!(!out.exists(), "{parts:?}");
        let _ = fs::remove_dir_all(folder.path().join(".out.zoo-partial"));
    };
    let base = ("base", "base/hf-bin");
    let encrypted = ("encrypted", "belle/enc");
    // Another file of the right model; a file that was changed.
    refused("belle_xor", &[("key", "base/meta/1shard/consolidated.00.pth"), encrypted], &["key"]);
    let key = ("key", "base/meta/2shard/consolidated.00.pth");
    refused("belle_xor", &[key, ("encrypted", "belle/enc-corrupt")], &["enc-corrupt"]);
    // Rules that are not those of the files.
    refused("vicuna_delta", &[base, ("delta", "vicuna-v0/delta")], &["513"]);
    refused("vicuna_delta", &[base, ("delta", "base/hf-bin")], &[]);
    // The adapters in the wrong order.
    let (first, second) = (("adapter", "lora/zh-llama-plus"), ("adapter", "lora/zh-alpaca-plus"));
    refused("chinese_lora", &[base, second, first], &["rows"]);
    let text = fs::read_to_string(kit.join("expected/lora-broken.json")).unwrap();
    let broken: Value = serde_json::from_str(&text).unwrap();
    for case in broken["adapters"].as_array().unwrap() {
        let path = case["adapter"].as_str().unwrap();
        // An adapter of zeros changes nothing, which is said and no error.
        if !path.ends_with("zero-b") {
            refused("peft_lora", &[base, ("adapter", path)], &[]);
        }
    }
}
