//! A small model to GGUF and back.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::base::progress::Silent;
use crate::forms::sample::MemorySource;
use crate::forms::{GgufAsHf, Sidecar, SidecarContent};
use crate::store::digest_tensors;
use crate::tokenizer::{AddSpecials, Tokenizer};
use crate::weights::{GgufFile, TensorSource};

const HIDDEN: usize = 64;
const INNER: usize = 40;
const ROWS: usize = 262;

fn config() -> Json {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "vocab_size": ROWS,
        "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "rope_scaling": null, "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false,
    })
}

/// Values that f16 and bf16 hold exactly.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + seed * 11) % 251) as f32 / 64.0 - 2.0).collect()
}

fn shapes(tied: bool) -> BTreeMap<String, Vec<usize>> {
    let mut shapes: BTreeMap<String, Vec<usize>> = [
        ("model.embed_tokens.weight".to_owned(), vec![ROWS, HIDDEN]),
        ("model.norm.weight".to_owned(), vec![HIDDEN]),
    ]
    .into();
    if !tied {
        shapes.insert("lm_head.weight".to_owned(), vec![ROWS, HIDDEN]);
    }
    for layer in 0..2 {
        for (part, shape) in [
            ("input_layernorm", vec![HIDDEN]),
            ("post_attention_layernorm", vec![HIDDEN]),
            ("self_attn.q_proj", vec![HIDDEN, HIDDEN]),
            ("self_attn.k_proj", vec![HIDDEN / 2, HIDDEN]),
            ("self_attn.v_proj", vec![HIDDEN / 2, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, HIDDEN]),
            ("mlp.gate_proj", vec![INNER, HIDDEN]),
            ("mlp.up_proj", vec![INNER, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, INNER]),
        ] {
            shapes.insert(format!("model.layers.{layer}.{part}.weight"), shape);
        }
    }
    shapes
}

fn model(dtype: Dtype, shapes: &BTreeMap<String, Vec<usize>>, changes: Json) -> HfModel {
    let mut config = config();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    let mut memory = MemorySource::default();
    for (seed, (name, shape)) in shapes.iter().enumerate() {
        let values = values(shape.iter().product(), seed);
        let mut data = vec![0; dtype.bytes_for(values.len()).unwrap()];
        dtype.narrow(&values, &mut data).unwrap();
        memory = memory.with_bytes(name, dtype, shape, data);
    }
    HfModel {
        path: "tiny".into(),
        tensors: Box::new(memory),
        config: config.as_object().unwrap().clone(),
        config_name: "tiny/config.json".into(),
        sidecars: vec![],
    }
}

/// Writes the model and reads it again.
fn written(model: &HfModel, file_type: GgufFileType) -> (GgufAsHf, GgufReport) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let report = GgufPlan::new(model, file_type).unwrap().write(&path, &Silent).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    (GgufAsHf::new(GgufFile::open(&path).unwrap()).unwrap(), report)
}

/// The `config.json` that says what a file does.
fn config_of(model: &GgufAsHf) -> serde_json::Map<String, Json> {
    model.config().unwrap().unwrap().to_json()
}

fn refused(model: &HfModel) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let written = GgufPlan::new(model, GgufFileType::F16).and_then(|plan| plan.write(&path, &Silent));
    let message = written.unwrap_err().to_string();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{message}");
    message
}

#[test]
fn plain_types_come_back_as_they_were() {
    for (file_type, dtype) in
        [(GgufFileType::F32, Dtype::F32), (GgufFileType::F16, Dtype::F16), (GgufFileType::BF16, Dtype::BF16)]
    {
        let model = model(dtype, &shapes(false), json!({}));
        let (back, report) = written(&model, file_type);
        let mut digests = report.digests.clone();
        digests.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(digests, digest_tensors(&back, &Silent).unwrap());
        assert_eq!(report.tensors.first().unwrap().name, "token_embd.weight");
        assert_eq!(report.tensors.last().unwrap().name, "output.weight");
        assert_eq!(back.tensors().len(), model.tensors.tensors().len());
        for info in model.tensors.tensors() {
            let (ours, theirs) =
                (model.tensors.tensor(&info.name).unwrap(), back.tensor(&info.name).unwrap());
            assert_eq!(theirs.info.shape, info.shape, "{}", info.name);
            assert_eq!(ours.to_f32().unwrap(), theirs.to_f32().unwrap(), "{}", info.name);
            let expected = if info.shape.len() == 2 { dtype } else { Dtype::F32 };
            assert_eq!(theirs.info.dtype, expected, "{}", info.name);
        }
        let mut config = config_of(&back);
        assert!(config.remove("torch_dtype").is_some());
        assert_eq!(Json::Object(config), self::config());
    }
}

#[test]
fn quantised_files_have_the_types_of_their_kind() {
    let dtype_of = |back: &GgufAsHf, name: &str| back.tensor(name).unwrap().info.dtype;
    let layer = |part: &str| format!("model.layers.1.{part}.weight");
    for (file_type, blocks) in [(GgufFileType::Q8_0, Dtype::Q8_0), (GgufFileType::Q4_0, Dtype::Q4_0)] {
        let original = model(Dtype::F32, &shapes(false), json!({}));
        let (back, report) = written(&original, file_type);
        // Rows of the two down projections have 40 columns.
        assert!(report.notes.iter().any(|note| note.starts_with("2 matrices are F16")), "{:?}", report.notes);
        assert_eq!(dtype_of(&back, "model.embed_tokens.weight"), blocks);
        assert_eq!(dtype_of(&back, "lm_head.weight"), Dtype::Q8_0);
        assert_eq!(dtype_of(&back, &layer("self_attn.q_proj")), blocks);
        // Rows of 40 are no whole blocks.
        assert_eq!(dtype_of(&back, &layer("mlp.down_proj")), Dtype::F16);
        assert_eq!(dtype_of(&back, &layer("input_layernorm")), Dtype::F32);
        // Rows were reordered before they were quantised: each is that of the original, quantised.
        let name = layer("self_attn.k_proj");
        let expected = original.tensors.tensor(&name).unwrap().cast(blocks).unwrap();
        assert_eq!(back.tensor(&name).unwrap().data, expected);
        let (tied, _) =
            written(&model(Dtype::F32, &shapes(true), json!({"tie_word_embeddings": true})), file_type);
        assert_eq!(dtype_of(&tied, "model.embed_tokens.weight"), Dtype::Q8_0);
    }
}

#[test]
fn scalings_are_said_or_noted() {
    let with = |scaling: Json| model(Dtype::F32, &shapes(false), json!({"rope_scaling": scaling}));
    let (linear, report) = written(&with(json!({"type": "linear", "factor": 4.0})), GgufFileType::F32);
    assert_eq!(config_of(&linear)["rope_scaling"]["factor"], json!(4.0));
    assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
    let (dynamic, report) = written(&with(json!({"type": "dynamic", "factor": 8.0})), GgufFileType::F32);
    assert_eq!(config_of(&dynamic)["rope_scaling"], Json::Null);
    assert!(report.notes.iter().any(|note| note.contains("up to 128 tokens")), "{:?}", report.notes);
    let rule = json!({
        "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192
    });
    let (llama3, _) = written(&with(rule.clone()), GgufFileType::F32);
    assert_eq!(config_of(&llama3)["rope_scaling"], rule);
}

#[test]
fn what_is_no_whole_llama_is_refused() {
    let all = shapes(false);
    let message = refused(&model(Dtype::F32, &all, json!({"model_type": "bloom"})));
    assert!(
        message.contains("model_type: expected \"llama\", found \"bloom\"; only LLaMA models"),
        "{message}"
    );
    let mut fewer = all.clone();
    fewer.remove("model.layers.1.mlp.up_proj.weight");
    let message = refused(&model(Dtype::F32, &fewer, json!({})));
    assert!(message.contains("model.layers.1.mlp.up_proj.weight"), "{message}");
    for extra in ["model.layers.2.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.lora_A.weight"] {
        let mut more = all.clone();
        more.insert(extra.to_owned(), vec![2, 2]);
        assert!(refused(&model(Dtype::F32, &more, json!({}))).contains(extra));
    }
    let message = refused(&model(Dtype::F32, &all, json!({"head_dim": 48})));
    assert!(message.contains("whole heads"), "{message}");
    let mut buffers = all.clone();
    buffers.insert("model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(), vec![8]);
    let (back, _) = written(&model(Dtype::F32, &buffers, json!({})), GgufFileType::F32);
    assert_eq!(back.tensors().len(), all.len());
}

fn with_tokenizer(rows: usize, files: &[(&str, Json)]) -> HfModel {
    let mut shapes = shapes(true);
    shapes.insert("model.embed_tokens.weight".into(), vec![rows, HIDDEN]);
    let mut model = model(Dtype::F32, &shapes, json!({"tie_word_embeddings": true, "vocab_size": rows}));
    model.sidecars = files
        .iter()
        .map(|(name, json)| Sidecar {
            name: (*name).to_owned(),
            content: SidecarContent::Bytes(match json {
                Json::String(text) => text.clone().into_bytes(),
                json => json.to_string().into_bytes(),
            }),
        })
        .collect();
    model
}

/// A byte-level tokenizer of the 95 printable characters, one merge and a mark.
fn tokenizer_json() -> Json {
    let mut vocab: serde_json::Map<String, Json> =
        ('!'..='~').enumerate().map(|(id, c)| (c.to_string(), json!(id))).collect();
    for token in ["Ġ", "ab"] {
        vocab.insert(token.to_owned(), json!(vocab.len()));
    }
    let bos = vocab.len();
    json!({
        "version": "1.0", "normalizer": null, "post_processor": null,
        "added_tokens": [{
            "id": bos, "content": "<s>", "special": true, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false
        }],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "vocab": vocab, "merges": ["a b"]
        }
    })
}

#[test]
fn a_byte_level_vocabulary_encodes_as_before() {
    let settings = json!({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "chat_template": "{{ messages }}"});
    let files = [("tokenizer.json", tokenizer_json()), ("tokenizer_config.json", settings)];
    let (back, report) = written(&with_tokenizer(100, &files), GgufFileType::F32);
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    let metadata = back.gguf().metadata();
    assert_eq!(metadata.string("tokenizer.ggml.pre").unwrap(), Some("gpt-2"));
    assert_eq!(metadata.string("tokenizer.chat_template").unwrap(), Some("{{ messages }}"));
    let tokens = metadata.strings("tokenizer.ggml.tokens").unwrap().unwrap();
    assert_eq!((tokens.len(), tokens[96].as_str(), tokens[97].as_str()), (100, "<s>", "[PAD97]"));
    let tokenizer = Tokenizer::from_gguf(metadata).unwrap();
    assert_eq!(tokenizer.encode("ab<s>a", AddSpecials::Default).unwrap(), [95, 96, 64]);
    assert_eq!((tokenizer.bos(), tokenizer.adds_bos()), (Some(96), false));
}

#[test]
fn the_chat_template_is_the_one_that_is_used_here() {
    let template = |template: Json| {
        let settings = json!({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "chat_template": template});
        let files = [("tokenizer.json", tokenizer_json()), ("tokenizer_config.json", settings)];
        let (back, _) = written(&with_tokenizer(100, &files), GgufFileType::F32);
        back.gguf().metadata().string("tokenizer.chat_template").unwrap().map(str::to_owned)
    };
    let named = |name: &str, text: &str| json!({"name": name, "template": text});
    assert_eq!(template(json!([named("rag", "r"), named("default", "d")])).as_deref(), Some("d"));
    assert_eq!(template(json!([named("rag", "r")])).as_deref(), Some("r"));
    assert_eq!(template(json!(null)), None);
}

#[test]
fn vocabularies_that_gguf_cannot_hold_are_refused() {
    let message = refused(&with_tokenizer(96, &[("tokenizer.json", tokenizer_json())]));
    assert!(message.contains("at most the 96 rows") && message.contains("found 97"), "{message}");
    let mut other = tokenizer_json();
    other["pre_tokenizer"]["add_prefix_space"] = json!(true);
    assert!(refused(&with_tokenizer(100, &[("tokenizer.json", other)])).contains("pre_tokenizer"));
    let mut other = tokenizer_json();
    other["normalizer"] = json!({"type": "NFKC"});
    assert!(refused(&with_tokenizer(100, &[("tokenizer.json", other)])).contains("normalizer"));
}
