//! Relatives of LLaMA in the forms in which they were released, driven as a user would: built, verified, evaluated, converted; and
//! their logits against PyTorch's. `tests/fixtures/relatives/make.py` made parts and references.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::reference::{Cases, LOGIT_TOLERANCE, largest_difference};
use crate::support::tiny::{stderr, stdout, zoo};
use zoo::kernels::{self, Precision};
use zoo::model::{Checkpoint, Kept, Residence, Wave, unwatched};
use zoo::tokenizer::{AddSpecials, Tokenizer};

const RELATIVES: Cases = Cases("relatives");

/// Runs the program, which has to do well, and gives all that it says.
fn done(args: &[&str]) -> String {
    let output = zoo(args);
    let said = format!("{}{}", stdout(&output), stderr(&output));
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

/// The text of a path.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether a model has the logits of a case.
fn has_logits(model: &Path, case: &str) {
    let checkpoint = Checkpoint::open(model).unwrap();
    let network =
        checkpoint.load(kernels::by_name("portable", Precision::Exact).unwrap(), Residence::Memory).unwrap();
    for (ids, expected) in RELATIVES.references(case) {
        let hidden = network.forward(&Wave::sequence(&ids), Kept::All, &mut unwatched).unwrap();
        let worst = largest_difference(network.logits(hidden.view()).view(), expected.view());
        assert!(worst <= LOGIT_TOLERANCE, "{case}, {}, {} tokens: {worst}", model.display(), ids.len());
    }
}

/// Verifies a model, evaluates it and holds it against PyTorch; then the same as a GGUF file, with the same scores.
fn runs(model: &Path, case: &str, folder: &Path) {
    let scores = |model: &Path, run: &str| {
        let run = folder.join(run);
        let said = done(&["verify", text(model)]);
        assert!(said.contains("0 failures, 0 warnings"), "{said}");
        done(&[
            "eval",
            text(model),
            "--suite",
            "basics",
            "--limit",
            "2",
            "--out",
            text(&run),
            "--matmul",
            "portable",
        ]);
        let results = fs::read_to_string(run.join("results.csv")).unwrap();
        let rows =
            results.lines().skip(1).map(|row| row.split(',').skip(1).take(7).collect::<Vec<_>>().join(","));
        rows.collect::<Vec<_>>()
    };
    let own = scores(model, "run");
    has_logits(model, case);
    let gguf = folder.join("model.gguf");
    done(&["convert", text(model), "--out", text(&gguf)]);
    has_logits(&gguf, case);
    assert_eq!(scores(&gguf, "gguf-run"), own);
}

/// Builds a model of LLaMA and another part by a rule, and runs it.
fn built(rule: &str, part: &str, case: &str) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let from = |name: &str, case: &str| format!("{name}={}", RELATIVES.folder(case).display());
    done(&[
        "build",
        "--rule",
        rule,
        "--from",
        &from("base", "llama"),
        "--from",
        &from(part, case),
        "--out",
        text(&out),
    ]);
    runs(&out, case, folder.path());
}

/// A copy of a case's folder, with the files of another one that it lacks.
fn copied(case: &str, rest: &str, folder: &Path) -> PathBuf {
    let out = folder.join(case);
    fs::create_dir(&out).unwrap();
    for from in [rest, case] {
        for entry in fs::read_dir(RELATIVES.folder(from)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name != "reference.safetensors" && !name.starts_with("tiktoken") {
                fs::copy(&path, out.join(name)).unwrap();
            }
        }
    }
    out
}

#[test]
fn koala_is_llama_and_a_difference() {
    built("vicuna_delta", "delta", "koala-delta");
}

#[test]
fn stable_vicuna_is_llama_with_a_row_more_and_a_difference() {
    built("vicuna_delta_v0", "delta", "stable-vicuna-delta");
}

#[test]
fn guanaco_is_llama_and_an_adapter_of_all_linear_layers() {
    built("peft_lora", "adapter", "guanaco-adapter");
}

#[test]
fn longchat_has_condensed_positions_by_its_own_key() {
    let folder = tempfile::tempdir().unwrap();
    let model = copied("longchat", "llama", folder.path());
    runs(&model, "longchat", folder.path());
    // A number that contradicts the other spelling is no detail.
    let config = model.join("config.json");
    let said = fs::read_to_string(&config).unwrap();
    let other = said.replace(
        "\"rope_condense_ratio\": 8",
        "\"rope_condense_ratio\": 8, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}",
    );
    fs::write(&config, other).unwrap();
    let output = zoo(&["verify", text(&model)]);
    assert!(
        !output.status.success() && stdout(&output).contains("rope_condense_ratio"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn code_llama_has_the_pieces_of_infilling_and_a_theta_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let model = copied("code-llama", "code-llama", folder.path());
    let tokenizer = Tokenizer::from_folder(&model).unwrap();
    for (id, piece) in [(311, "▁<PRE>"), (312, "▁<SUF>"), (313, "▁<MID>"), (314, "▁<EOT>")] {
        assert_eq!(tokenizer.token_text(id).as_deref(), Some(piece));
    }
    runs(&model, "code-llama", folder.path());
    // Meta's form says the theta, from which the context follows.
    let meta = folder.path().join("meta");
    done(&["convert", text(&model), "--to", "meta", "--out", text(&meta)]);
    has_logits(&meta, "code-llama");
}

#[test]
fn llama_3_1_in_metas_form_is_scaled_and_cut_by_rows() {
    let folder = tempfile::tempdir().unwrap();
    let meta = copied("llama-3.1-meta", "llama-3.1-meta", folder.path());
    runs(&meta, "llama-3.1-meta", folder.path());
    // In Hugging Face's form it has a tokenizer.json that gives the same ids, and it goes back byte for byte.
    let (hf, back) = (folder.path().join("hf"), folder.path().join("back"));
    done(&["convert", text(&meta), "--out", text(&hf)]);
    has_logits(&hf, "llama-3.1-meta");
    let config = fs::read_to_string(hf.join("config.json")).unwrap();
    assert!(
        config.contains("\"rope_type\": \"llama3\"") && config.contains("\"bos_token_id\": 384"),
        "{config}"
    );
    let said = done(&["verify", text(&hf)]);
    assert!(said.contains("0 failures, 0 warnings"), "{said}");
    done(&["convert", text(&hf), "--to", "meta", "--shards", "2", "--out", text(&back)]);
    has_logits(&back, "llama-3.1-meta");
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    assert_eq!(read(&back, "tokenizer.model"), read(&meta, "tokenizer.model"));
    let params =
        |folder: &Path| serde_json::from_slice::<serde_json::Value>(&read(folder, "params.json")).unwrap();
    for key in ["use_scaled_rope", "rope_theta", "vocab_size", "dim", "n_kv_heads"] {
        assert_eq!(params(&back)[key], params(&meta)[key], "{key}");
    }
}

/// A text and what tiktoken makes of it.
#[derive(serde::Deserialize)]
struct Encoded {
    text: String,
    ids: Vec<u32>,
}

#[test]
fn a_vocabulary_of_tiktoken_gives_tiktokens_ids_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let meta = RELATIVES.folder("llama-3.1-meta");
    let (hf, gguf) = (folder.path().join("hf"), folder.path().join("model.gguf"));
    done(&["convert", text(&meta), "--out", text(&hf)]);
    done(&["convert", text(&meta), "--out", text(&gguf)]);
    let cases: Vec<Encoded> = serde_json::from_slice(&fs::read(meta.join("tiktoken.json")).unwrap()).unwrap();
    assert!(cases.len() > 60);
    for form in [&meta, &hf, &gguf] {
        let tokenizer = zoo::forms::open(form).unwrap().tokenizer.read().unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.bos(), tokenizer.eos()), (640, Some(384), Some(385)));
        for Encoded { text, ids } in &cases {
            let found = tokenizer.encode(text, AddSpecials::Default).unwrap();
            assert_eq!(found, [&[384][..], ids].concat(), "{text:?} in {}", form.display());
            assert_eq!(tokenizer.decode(ids).unwrap(), *text);
        }
    }
}
