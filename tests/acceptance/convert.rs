//! `zoo convert` over the shared reference folder: every form of the base gives the published digests, and a model that
//! goes through another form comes back as it was.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::shared::{kit, shared};
use serde_json::Value;
use zoo::base::digest::sha256;
use zoo::base::progress::Silent;
use zoo::forms::HfModel;
use zoo::rebuild::{BuildRecord, Facts, Parts, Released, derive};
use zoo::registry::Rule;
use zoo::store::{Lock, write_meta_folder};
use zoo::tokenizer::{AddSpecials, Tokenizer};
use zoo::weights::{self, TensorSource, TorchFile, verify_checklist};

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Runs `zoo convert FROM --out OUT` with more flags.
fn convert(from: &Path, out: &Path, flags: &[&str]) {
    let mut zoo = Command::new(env!("CARGO_BIN_EXE_zoo"));
    zoo.arg("convert").arg(from).arg("--out").arg(out).args(flags).env("HF_HUB_OFFLINE", "1");
    let output = zoo.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} to {} {flags:?}: {said}", from.display(), out.display());
}

/// Compares a folder with `expected/CASE.json` by the reference folder's own program.
fn assert_case(kit: &Path, case: &str, out: &Path, what: &str) {
    let mut verify = Command::new("python3");
    verify.arg(kit.join("verify.py")).arg(kit.join(format!("expected/{case}.json"))).arg(out);
    let output = verify.output().expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    println!("{case} from {what}: {last}");
    assert!(output.status.success(), "{case} from {what}: {said}{}", String::from_utf8_lossy(&output.stderr));
}

fn tensors_sha256(folder: &Path) -> String {
    Lock::read(folder).unwrap().tensors_sha256
}

#[test]
#[ignore = "needs the shared reference folder"]
fn every_form_of_the_base_gives_the_published_digests() {
    let Some(kit) = kit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for (case, dtype) in [("base-f16", "f16"), ("base-bf16", "bf16"), ("base-f32", "f32")] {
        let expected = read_json(&kit.join(format!("expected/{case}.json")));
        for input in expected["inputs"].as_array().unwrap() {
            let input = input.as_str().unwrap();
            let out = folder.path().join(format!("{case}-{}", input.replace('/', "-")));
            convert(&kit.join(input), &out, &["--dtype", dtype]);
            assert_case(&kit, case, &out, input);
            if input.contains("meta") {
                // No flag is needed, and the tokenizer comes along.
                let kept = folder.path().join(format!("{case}-kept-{}", input.replace('/', "-")));
                convert(&kit.join(input), &kept, &[]);
                assert_case(&kit, "base-f16", &kept, input);
                let digest = sha256(fs::read(kept.join("tokenizer.model")).unwrap());
                assert_eq!(sha256(fs::read(kit.join("base/meta/tokenizer.model")).unwrap()), digest);
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 19);
}

#[test]
#[ignore = "needs the shared reference folder"]
fn a_model_comes_back_from_every_form_as_it_was() {
    let Some(kit) = kit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: String| folder.path().join(name);
    for (case, source) in [("base-f16", "base/hf-st-f16"), ("mha", "variants/mha"), ("tied", "variants/tied")]
    {
        let source = kit.join(source);
        // Values of f16 are values of f32; norms are f32 in every GGUF file.
        for dtype in ["f16", "f32"] {
            let (gguf, back) = (path(format!("{case}-{dtype}.gguf")), path(format!("{case}-{dtype}-back")));
            convert(&source, &gguf, &["--dtype", dtype]);
            convert(&gguf, &back, &["--dtype", "f16"]);
            assert_case(&kit, case, &back, &format!("GGUF in {dtype}"));
        }
        // Rounding to bf16 is the same on both ways.
        let (gguf, back, direct) = (
            path(format!("{case}-bf16.gguf")),
            path(format!("{case}-bf16-back")),
            path(format!("{case}-bf16")),
        );
        convert(&source, &gguf, &["--dtype", "bf16"]);
        convert(&gguf, &back, &["--dtype", "bf16"]);
        convert(&source, &direct, &["--dtype", "bf16"]);
        assert_eq!(tensors_sha256(&back), tensors_sha256(&direct), "{case}");
        if case == "base-f16" {
            assert_case(&kit, "base-bf16", &back, "GGUF in bf16");
        }
        for shards in ["1", "2", "4"] {
            let (meta, back) = (path(format!("{case}-{shards}")), path(format!("{case}-{shards}-back")));
            convert(&source, &meta, &["--to", "meta", "--shards", shards]);
            assert!(verify_checklist(&meta.join("checklist.chk"), &Silent).unwrap() > 1);
            convert(&meta, &back, &[]);
            if case == "tied" {
                assert_tied(&kit, &back);
            } else {
                assert_case(&kit, case, &back, &format!("{shards} shards of Meta's"));
                assert_eq!(tensors_sha256(&meta), tensors_sha256(&back));
            }
        }
    }
}

/// Meta's form has no tied matrices: both are there, and equal.
fn assert_tied(kit: &Path, out: &Path) {
    let source = weights::open(out).unwrap();
    let digest = |name: &str| sha256(&source.tensor(name).unwrap().data);
    let expected = read_json(&kit.join("expected/tied.json"));
    let tensors = expected["tensors"].as_array().unwrap();
    for tensor in tensors {
        assert_eq!(tensor["sha256"], digest(tensor["name"].as_str().unwrap()).as_str());
    }
    assert_eq!(source.tensors().len(), tensors.len() + 1);
    assert_eq!(digest("lm_head.weight"), digest("model.embed_tokens.weight"));
}

#[test]
#[ignore = "needs the shared reference folder"]
fn every_form_of_bloom_gives_the_published_digests() {
    let Some(kit) = kit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for case in ["bloom-heads-pow2", "bloom-heads-6"] {
        for input in read_json(&kit.join(format!("expected/{case}.json")))["inputs"].as_array().unwrap() {
            let input = input.as_str().unwrap();
            let out = folder.path().join(input.replace('/', "-"));
            convert(&kit.join(input), &out, &["--dtype", "f16"]);
            assert_case(&kit, case, &out, input);
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
}

#[test]
#[ignore = "needs the shared reference folder"]
fn an_odd_vocabulary_is_cut_as_the_reference_cuts_it() {
    let Some(kit) = kit() else { return };
    let adapter = Released {
        name: "zh-llama-r16".into(),
        path: kit.join("lora/zh-llama-r16"),
        facts: Facts::default(),
    };
    let base = HfModel::open(&kit.join("base/hf-st-f16")).unwrap();
    let parts = Parts::Adapters { base, adapters: vec![adapter] };
    let model = derive(Rule::ChineseLora, parts, &Facts::default(), &Silent).unwrap().model;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("meta");
    let lineage =
        BuildRecord { model: None, rule: "test".into(), arithmetic: "as it was".into(), inputs: vec![] };
    write_meta_folder(&model, &out, Some(2), false, &lineage, &Silent).unwrap();

    let case = read_json(&kit.join("expected/pth-odd-vocab.json"));
    let shard = |number: &str| TorchFile::open(out.join(format!("consolidated.{number}.pth"))).unwrap();
    let shards = [("00", shard("00")), ("01", shard("01"))];
    let tensors = case["tensors"].as_array().unwrap();
    for tensor in tensors {
        let (number, name) = tensor["name"].as_str().unwrap().split_once('/').unwrap();
        let (_, shard) = shards.iter().find(|(n, _)| *n == number).unwrap();
        let view = shard.tensor(name).unwrap();
        assert_eq!(serde_json::json!(view.info.shape), tensor["shape"], "{number} {name}");
        assert_eq!(tensor["sha256"], sha256(&view.data).as_str(), "{number} {name}");
    }
    assert_eq!(shards.iter().map(|(_, shard)| shard.tensors().len()).sum::<usize>(), tensors.len());
    assert_eq!(read_json(&out.join("params.json"))["vocab_size"], case["params.json"]["vocab_size"]);
    // And the same model again.
    let back = folder.path().join("back");
    convert(&out, &back, &[]);
    assert_case(&kit, "lora-zh-llama-r16", &back, "two shards with an odd vocabulary");
}

/// Texts that vocabularies have to agree on, beside those of the reference folder.
const TEXTS: [&str; 5] = ["a[PAD]b", "<s>x</s>", "\u{0}\u{7f}é", "▁ ▁", "[PAD512] "];

#[test]
#[ignore = "needs the shared reference folder"]
fn tokenizers_that_went_through_gguf_encode_as_before() {
    let Some(shared) = shared() else { return };
    let kit = shared.join("lineage-kit");
    let goldens = read_json(&kit.join("expected/tokenizer_goldens.json"));
    let texts = goldens["tokenizers"].as_object().unwrap().values().flat_map(|golden| {
        golden["encode"].as_array().unwrap().iter().map(|case| case["text"].as_str().unwrap())
    });
    let texts: Vec<&str> = texts.chain(TEXTS).collect();
    let folder = tempfile::tempdir().unwrap();
    for source in [
        kit.join("base/hf-st-f16"),
        kit.join("alpaca/wdiff"),
        kit.join("vicuna-v0/delta"),
        kit.join("ziya/delta"),
        shared.join("hub/models/zoo-fixtures/stories260k"),
    ] {
        let name = source.file_name().unwrap().to_str().unwrap();
        let (gguf, back) = (folder.path().join(format!("{name}.gguf")), folder.path().join(name));
        convert(&source, &gguf, &["--dtype", "f32", "--force"]);
        convert(&gguf, &back, &["--force"]);
        let (old, new) = (Tokenizer::from_folder(&source).unwrap(), Tokenizer::from_folder(&back).unwrap());
        let marks = |t: &Tokenizer| (t.bos(), t.eos(), t.unk(), t.adds_bos());
        assert_eq!(marks(&old), marks(&new), "{name}");
        for text in &texts {
            for specials in [AddSpecials::Default, AddSpecials::None] {
                let ids = old.encode(text, specials).unwrap();
                assert_eq!(new.encode(text, specials).unwrap(), ids, "{name}: {text:?}");
                assert_eq!(new.decode(&ids).unwrap(), old.decode(&ids).unwrap(), "{name}: {text:?}");
            }
        }
        println!("{name}: {} texts, {} tokens", texts.len(), new.vocab_size());
    }
}
