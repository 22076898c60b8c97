//! A small model to Meta's form, read back shard by shard.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::base::progress::Silent;
use crate::forms::MetaAsHf;
use crate::forms::rows::halves_from_pairs;
use crate::forms::sample::MemorySource;
use crate::store::digest_tensors;
use crate::weights::{TensorSource, TorchFile};

/// Writes a model as so many files.
fn write(model: &HfModel, out: &Path, shards: usize) -> Result<MetaReport, FormError> {
    MetaPlan::new(model, Some(shards))?.write(out, &Silent)
}

const ROWS: usize = 11;
const HIDDEN: usize = 16;
const INNER: usize = 44;

fn shapes() -> BTreeMap<String, Vec<usize>> {
    let mut shapes: BTreeMap<String, Vec<usize>> = [
        ("model.embed_tokens.weight".to_owned(), vec![ROWS, HIDDEN]),
        ("model.norm.weight".to_owned(), vec![HIDDEN]),
        ("lm_head.weight".to_owned(), vec![ROWS, HIDDEN]),
    ]
    .into();
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
        shapes.insert(format!("model.layers.0.{part}.weight"), shape);
    }
    shapes
}

fn model(shapes: &BTreeMap<String, Vec<usize>>, changes: Json) -> HfModel {
    let mut config = json!({
        "model_type": "llama", "vocab_size": ROWS, "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    let mut memory = MemorySource::default();
    for (seed, (name, shape)) in shapes.iter().enumerate() {
        let count: usize = shape.iter().product();
        let data = (0..2 * count).map(|i| ((i * 7 + seed * 31) % 251) as u8).collect();
        memory = memory.with_bytes(name, Dtype::F16, shape, data);
    }
    HfModel {
        path: "tiny".into(),
        tensors: Box::new(memory),
        config: config.as_object().unwrap().clone(),
        config_name: "tiny/config.json".into(),
        sidecars: vec![],
    }
}

/// Joins the slices of a tensor: along rows if `axis` is 0, along columns if it is 1.
fn joined(shards: &[TorchFile], name: &str, axis: usize) -> Vec<u8> {
    let views: Vec<_> = shards.iter().map(|shard| shard.tensor(name).unwrap()).collect();
    if axis == 0 {
        return views.iter().flat_map(|view| view.data.to_vec()).collect();
    }
    let rows = views[0].info.shape[0];
    let row = |row: usize| {
        views.iter().flat_map(move |view| {
            let bytes = view.data.len() / rows;
            view.data[row * bytes..(row + 1) * bytes].to_vec()
        })
    };
    (0..rows).flat_map(row).collect()
}

#[test]
fn slices_make_the_model_again() {
    let model = model(&shapes(), json!({}));
    let original = |name: &str| model.tensors.tensor(name).unwrap().data.into_owned();
    let of_layer = |part: &str| original(&format!("model.layers.0.{part}.weight"));
    for shards in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let report = write(&model, folder.path(), shards).unwrap();
        let mut digests = report.tensors.clone();
        digests.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(
            digests,
            digest_tensors(&MetaAsHf::open(folder.path()).unwrap().tensors, &Silent).unwrap()
        );
        assert_eq!(report.files.len(), shards + 2);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), shards + 2);
        let files: Vec<TorchFile> = (0..shards)
            .map(|shard| TorchFile::open(folder.path().join(format!("consolidated.{shard:02}.pth"))).unwrap())
            .collect();
        assert_eq!(files[0].tensors().len(), 12);
        for (name, axis, expected) in [
            ("tok_embeddings.weight", 1, original("model.embed_tokens.weight")),
            ("output.weight", 0, original("lm_head.weight")),
            ("layers.0.attention.wv.weight", 0, of_layer("self_attn.v_proj")),
            ("layers.0.attention.wo.weight", 1, of_layer("self_attn.o_proj")),
            ("layers.0.feed_forward.w1.weight", 0, of_layer("mlp.gate_proj")),
            ("layers.0.feed_forward.w2.weight", 1, of_layer("mlp.down_proj")),
            ("layers.0.feed_forward.w3.weight", 0, of_layer("mlp.up_proj")),
        ] {
            assert_eq!(joined(&files, name, axis), expected, "{name} of {shards}");
        }
        for (name, heads, expected) in [
            ("layers.0.attention.wq.weight", 4, of_layer("self_attn.q_proj")),
            ("layers.0.attention.wk.weight", 2, of_layer("self_attn.k_proj")),
        ] {
            let data = joined(&files, name, 0);
            assert_ne!(data, expected, "{name} of {shards}");
            let rows = data.len() / (2 * HIDDEN);
            assert_eq!(halves_from_pairs(&data, rows, heads), expected, "{name} of {shards}");
        }
        for file in &files {
            assert_eq!(file.tensor("norm.weight").unwrap().data, original("model.norm.weight"));
            let norm = file.tensor("layers.0.ffn_norm.weight").unwrap();
            assert_eq!(norm.data, of_layer("post_attention_layernorm"));
        }
        let rows: Vec<usize> =
            files.iter().map(|file| file.tensor("output.weight").unwrap().info.shape[0]).collect();
        assert_eq!(rows, if shards == 1 { vec![11] } else { vec![5, 6] });
    }
}

#[test]
fn params_and_checklist_describe_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let report = write(&model(&shapes(), json!({"rope_theta": 1e6})), folder.path(), 1).unwrap();
    assert!(report.notes[0].contains("no tokenizer.model"), "{:?}", report.notes);
    // No context is in the configuration, which means 2048; a theta of a million is Code Llama's.
    assert!(
        report.notes[1].contains("readers will take 16384 tokens, and the model has 2048"),
        "{:?}",
        report.notes
    );
    let params: Json =
        serde_json::from_slice(&std::fs::read(folder.path().join("params.json")).unwrap()).unwrap();
    let expected = json!({
        "dim": 16, "multiple_of": 4, "n_heads": 4, "n_kv_heads": 2, "n_layers": 1, "norm_eps": 1e-5,
        "rope_theta": 1000000.0, "vocab_size": 11
    });
    assert_eq!(params, expected);
    let list = std::fs::read_to_string(folder.path().join("checklist.chk")).unwrap();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let (sum, name) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(sum, md5(bytes), "{name}");
    }
}

#[test]
fn a_tied_head_is_written_out() {
    let mut shapes = shapes();
    shapes.remove("lm_head.weight");
    let model = model(&shapes, json!({"tie_word_embeddings": true}));
    let folder = tempfile::tempdir().unwrap();
    write(&model, folder.path(), 1).unwrap();
    let file = TorchFile::open(folder.path().join("consolidated.00.pth")).unwrap();
    let (output, embedding) =
        (file.tensor("output.weight").unwrap(), file.tensor("tok_embeddings.weight").unwrap());
    assert_eq!(output.data, embedding.data);
}

#[test]
fn what_metas_code_does_not_know_is_refused() {
    let refused = |model: &HfModel, shards: usize| {
        let folder = tempfile::tempdir().unwrap();
        let message = write(model, folder.path(), shards).unwrap_err().to_string();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{message}");
        message
    };
    let all = shapes();
    for (changes, shards, expected) in [
        (json!({}), 0, "expected 1 to 64 shards"),
        (json!({}), 3, "a number of columns that 3 divides"),
        (json!({}), 4, "rows of 2 heads of an even width, and a number of heads that 4 divides"),
        (json!({"rope_scaling": {"type": "linear", "factor": 2.0}}), 1, "rope_scaling"),
        (
            json!({"head_dim": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "hidden_size": 18}),
            1,
            "head_dim",
        ),
        (json!({"model_type": "bloom"}), 1, "model_type"),
        (json!({"num_hidden_layers": 2}), 1, "expected 21 tensors"),
    ] {
        let message = refused(&model(&all, changes), shards);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let mut more = all.clone();
    more.insert("model.layers.0.self_attn.q_proj.bias".into(), vec![HIDDEN]);
    assert!(refused(&model(&more, json!({})), 1).contains("q_proj.bias"));
}

#[test]
fn released_sizes_have_the_shards_of_their_release() {
    let sized = |hidden: usize, heads: usize, layers: usize| {
        let mut model = MemorySource::default().model("tiny");
        for (key, value) in
            [("hidden_size", hidden), ("num_attention_heads", heads), ("num_hidden_layers", layers)]
        {
            model.config.insert(key.into(), value.into());
        }
        llama(&model, "Meta's form").unwrap()
    };
    for (hidden, heads, layers, shards) in [
        (4096, 32, 32, 1),
        (5120, 40, 40, 2),
        (6656, 52, 60, 4),
        (8192, 64, 48, 4),
        (8192, 64, 80, 8),
        (4096, 32, 30, 1),
    ] {
        assert_eq!(released_shards(&sized(hidden, heads, layers)), shards, "{hidden}");
    }
}
