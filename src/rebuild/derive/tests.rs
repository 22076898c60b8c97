//! The one entry: what it refuses, corrects and passes on.

use serde_json::json;

use super::*;
use crate::base::progress::Silent;
use crate::forms::SidecarContent;
use crate::forms::sample::{ROWS, tiny};
use crate::registry::Registry;

fn released() -> HfModel {
    let mut model = tiny().map(|_, i, _| (i % 3) as f32 / 1024.0).model("delta");
    let content = SidecarContent::Bytes(b"pieces".to_vec());
    model.sidecars.push(Sidecar { name: "tokenizer.model".into(), content });
    model
}

fn vicuna(base: HfModel, released: HfModel, facts: &Facts) -> Result<Derived, String> {
    derive(Rule::VicunaDelta, Parts::Difference { base, released }, facts, &Silent).map_err(|e| e.to_string())
}

#[test]
fn a_difference_brings_configuration_and_tokenizer() {
    let mut release = released();
    release.config.insert("rms_norm_eps".into(), json!(1e-5));
    let derived = vicuna(tiny().model("base"), release, &Facts::default()).unwrap();
    assert!(derived.warnings.is_empty(), "{:?}", derived.warnings);
    assert_eq!(derived.model.config["rms_norm_eps"], json!(1e-5));
    assert_eq!(derived.model.config["torch_dtype"], "float16");
    assert_eq!(derived.model.config["bos_token_id"], 1);
    assert_eq!(derived.model.sidecars.len(), 1);
    assert_eq!((derived.rule, derived.inputs.len()), ("vicuna_delta", 2));
    assert_eq!(derived.inputs.iter().map(|input| input.role.as_str()).collect::<Vec<_>>(), ["base", "delta"]);
}

#[test]
fn what_the_files_say_wrongly_is_corrected_and_said() {
    let mut release = released();
    for (key, value) in
        [("vocab_size", 32000), ("bos_token_id", 0), ("eos_token_id", 1), ("pad_token_id", -1)]
    {
        release.config.insert(key.into(), json!(value));
    }
    release.sidecars.clear();
    let derived = vicuna(tiny().model("base"), release, &Facts::default()).unwrap();
    let config = &derived.model.config;
    let ids = ["vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"].map(|key| config[key].as_u64());
    assert_eq!(ids, [Some(ROWS as u64), Some(1), Some(2), Some(0)]);
    let text = derived.warnings.join("\n");
    for part in ["found 32000", "bos_token_id: expected 1", "found -1", "those of the base are used"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn the_card_is_held_against_the_parts() {
    let facts = |rows| Facts { rows: Some(rows), ..Facts::default() };
    assert!(vicuna(tiny().model("base"), released(), &facts(ROWS as u64)).is_ok());
    let text = vicuna(tiny().model("base"), released(), &facts(32001)).err().unwrap();
    assert!(text.contains("32001 rows, as the model's card says") && text.contains("found 6"), "{text}");
    let parts = Parts::Difference { base: tiny().model("base"), released: released() };
    let text = derive(Rule::PeftLora, parts, &Facts::default(), &Silent).err().unwrap().to_string();
    assert!(text.contains("a base and adapters") && text.contains("peft_lora is not for these"), "{text}");
}

#[test]
fn adapters_come_in_the_order_of_the_card() {
    let order = |found: &[&str], wanted: &[&str]| {
        let adapters: Vec<Released> = found
            .iter()
            .map(|name| Released { name: (*name).into(), path: (*name).into(), facts: Facts::default() })
            .collect();
        let merge_order = wanted.iter().map(|name| (*name).to_owned()).collect();
        check_order(&adapters, &Facts { merge_order, ..Facts::default() }).map_err(|e| e.to_string())
    };
    assert_eq!(order(&["plus", "pro"], &["plus", "pro"]), Ok(()));
    assert_eq!(order(&["any"], &[]), Ok(()));
    assert!(order(&[], &[]).unwrap_err().contains("an adapter, found none"));
    for found in [&["pro"][..], &["pro", "plus"], &["plus"]] {
        let text = order(found, &["plus", "pro"]).unwrap_err();
        assert!(text.contains("plus, then pro, in this order"), "{text}");
    }
    let one = [Released { name: "x".into(), path: "x".into(), facts: Facts::default() }];
    assert!(plus_needs_its_base(Some(32_000), Some(49_954), &one).unwrap().contains("Plus and Pro"));
    assert_eq!(plus_needs_its_base(Some(49_953), Some(49_954), &one), None);
}

#[test]
fn a_published_sum_is_compared_when_the_tensors_were_read() {
    let model = vicuna(tiny().model("base"), released(), &Facts::default()).unwrap().model;
    let sum: f32 = model.tensors.tensors().iter().map(|info| total(&model, &info.name)).sum();
    let published = Some(PublishedSum { sum: f64::from(sum), atol: 0.01 });
    let facts = Facts { sum: published, ..Facts::default() };
    let derived = vicuna(tiny().model("base"), released(), &facts).unwrap();
    let verdict = derived.sum.unwrap().verdict(derived.model.tensors.as_ref()).unwrap();
    assert!(verdict.agrees(), "{verdict}");
}

fn total(model: &HfModel, name: &str) -> f32 {
    model.tensors.tensor(name).unwrap().to_f32().unwrap().iter().sum()
}

#[test]
fn every_card_with_a_rule_has_its_facts() {
    let registry = Registry::load(None).unwrap();
    let facts = |name: &str| Facts::of(registry.card(name).unwrap());
    assert_eq!(facts("alpaca-7b").sum, Some(PublishedSum { sum: 50637.1836, atol: 0.01 }));
    assert_eq!(facts("vicuna-13b-v0").rows, Some(32001));
    assert_eq!(facts("chinese-alpaca-plus-7b").merge_order.len(), 2);
    assert!(facts("chinese-alpaca-plus-7b").digests.contains_key("adapter_model.bin"));
    assert!(facts("belle-llama-ext-13b").key_sha256.is_some());
}

#[test]
fn digests_of_files_that_are_there_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "abc").unwrap();
    let digest =
        |sha256: &str| crate::registry::FileDigest { sha256: Some(sha256.into()), md5: None, size: None };
    let abc = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    let mut digests =
        std::collections::BTreeMap::from([("a".to_owned(), digest(abc)), ("b".into(), digest(abc))]);
    let found = check_digests(folder.path(), &digests, &Silent).unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [("a".to_owned(), abc.to_lowercase())]);
    digests.insert("a".into(), digest(&"0".repeat(64)));
    let text = check_digests(folder.path(), &digests, &Silent).unwrap_err().to_string();
    assert!(text.contains("digest mismatch") && text.contains("published SHA-256 000"), "{text}");
}
