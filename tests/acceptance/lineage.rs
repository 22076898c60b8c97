//! Tokenizers and models of the shared reference folder, rebuilt from the forms in which they were released: every
//! digest is that of the reference tools.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::shared::shared;
use serde_json::{Value, json};
use zoo::base::digest::sha256;
use zoo::base::progress::Silent;
use zoo::forms::{FormError, HfModel, SidecarContent};
use zoo::rebuild::{Derived, Facts, Parts, PublishedSum, Released, derive};
use zoo::registry::Rule;
use zoo::tokenizer::{AppendedScore, ModelFile, merge_models, sentencepiece_model};
use zoo::weights::{GgufFile, SafetensorsFile, TensorSource};

/// Bytes of LLaMA's trainer and normaliser settings, at most.
const SETTINGS: usize = 400;

fn merged(folder: &Path, base: &str, other: &str, added: &[&str]) -> Vec<u8> {
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let (base_bytes, other_bytes) = (read(base), read(other));
    let file = |place, bytes| ModelFile { place, bytes };
    merge_models(file(base, &base_bytes), file(other, &other_bytes), AppendedScore::Zero, added).unwrap()
}

#[test]
#[ignore = "needs the shared reference folder"]
fn merged_tokenizers_have_the_published_digests() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("data/tokenizers");
    for (added, digest) in [
        (&[][..], "e2676d4ca29ca1750f6ff203328d73b189321dc5776ceede037cbd36541d70c0"),
        (&["[PAD]"][..], "2d967e855b1213a439df6c8ce2791f869c84b4f3b6cfacf22b86440b8192a2f8"),
    ] {
        assert_eq!(sha256(merged(&folder, "llama.model", "chinese_sp.model", added)), digest, "{added:?}");
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn a_vocabulary_that_went_through_gguf_has_its_pieces_again() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("data/tokenizers");
    let original = fs::read(folder.join("llama.model")).unwrap();
    let file = GgufFile::open(folder.join("ggml-vocab-llama-spm.gguf")).unwrap();
    let rebuilt = sentencepiece_model(file.metadata()).unwrap();
    // The settings behind the pieces begin with the tag of field 2 in both files.
    let same = original.iter().zip(&rebuilt).take_while(|(a, b)| a == b).count();
    assert!(same + SETTINGS > original.len(), "only the first {same} of {} bytes agree", original.len());
}

fn kit(shared: &Path) -> PathBuf {
    shared.join("lineage-kit")
}

fn expected(shared: &Path, case: &str) -> Value {
    let text = fs::read_to_string(kit(shared).join(format!("expected/{case}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every tensor, the configuration and the tokenizer's files against `expected/CASE.json`.
fn compare(expected: &Value, derived: &Derived) {
    let case = expected["case"].as_str().unwrap();
    let tensors = expected["tensors"].as_array().unwrap();
    let source = &derived.model.tensors;
    for tensor in tensors {
        let name = tensor["name"].as_str().unwrap();
        let view = source.tensor(name).unwrap();
        assert_eq!(json!(view.info.shape), tensor["shape"], "{case} {name}");
        assert_eq!(tensor["dtype"], view.info.dtype.name(), "{case} {name}");
        assert_eq!(tensor["sha256"], sha256(&view.data).as_str(), "{case} {name}");
    }
    let names: Vec<&str> = source.tensors().iter().map(|info| info.name.as_str()).collect();
    assert_eq!(
        names.iter().filter(|name| !name.ends_with("rotary_emb.inv_freq")).count(),
        tensors.len(),
        "{case}"
    );
    assert_eq!(Value::Object(derived.model.config.clone()), expected["config"], "{case}");
    for (name, digest) in expected["tokenizer_files"].as_object().into_iter().flatten() {
        let sidecar = derived.model.sidecars.iter().find(|sidecar| sidecar.name == *name);
        let bytes = match &sidecar.unwrap_or_else(|| panic!("{case}: no {name}")).content {
            SidecarContent::File(path) => fs::read(path).unwrap(),
            SidecarContent::Bytes(bytes) => bytes.clone(),
        };
        assert_eq!(*digest, sha256(&bytes).as_str(), "{case} {name}");
    }
}

fn open(path: PathBuf) -> HfModel {
    HfModel::open(&path).unwrap()
}

fn adapters(kit: &Path, names: &[&str]) -> Vec<Released> {
    let one = |name: &&str| {
        let path = kit.join("lora").join(name);
        Released { name: (*name).to_owned(), path, facts: Facts::default() }
    };
    names.iter().map(one).collect()
}

fn merged_model(kit: &Path, rule: Rule, names: &[&str]) -> Result<Derived, FormError> {
    let base = open(kit.join("base/hf-st-f16"));
    let parts = Parts::Adapters { base, adapters: adapters(kit, names) };
    derive(rule, parts, &Facts::default(), &Silent)
}

#[test]
#[ignore = "needs the shared reference folder"]
fn merged_adapters_have_the_digests_of_the_reference_tools() {
    let Some(shared) = shared() else { return };
    let kit = kit(&shared);
    for (case, rule, names) in [
        ("lora-qv-r8", Rule::PeftLora, &["qv-r8"][..]),
        ("lora-default-infix", Rule::PeftLora, &["qv-r8-default-infix"]),
        ("lora-rslora", Rule::PeftLora, &["rslora"]),
        ("lora-zh-llama-r16", Rule::ChineseLora, &["zh-llama-r16"]),
        ("lora-llama-plus-then-alpaca-plus", Rule::ChineseLora, &["zh-llama-plus", "zh-alpaca-plus"]),
    ] {
        let derived = merged_model(&kit, rule, names).unwrap();
        assert!(derived.warnings.is_empty(), "{case}: {:?}", derived.warnings);
        compare(&expected(&shared, case), &derived);
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn a_second_adapter_alone_is_another_model_and_the_reverse_order_is_refused() {
    let Some(shared) = shared() else { return };
    let (kit, case) = (kit(&shared), expected(&shared, "lora-llama-plus-then-alpaca-plus"));
    let alone = merged_model(&kit, Rule::ChineseLora, &["zh-alpaca-plus"]).unwrap();
    let name = "model.layers.0.self_attn.q_proj.weight";
    let digest = sha256(&alone.model.tensors.tensor(name).unwrap().data);
    assert_eq!(case["pitfall"]["sha256_of_wrong_q0"], digest.as_str());
    let facts =
        Facts { merge_order: vec!["zh-llama-plus".into(), "zh-alpaca-plus".into()], ..Facts::default() };
    let order = |names: &[&str]| {
        let parts =
            Parts::Adapters { base: open(kit.join("base/hf-st-f16")), adapters: adapters(&kit, names) };
        derive(Rule::ChineseLora, parts, &facts, &Silent).map(drop).map_err(|error| error.to_string())
    };
    let text = order(&["zh-alpaca-plus"]).unwrap_err();
    assert!(text.contains("zh-llama-plus, then zh-alpaca-plus, in this order"), "{text}");
    assert!(order(&["zh-alpaca-plus", "zh-llama-plus"]).is_err());
    assert!(order(&["zh-llama-plus", "zh-alpaca-plus"]).is_ok());
    let reversed = merged_model(&kit, Rule::ChineseLora, &["zh-alpaca-plus", "zh-llama-plus"]);
    let text = reversed.err().unwrap().to_string();
    assert!(text.contains("at least the 550 rows") && text.contains("found 549 rows"), "{text}");
    // Without its tokenizer, rows have no tokens.
    let folder = tempfile::tempdir().unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(kit.join("lora/zh-llama-plus").join(name), folder.path().join(name)).unwrap();
    }
    let bare = Released { name: "bare".into(), path: folder.path().to_owned(), facts: Facts::default() };
    let parts = Parts::Adapters { base: open(kit.join("base/hf-st-f16")), adapters: vec![bare] };
    let text = derive(Rule::ChineseLora, parts, &Facts::default(), &Silent).err().unwrap().to_string();
    assert!(text.contains("a tokenizer of 549 tokens") && text.contains("512 rows"), "{text}");
}

#[test]
#[ignore = "needs the shared reference folder"]
fn unusable_adapters_are_refused_and_untrained_ones_noted() {
    let Some(shared) = shared() else { return };
    let (kit, case) = (kit(&shared), expected(&shared, "lora-broken"));
    let parts = |name: &str| -> &[&str] {
        match name {
            "empty" => &["none of them lora_"],
            "wrong-rank" => &["rank 16", "[2, "],
            "missing-lora-b" => &["layers.0.self_attn.q_proj.lora_B.weight", "no lora_B"],
            "missing-lora-a" => &["lora_A.weight", "no lora_A"],
            "wrong-base-shape" => &["lora_A with 64 columns", "found 62 columns"],
            "targets-differ" => &["target_modules", "none for"],
            "extra-module" => &["the base has 5 layers"],
            "not-lora" => &["peft_type", "IA3"],
            "bias-all" => &["bias", "\"all\""],
            "dora" => &["use_dora"],
            "zero-rank" => &["r: expected a rank", "found 0"],
            "rows-mismatch" => &["530", "531 rows"],
            "nan" => &["finite values", "NaN"],
            other => panic!("{other}: no text is expected of this case"),
        }
    };
    let cases = case["adapters"].as_array().unwrap();
    for adapter in cases {
        let name = adapter["adapter"].as_str().unwrap().rsplit('/').next().unwrap();
        let result = merged_model(&kit, Rule::PeftLora, &[&format!("broken/{name}")]);
        if name == "zero-b" {
            assert!(result.unwrap().warnings.join("").contains("all lora_B are zero"));
            continue;
        }
        let text = result.err().unwrap_or_else(|| panic!("{name} was merged")).to_string();
        for part in parts(name) {
            assert!(text.contains(part), "{name}: {part:?} is not in: {text}");
        }
        eprintln!("{name}: {text}");
    }
    assert_eq!(cases.len(), 14);
}

/// Distance of two f16 in steps of the last place.
fn steps(a: u16, b: u16) -> i32 {
    let ordered = |bits: u16| {
        let magnitude = i32::from(bits & 0x7fff);
        if bits & 0x8000 == 0 { magnitude } else { -magnitude }
    };
    (ordered(a) - ordered(b)).abs()
}

#[test]
#[ignore = "needs the shared reference folder"]
fn an_adapter_of_ordinary_values_agrees_within_one_step() {
    let Some(shared) = shared() else { return };
    let (kit, case) = (kit(&shared), expected(&shared, "lora-random"));
    let values = SafetensorsFile::open(kit.join(case["compare"]["values"].as_str().unwrap())).unwrap();
    let derived = merged_model(&kit, Rule::PeftLora, &["random-r16"]).unwrap();
    let mut compared = 0;
    for tensor in case["tensors"].as_array().unwrap() {
        let name = tensor["name"].as_str().unwrap();
        let found = derived.model.tensors.tensor(name).unwrap();
        let Some(atol) = tensor["atol"].as_f64() else {
            assert_eq!(tensor["sha256"], sha256(&found.data).as_str(), "{name}");
            continue;
        };
        let expected = values.tensor(name).unwrap();
        let (a, b) = (expected.to_f32().unwrap(), found.to_f32().unwrap());
        for (i, (x, y)) in bits(&expected.data).into_iter().zip(bits(&found.data)).enumerate() {
            let close = steps(x, y) <= 1 || f64::from((a[i] - b[i]).abs()) <= atol;
            assert!(close, "{name} [{i}]: expected {}, found {}", a[i], b[i]);
        }
        compared += 1;
    }
    assert_eq!(compared, values.tensors().len());
}

fn bits(data: &[u8]) -> Vec<u16> {
    data.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect()
}

/// Case, rule, and the folder of the difference.
const DIFFERENCES: [(&str, Rule, &str); 4] = [
    ("vicuna-v0", Rule::VicunaDeltaV0, "vicuna-v0/delta"),
    ("vicuna-v1.1", Rule::VicunaDelta, "vicuna-v1.1/delta"),
    ("alpaca", Rule::AlpacaDiff, "alpaca/wdiff"),
    ("ziya", Rule::ZiyaDelta, "ziya/delta"),
];

fn difference(base: HfModel, rule: Rule, released: HfModel, facts: &Facts) -> Result<Derived, FormError> {
    derive(rule, Parts::Difference { base, released }, facts, &Silent)
}

#[test]
#[ignore = "needs the shared reference folder"]
fn differences_have_the_digests_of_the_reference_tools() {
    let Some(shared) = shared() else { return };
    let kit = kit(&shared);
    for (case, rule, folder) in DIFFERENCES {
        for base in ["base/hf-bin", "base/hf-st-f16", "base/hf-st-f32-legacy"] {
            let derived =
                difference(open(kit.join(base)), rule, open(kit.join(folder)), &Facts::default()).unwrap();
            assert!(derived.warnings.is_empty(), "{case} on {base}: {:?}", derived.warnings);
            compare(&expected(&shared, case), &derived);
        }
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn the_published_sum_is_found_and_a_wrong_row_is_another_model() {
    let Some(shared) = shared() else { return };
    let (kit, case) = (kit(&shared), expected(&shared, "alpaca"));
    let build = |rule| {
        let sum = |key: &str| case["checksum"][key].as_f64().unwrap();
        let sum = PublishedSum { sum: sum("f32_sum_as_published_with_inv_freq"), atol: sum("atol") };
        let facts = Facts { sum: Some(sum), rows: Some(513), ..Facts::default() };
        difference(open(kit.join("base/hf-bin")), rule, open(kit.join("alpaca/wdiff")), &facts).unwrap()
    };
    let derived = build(Rule::AlpacaDiff);
    let verdict = derived.sum.unwrap().verdict(derived.model.tensors.as_ref()).unwrap();
    assert!(verdict.agrees(), "{verdict}");
    let without = case["checksum"]["f64_sum_without_inv_freq"].as_f64().unwrap();
    assert!((verdict.without_buffers - without).abs() < 1e-6, "{verdict}");
    let zero = build(Rule::VicunaDeltaV0);
    for (name, digest) in case["pitfall"]["tensors"].as_object().unwrap() {
        let data = derived.model.tensors.tensor(name).unwrap().data;
        assert_ne!(*digest, sha256(&data).as_str(), "{name}");
        // The row of the wrong rule, in f16, is another one than the mean's.
        assert_ne!(
            zero.model.tensors.tensor(name).unwrap().to_f32().unwrap(),
            to_f16_and_back(&data),
            "{name}"
        );
    }
}

fn to_f16_and_back(data: &[u8]) -> Vec<f32> {
    let value = |bytes: &[u8; 4]| half::f16::from_f32(f32::from_le_bytes(*bytes)).to_f32();
    data.as_chunks::<4>().0.iter().map(value).collect()
}

#[test]
#[ignore = "needs the shared reference folder"]
fn accidents_with_differences_are_told_by_their_kind() {
    let Some(shared) = shared() else { return };
    let kit = kit(&shared);
    let try_it = |base: &str, rule, released: &str| {
        let result = difference(open(kit.join(base)), rule, open(kit.join(released)), &Facts::default());
        result.err().unwrap_or_else(|| panic!("{base} + {released} was built")).to_string()
    };
    for (base, rule, released, part) in [
        ("vicuna-v1.1/delta", Rule::VicunaDelta, "base/hf-bin", "exchange the two"),
        ("vicuna-v0/delta", Rule::VicunaDelta, "base/hf-bin", "exchange the two"),
        ("base/hf-bin", Rule::VicunaDelta, "base/hf-st-f16", "the release is a whole model"),
        ("vicuna-v1.1/delta", Rule::VicunaDelta, "vicuna-v1.1/delta", "both are differences"),
        ("base/hf-bin", Rule::VicunaDelta, "vicuna-v0/delta", "one row more"),
        ("base/hf-bin", Rule::VicunaDeltaV0, "vicuna-v1.1/delta", "Vicuna 1.1"),
        ("base/hf-bin", Rule::VicunaDelta, "ziya/delta", "ziya_delta"),
        ("base/hf-bin", Rule::ZiyaDelta, "vicuna-v1.1/delta", "vicuna_delta"),
        ("variants/tied", Rule::VicunaDelta, "vicuna-v1.1/delta", "2 layers"),
    ] {
        let text = try_it(base, rule, released);
        assert!(text.contains(part), "{base} + {released}: {part:?} is not in: {text}");
        eprintln!("{text}");
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn encrypted_files_are_a_model() {
    let Some(shared) = shared() else { return };
    let (kit, case) = (kit(&shared), expected(&shared, "belle-xor"));
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("plain");
    let key = kit.join(case["inputs"]["key"].as_str().unwrap());
    let release = kit.join("belle/enc");
    let parts = Parts::Encrypted { release: &release, key: &key, work: &work };
    let derived = derive(Rule::BelleXor, parts, &Facts::default(), &Silent).unwrap();
    compare(&case, &derived);
    assert_eq!(derived.scratch, Some(work.clone()));
    let text = derived.warnings.join("");
    assert!(text.contains("bos_token, eos_token, unk_token empty"), "{text}");
}
