//! Meta's folders made by hand: two shards with grouped-query attention and an uneven vocabulary, and damaged ones.

use std::fs;
use std::path::Path;

use super::*;
use crate::forms::{HfModel, SidecarContent};
use crate::tokenizer::{sentencepiece_model, tiktoken_file};
use crate::weights::gguf::{Metadata as GgufMetadata, Value as GgufValue};
use crate::weights::torch::testing::file_of;
use crate::weights::{Access, TensorSource};

const PARAMS: &str = r#"{"dim": 8, "n_heads": 2, "n_kv_heads": 1, "n_layers": 1, "multiple_of": 2, "norm_eps": 1e-5, "vocab_size": -1}"#;

/// Numbers that tell from which row and column of the whole a value is.
fn part(rows: std::ops::Range<i64>, columns: std::ops::Range<i64>) -> (Vec<i64>, Vec<f32>) {
    let shape = vec![rows.end - rows.start, columns.end - columns.start];
    (shape, rows.flat_map(|row| columns.clone().map(move |column| (row * 100 + column) as f32)).collect())
}

/// The tensors of shard 0 or 1. The MLP has 22 units, the vocabulary 5 rows.
fn shard(number: i64) -> Vec<(&'static str, Vec<i64>, Vec<f32>)> {
    let half = |size: i64| number * size / 2..(number + 1) * size / 2;
    let output = if number == 0 { 0..2 } else { 2..5 };
    let norm = || (vec![8], vec![1.0; 8]);
    [
        ("tok_embeddings.weight", part(0..5, half(8))),
        ("output.weight", part(output, 0..8)),
        ("norm.weight", norm()),
        ("rope.freqs", (vec![2], vec![0.5; 2])),
        ("layers.0.attention.wq.weight", part(half(8), 0..8)),
        ("layers.0.attention.wk.weight", part(half(4), 0..8)),
        ("layers.0.attention.wv.weight", part(half(4), 0..8)),
        ("layers.0.attention.wo.weight", part(0..8, half(8))),
        ("layers.0.feed_forward.w1.weight", part(half(22), 0..8)),
        ("layers.0.feed_forward.w2.weight", part(0..8, half(22))),
        ("layers.0.feed_forward.w3.weight", part(half(22), 0..8)),
        ("layers.0.attention_norm.weight", norm()),
        ("layers.0.ffn_norm.weight", norm()),
    ]
    .map(|(name, (shape, values))| (name, shape, values))
    .into()
}

fn write_shard(folder: &Path, number: i64, tensors: &[(&str, Vec<i64>, Vec<f32>)]) {
    let tensors: Vec<(&str, &[i64], Vec<f32>)> =
        tensors.iter().map(|(name, shape, values)| (*name, shape.as_slice(), values.clone())).collect();
    fs::write(folder.join(format!("consolidated.{number:02}.pth")), file_of(&tensors)).unwrap();
}

/// A folder of two shards, the second one changed.
fn folder(params: &str, change: impl Fn(&mut Vec<(&'static str, Vec<i64>, Vec<f32>)>)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("params.json"), params).unwrap();
    let mut second = shard(1);
    change(&mut second);
    write_shard(folder.path(), 0, &shard(0));
    write_shard(folder.path(), 1, &second);
    folder
}

fn kind(params: &str, change: impl Fn(&mut Vec<(&'static str, Vec<i64>, Vec<f32>)>)) -> (FaultKind, String) {
    let error = MetaAsHf::open(folder(params, change).path()).unwrap_err();
    (error.fault_kind().unwrap(), error.to_string())
}

#[test]
fn shards_become_a_hugging_face_model() {
    let folder = folder(PARAMS, |_| {});
    let MetaAsHf { tensors: model, config, .. } = MetaAsHf::open(folder.path()).unwrap();
    let values = |name: &str| model.tensor(name).unwrap().to_f32().unwrap();
    let whole = |rows, columns| part(0..rows, 0..columns).1;
    assert_eq!(values("model.embed_tokens.weight"), whole(5, 8));
    assert_eq!(values("lm_head.weight"), whole(5, 8));
    assert_eq!(values("model.norm.weight"), [1.0; 8]);
    let layer = |name: &str| values(&format!("model.layers.0.{name}.weight"));
    assert_eq!(layer("self_attn.o_proj"), whole(8, 8));
    assert_eq!(layer("self_attn.v_proj"), whole(4, 8));
    assert_eq!(layer("mlp.down_proj"), whole(8, 22));
    assert_eq!(layer("mlp.gate_proj"), whole(22, 8));
    let rows = |name: &str| -> Vec<f32> { layer(name).chunks(8).map(|row| row[0] / 100.0).collect() };
    assert_eq!(rows("self_attn.q_proj"), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert_eq!(rows("self_attn.k_proj"), [0.0, 2.0, 1.0, 3.0]);
    assert_eq!(model.tensors().len(), 12);
    assert_eq!((model.inner().shards(), model.files().len()), (2, 2));
    assert_eq!((config.vocab_size, config.intermediate_size, config.num_key_value_heads), (5, 22, 1));
    for name in ["model.norm.weight", "absent"] {
        model.hint(name, Access::Soon);
        model.hint(name, Access::Done);
    }
    assert!(matches!(model.tensor("rope.freqs"), Err(WeightsError::MissingTensor { .. })));
}

#[test]
fn the_tokenizer_may_lie_one_level_up() {
    let above = tempfile::tempdir().unwrap();
    fs::write(above.path().join("tokenizer.model"), "pieces").unwrap();
    let inner = above.path().join("7B");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("params.json"), PARAMS).unwrap();
    write_shard(&inner, 0, &shard(0));
    // One of two shards alone is half a model.
    let error = HfModel::open(&inner).err().unwrap().to_string();
    assert!(error.contains("tok_embeddings.weight") && error.contains("8 columns"), "{error}");

    write_shard(&inner, 1, &shard(1));
    for path in [inner.clone(), inner.join("consolidated.01.pth")] {
        let model = HfModel::open(&path).unwrap();
        assert_eq!(model.path, inner);
        let names: Vec<&str> = model.sidecars.iter().map(|sidecar| sidecar.name.as_str()).collect();
        assert_eq!(names, ["tokenizer.model", "tokenizer_config.json"]);
        assert_eq!(
            (&model.config["use_cache"], &model.config["torch_dtype"]),
            (&json!(true), &json!("float32"))
        );
        assert_eq!(model.configuration().unwrap(), MetaAsHf::open(&inner).unwrap().config.into());
        let SidecarContent::Bytes(settings) = &model.sidecars[1].content else { panic!("a file") };
        let settings: Value = serde_json::from_slice(settings).unwrap();
        assert_eq!(settings["add_bos_token"], true);
    }
}

#[test]
fn config_json_says_the_same() {
    let folder = folder(PARAMS, |_| {});
    let config = HfModel::open(folder.path()).unwrap().config;
    insta::assert_snapshot!(format!("{:#}", Value::Object(config)));
}

#[test]
fn a_first_shard_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_shard(folder.path(), 1, &shard(1));
    let missing = "expected consolidated.00.pth before consolidated.01.pth, found no such file";
    for path in [folder.path().to_owned(), folder.path().join("consolidated.01.pth")] {
        let error = HfModel::open(&path).err().unwrap();
        assert_eq!(error.fault_kind(), Some(FaultKind::MissingData));
        assert!(error.to_string().contains(missing), "{error}");
    }
}

#[test]
fn shards_that_disagree_are_refused() {
    use FaultKind::{InconsistentHeader, MissingData, Unsupported};
    let (found, text) = kind(PARAMS, |tensors| drop(tensors.remove(4)));
    assert!(
        found == InconsistentHeader && text.contains("attention.wq") && text.contains("01.pth"),
        "{text}"
    );
    let (found, text) = kind(PARAMS, |tensors| tensors[4].0 = "layers.0.attention.wx.weight");
    assert!(found == InconsistentHeader && text.contains("attention.wq"), "{text}");
    let (found, text) = kind(PARAMS, |tensors| tensors.push(("more", vec![1], vec![0.0])));
    assert!(found == InconsistentHeader && text.contains("\"more\""), "{text}");
    let (found, text) = kind(PARAMS, |tensors| (tensors[4].1, tensors[4].2) = part(0..4, 0..7));
    assert!(found == InconsistentHeader && text.contains("attention.wq"), "{text}");
    let (found, text) = kind(PARAMS, |tensors| (tensors[2].1, tensors[2].2) = (vec![4], vec![0.0; 4]));
    assert!(found == InconsistentHeader && text.contains("norm.weight"), "{text}");

    let one = tempfile::tempdir().unwrap();
    write_shard(one.path(), 0, &shard(0));
    let error = MetaAsHf::open(one.path()).unwrap_err();
    assert_eq!(error.fault_kind(), Some(MissingData));
    assert!(error.to_string().contains("params.json"), "{error}");
    fs::write(one.path().join("params.json"), PARAMS).unwrap();
    write_shard(one.path(), 0, &[("layers.0.attention.experts.weight", vec![1], vec![0.0])]);
    assert_eq!(MetaAsHf::open(one.path()).unwrap_err().fault_kind(), Some(Unsupported));
}

#[test]
fn parameters_that_contradict_the_tensors_are_refused() {
    use FaultKind::{InconsistentHeader, InvalidConfig, MissingData};
    for (from, to, expected, word) in [
        ("\"dim\": 8", "\"dim\": 16", InconsistentHeader, "dim"),
        ("\"multiple_of\": 2", "\"multiple_of\": 4", InconsistentHeader, "multiple_of"),
        ("\"vocab_size\": -1", "\"vocab_size\": 6", InconsistentHeader, "vocab_size"),
        ("\"n_layers\": 1", "\"n_layers\": 2", MissingData, "layers.1"),
        ("\"n_heads\": 2", "\"n_heads\": 0", InvalidConfig, "n_heads"),
    ] {
        assert!(PARAMS.contains(from), "{from}");
        let (found, text) = kind(&PARAMS.replace(from, to), |_| {});
        assert_eq!(found, expected, "{text}");
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn the_tokenizer_at_hand_says_where_texts_end() {
    let params = PARAMS.replace("\"vocab_size\"", "\"rope_theta\": 500000.0, \"vocab_size\"");
    let opened = |tokenizer: Option<&[u8]>| {
        let folder = folder(&params, |_| {});
        if let Some(bytes) = tokenizer {
            fs::write(folder.path().join("tokenizer.model"), bytes).unwrap();
        }
        let model = MetaAsHf::open(folder.path()).unwrap();
        let more = model.beside_shape();
        (
            model.config.max_position_embeddings,
            more.get("bos_token_id").cloned(),
            more.get("eos_token_id").cloned(),
        )
    };
    // Llama 3's theta with LLaMA's tokenizer is a model like Atom, none of Llama 3's.
    let word = |text: &str, kind: i64| (text.to_owned(), kind);
    let pieces = [word("<unk>", 2), word("<s>", 3), word("</s>", 3), word("a", 1), word("b", 1)];
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let keys = [
        (key("model"), GgufValue::String("llama".into())),
        (key("tokens"), GgufValue::Strings(pieces.iter().map(|piece| piece.0.clone()).collect())),
        (key("scores"), GgufValue::Floats(vec![0.0; 5])),
        (key("token_type"), GgufValue::Integers(pieces.iter().map(|piece| piece.1).collect())),
    ];
    let sentencepiece = sentencepiece_model(&GgufMetadata(keys.into())).unwrap();
    let llama = (4096, Some(json!(1)), Some(json!(2)));
    assert_eq!((opened(Some(&sentencepiece)), opened(None)), (llama.clone(), llama));
    let ranks = tiktoken_file(&[]);
    assert_eq!(opened(Some(&ranks)), (8192, Some(json!(256)), Some(json!([257, 264, 265]))));
    // What is damaged says nothing.
    assert_eq!(opened(Some(&ranks[..30])), (8192, None, None));
}
