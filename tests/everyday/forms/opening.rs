//! Opening what people have on their disks: tensors that nothing would read, files that are none, and what is harmless.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::tiny::{stderr, stdout, write_tiny_model, zoo};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use zoo::kernels;
use zoo::model::{Checkpoint, Kept, Residence, Wave, unwatched};
use zoo::weights::{self, TensorSource};

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";
const FREQUENCIES: &str = "model.layers.0.self_attn.rotary_emb.inv_freq";

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn tiny() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(folder.path());
    folder
}

fn tensors(file: &Path) -> Tensors {
    let bytes = fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let values = |view: &TensorView<'_>| {
        view.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    tensors.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), values(&view)))).collect()
}

fn write(file: &Path, tensors: &Tensors) {
    let bytes = |values: &Vec<f32>| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let raw: Vec<_> = tensors.iter().map(|(name, (shape, values))| (name, shape, bytes(values))).collect();
    let view = |(name, shape, bytes): &'_ (&String, &Vec<usize>, Vec<u8>)| {
        let bytes: &'static [u8] = Vec::leak(bytes.clone());
        ((*name).clone(), TensorView::new(Dtype::F32, (*shape).clone(), bytes).unwrap())
    };
    fs::write(file, safetensors::serialize(raw.iter().map(view), None).unwrap()).unwrap();
}

/// The tiny model with its tensors changed.
fn with(change: impl FnOnce(&mut Tensors)) -> tempfile::TempDir {
    let folder = tiny();
    let file = folder.path().join("model.safetensors");
    let mut all = tensors(&file);
    change(&mut all);
    write(&file, &all);
    folder
}

fn set_config(folder: &Path, changes: Value) {
    let file = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(file, config.to_string()).unwrap();
}

fn run(verb: &str, folder: &Path, more: &[&str]) -> (i32, String, String) {
    let mut args = vec![verb, folder.to_str().unwrap()];
    args.extend(more);
    let output = zoo(&args);
    (output.status.code().unwrap(), stdout(&output), stderr(&output))
}

/// The findings of `zoo verify` as one text, and whether it passed.
fn verified(folder: &Path) -> (bool, String) {
    let (code, out, err) = run("verify", folder, &["--format", "json"]);
    (code == 0, format!("{out}{err}"))
}

/// What `zoo convert` and `zoo eval` say when they refuse; both have to.
fn refused(folder: &Path) -> [String; 2] {
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("out");
    let (convert, _, said) = run("convert", folder, &["--out", target.to_str().unwrap()]);
    let (eval, _, answer) = run("eval", folder, &["--suite", "basics", "--limit", "1", "--dry-run"]);
    assert!(convert != 0 && eval != 0 && !target.exists(), "{convert} {eval}: {said}{answer}");
    [said, answer]
}

#[test]
fn a_tensor_that_no_network_reads_is_an_error_for_every_verb() {
    let norm = "model.layers.1.self_attn.q_norm.weight";
    let bias = "model.layers.0.self_attn.q_proj.bias";
    let layer = "model.layers.2.mlp.up_proj.weight";
    for (name, words) in [(norm, "another architecture"), (bias, "attention_bias"), (layer, "more layers")] {
        let folder = with(|all| {
            all.insert(name.to_owned(), (vec![16], vec![0.5; 16]));
        });
        for said in refused(folder.path()) {
            assert!(said.contains(name) && said.contains(words), "{name}: {said}");
        }
        let (passes, report) = verified(folder.path());
        assert!(!passes && report.contains(&name.replace('"', "")) && report.contains(words), "{report}");
    }
}

#[test]
fn known_buffers_are_a_note() {
    let folder = with(|all| {
        all.insert(FREQUENCIES.to_owned(), (vec![2], vec![1.0, 0.01]));
        all.insert("model.position_ids".to_owned(), (vec![1, 4], vec![0.0, 1.0, 2.0, 3.0]));
    });
    let (passes, report) = verified(folder.path());
    assert!(passes && report.contains("2 buffers, which are computed and not read"), "{report}");
    let out = folder.path().join("out");
    let (code, _, said) = run("convert", folder.path(), &["--out", out.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    assert!(!tensors(&out.join("model.safetensors")).keys().any(|name| name.contains("inv_freq")));
}

/// Checked with transformers 5.24, which takes the one matrix for both.
#[test]
fn a_tied_model_may_be_saved_as_its_output_matrix_alone() {
    let folder = with(|all| {
        let embedding = all.remove(EMBEDDING).unwrap();
        all.insert(HEAD.to_owned(), embedding);
    });
    let whole = tiny();
    let (passes, report) = verified(folder.path());
    assert!(passes && report.contains("serves as both"), "{report}");
    let out = folder.path().join("out");
    let (code, _, said) = run("convert", folder.path(), &["--out", out.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(tensors(&out.join("model.safetensors")), tensors(&whole.path().join("model.safetensors")));
    // Not where the two are different matrices.
    set_config(folder.path(), json!({"tie_word_embeddings": false}));
    assert!(!verified(folder.path()).0);
}

#[test]
fn a_model_may_be_saved_without_its_head() {
    let folder = with(|all| {
        let bare = |name: String| name.trim_start_matches("model.").to_owned();
        *all = std::mem::take(all).into_iter().map(|(name, t)| (bare(name), t)).collect();
    });
    let (passes, report) = verified(folder.path());
    assert!(passes, "{report}");
    let out = folder.path().join("out");
    let (code, _, said) = run("convert", folder.path(), &["--out", out.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(tensors(&out.join("model.safetensors")), tensors(&tiny().path().join("model.safetensors")));
    // Of a model with a head of its own that head is missing.
    set_config(folder.path(), json!({"tie_word_embeddings": false}));
    let (passes, report) = verified(folder.path());
    assert!(!passes && report.contains("lm_head.weight"), "{report}");
}

#[test]
fn of_a_tied_model_the_embedding_counts_whatever_the_output_matrix_is() {
    let folder = with(|all| {
        let other = all[EMBEDDING].1.iter().map(|x| 0.5 - x).collect();
        let shape = all[EMBEDDING].0.clone();
        all.insert(HEAD.to_owned(), (shape, other));
    });
    let (passes, report) = verified(folder.path());
    assert!(
        passes && report.contains("lm_head.weight differs") && report.contains("the embedding is used"),
        "{report}"
    );
    let logits = |folder: &Path| {
        let network = Checkpoint::open(folder).unwrap().load(kernels::default(), Residence::Memory).unwrap();
        let hidden = network.forward(&Wave::sequence(&[1, 5, 3]), Kept::All, &mut unwatched).unwrap();
        network.logits(hidden.view())
    };
    assert_eq!(logits(folder.path()), logits(tiny().path()));
    // What was trained apart has to be said.
    set_config(folder.path(), json!({"tie_word_embeddings": false}));
    assert_ne!(logits(folder.path()), logits(tiny().path()));
}

/// The tiny model in two files with an index, and what else `more` puts there.
fn sharded(more: impl FnOnce(&Path, &mut Tensors, &mut BTreeMap<String, String>)) -> tempfile::TempDir {
    let folder = tiny();
    let path = folder.path();
    let mut second = tensors(&path.join("model.safetensors"));
    fs::remove_file(path.join("model.safetensors")).unwrap();
    let mut first = second.split_off("model.layers.1");
    let name = |number: u8| format!("model-0000{number}-of-00002.safetensors");
    let mut index = BTreeMap::new();
    index.extend(first.keys().map(|tensor| (tensor.clone(), name(1))));
    index.extend(second.keys().map(|tensor| (tensor.clone(), name(2))));
    more(path, &mut first, &mut index);
    write(&path.join(name(1)), &first);
    write(&path.join(name(2)), &second);
    let index = json!({"metadata": {}, "weight_map": index});
    fs::write(path.join(weights::INDEX_FILE), format!("\u{feff}{index}")).unwrap();
    folder
}

#[test]
fn a_stale_shard_and_an_unlisted_buffer_are_read_by_nobody() {
    let folder = sharded(|path, first, _| {
        let stray = Tensors::from([(EMBEDDING.to_owned(), (vec![1, 1], vec![f32::NAN]))]);
        write(&path.join("model-00003-of-00003.safetensors"), &stray);
        first.insert(FREQUENCIES.to_owned(), (vec![2], vec![1.0, 0.01]));
    });
    let (passes, report) = verified(folder.path());
    assert!(passes, "{report}");
    for words in ["model-00003-of-00003.safetensors", "it is not read", "1 buffers", "inv_freq"] {
        assert!(report.contains(words), "{words}: {report}");
    }
    let (source, whole) = (weights::open(folder.path()).unwrap(), tiny());
    let whole = weights::open(whole.path()).unwrap();
    assert_eq!(source.tensors(), whole.tensors());
    assert_eq!(source.tensor(EMBEDDING).unwrap().data, whole.tensor(EMBEDDING).unwrap().data);

    // A weight that the index does not list is no buffer.
    let folder = sharded(|_, _, index| drop(index.remove("model.norm.weight")));
    let error = weights::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("model.norm.weight") && error.contains("does not list"), "{error}");
}

#[test]
fn marks_before_texts_and_what_macos_leaves_are_passed_over() {
    let folder = tiny();
    let path = folder.path();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        let text = fs::read_to_string(path.join(name)).unwrap();
        fs::write(path.join(name), format!("\u{feff}{text}")).unwrap();
    }
    let apple = [0x00, 0x05, 0x16, 0x07, 0x00, 0x02, 0x00, 0x00];
    fs::write(path.join("._model.safetensors"), apple).unwrap();
    let (passes, report) = verified(path);
    assert!(passes, "{report}");

    let gguf = tempfile::tempdir().unwrap();
    let target = gguf.path().join("m.gguf");
    let (code, _, said) = run("convert", path, &["--out", target.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    fs::write(gguf.path().join("._m.gguf"), apple).unwrap();
    let (passes, report) = verified(gguf.path());
    assert!(passes && report.contains("GGUF"), "{report}");
    let (_, report) = verified(&gguf.path().join("._m.gguf"));
    assert!(report.contains("AppleDouble"), "{report}");

    let yaml: Value = zoo::base::yaml::parse("a.yaml", "\u{feff}a: 1\n").unwrap();
    assert_eq!(yaml, json!({"a": 1}));
}

#[test]
fn what_stands_in_place_of_a_file_is_named_whatever_the_format() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    let page = "<!DOCTYPE html><html><body>Log in</body></html>";
    let answer = "Entry not found";
    for name in ["model.safetensors", "pytorch_model.bin", "m.gguf", weights::INDEX_FILE] {
        for (text, words) in [(pointer, "Git LFS pointer"), (page, "a web page"), (answer, "Entry not found")]
        {
            let folder = tiny();
            let path = folder.path();
            fs::remove_file(path.join("model.safetensors")).unwrap();
            let of_index = name == weights::INDEX_FILE && text == answer;
            fs::write(path.join(name), text).unwrap();
            let path = if name == "m.gguf" { path.join(name) } else { path.to_owned() };
            let (passes, report) = verified(&path);
            // An index is a text, so a text is only said to be no JSON.
            assert!(!passes && (of_index || report.contains(words)), "{name}, {words}: {report}");
        }
    }
    for name in ["config.json", "tokenizer.json"] {
        let folder = tiny();
        fs::write(folder.path().join(name), page).unwrap();
        let (passes, report) = verified(folder.path());
        assert!(!passes && report.contains(name) && report.contains("a web page"), "{name}: {report}");
    }
}

#[test]
#[cfg(unix)]
fn links_to_nowhere_say_where_they_lead() {
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        let folder = tiny();
        let file = folder.path().join(name);
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("../../blobs/0123abc", &file).unwrap();
        let (passes, report) = verified(folder.path());
        assert!(
            !passes && report.contains("../../blobs/0123abc") && report.contains(name),
            "{name}: {report}"
        );
    }
}

#[test]
fn placeholders_and_wrapped_names_are_named_for_what_they_are() {
    let folder = with(|all| all.values_mut().for_each(|tensor| *tensor = (vec![0], vec![])));
    for said in refused(folder.path()) {
        assert!(said.contains("ZeRO-3") && said.contains("zero_to_fp32"), "{said}");
    }
    for (prefix, words) in [
        ("module.", "DeepSpeed"),
        ("_orig_mod.", "torch.compile"),
        ("base_model.model.", "PEFT"),
        ("_fsdp_wrapped_module.", "FSDP"),
    ] {
        let folder = with(|all| {
            *all = std::mem::take(all).into_iter().map(|(name, t)| (format!("{prefix}{name}"), t)).collect();
        });
        for said in refused(folder.path()) {
            assert!(said.contains(prefix) && said.contains(words), "{prefix}: {said}");
        }
    }
    // Layers that were wrapped one by one.
    for (mark, words) in [
        ("_orig_mod.", "torch.compile"),
        ("_fsdp_wrapped_module.", "FSDP"),
        ("_checkpoint_wrapped_module.", "activation checkpointing"),
    ] {
        let folder = with(|all| {
            let wrapped = |name: String| name.replace("layers.0.", &format!("layers.0.{mark}"));
            *all = std::mem::take(all).into_iter().map(|(name, t)| (wrapped(name), t)).collect();
        });
        for said in refused(folder.path()) {
            assert!(said.contains(mark) && said.contains(words), "{mark}: {said}");
        }
    }
}

#[test]
fn metas_llama_3_is_not_taken_for_code_llama() {
    let folder = tempfile::tempdir().unwrap();
    let params = json!({"dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 128_256,
        "multiple_of": 64, "ffn_dim_multiplier": 1.3, "norm_eps": 1e-5, "rope_theta": 500_000.0});
    fs::write(folder.path().join("params.json"), params.to_string()).unwrap();
    fs::write(folder.path().join("tokenizer.model"), "IQ== 0\nIg== 1\n").unwrap();
    // It is read, so that the weights are what is missing; with another generation's theta it is refused.
    for said in refused(folder.path()) {
        assert!(said.contains("consolidated.00.pth"), "{said}");
    }
    let other = params.to_string().replace("500000", "1000000");
    fs::write(folder.path().join("params.json"), other).unwrap();
    for said in refused(folder.path()) {
        assert!(said.contains("Llama 3") && said.contains("rope_theta"), "{said}");
    }
    // A part of a vocabulary, beside weights in another layout.
    let folder = tiny();
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    fs::write(folder.path().join("tokenizer.model"), "IQ== 0\nIg== 1\n").unwrap();
    let (passes, report) = verified(folder.path());
    assert!(!passes && report.contains("a vocabulary of tiktoken"), "{report}");
}

#[test]
fn a_scaling_that_is_half_said_is_refused_and_an_older_one_wins() {
    let folder = tiny();
    set_config(folder.path(), json!({"rope_scaling": {"factor": 2.0}}));
    let (code, _, said) = run("eval", folder.path(), &["--suite", "basics", "--limit", "1", "--dry-run"]);
    assert!(code != 0 && said.contains("rope_scaling.rope_type") && said.contains("beside factor"), "{said}");
    let (passes, report) = verified(folder.path());
    assert!(!passes && report.contains("rope_scaling.rope_type"), "{report}");
    let both = json!({"rope_scaling": {"type": "linear", "factor": 2.0},
        "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 5000.0}});
    set_config(folder.path(), both);
    let out = folder.path().join("m.gguf");
    let (code, _, said) = run("convert", folder.path(), &["--out", out.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    let file = weights::GgufFile::open(&out).unwrap();
    assert_eq!(file.metadata().float("llama.rope.scaling.factor").unwrap(), Some(2.0));
    assert_eq!(file.metadata().float("llama.rope.freq_base").unwrap(), Some(10_000.0));
}

/// Gives the tokenizer of a folder one token more, `[PAD]`, and says so in its settings or not.
fn add_padding(folder: &Path, is_said: bool) {
    let change = |name: &str, change: &dyn Fn(&mut Value)| {
        let file = folder.join(name);
        let mut value: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        change(&mut value);
        fs::write(file, value.to_string()).unwrap();
    };
    change("tokenizer.json", &|value| {
        let token = json!({"id": 258, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true});
        value["added_tokens"].as_array_mut().unwrap().push(token);
    });
    if is_said {
        change("tokenizer_config.json", &|value| value["pad_token"] = json!("[PAD]"));
    }
}

#[test]
fn a_padding_token_more_than_rows_is_a_note_in_a_model_and_in_an_adapter() {
    let (said, silent) = (tiny(), tiny());
    add_padding(said.path(), true);
    add_padding(silent.path(), false);
    let (passes, report) = verified(said.path());
    assert!(passes && report.contains("all but the padding token"), "{report}");
    assert!(!verified(silent.path()).0, "any other token needs its row");

    let base = tiny();
    for (tokenizer, merges) in [(said.path(), true), (silent.path(), false)] {
        let adapter = tempfile::tempdir().unwrap();
        let path = adapter.path();
        let config = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none"});
        fs::write(path.join("adapter_config.json"), format!("\u{feff}{config}")).unwrap();
        let half = |layer: usize, half: &str, shape: [usize; 2]| {
            let name = format!("base_model.model.model.layers.{layer}.self_attn.q_proj.{half}.weight");
            (name, (shape.to_vec(), vec![0.25; 32]))
        };
        let halves =
            (0..2).flat_map(|layer| [half(layer, "lora_A", [2, 16]), half(layer, "lora_B", [16, 2])]);
        write(&path.join("adapter_model.safetensors"), &halves.collect());
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            fs::copy(tokenizer.join(name), path.join(name)).unwrap();
        }
        let out = path.join("merged");
        let given = [("base", base.path()), ("adapter", path)]
            .map(|(name, path)| format!("{name}={}", path.display()));
        let output = zoo(&[
            "build",
            "--rule",
            "peft_lora",
            "--from",
            &given[0],
            "--from",
            &given[1],
            "--out",
            out.to_str().unwrap(),
        ]);
        let text = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.success(), merges, "{text}");
        let words = if merges { "the one more is the padding token" } else { "found 259 tokens" };
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_llama3_scaling_of_any_context_comes_back_from_zoos_own_gguf() {
    let folder = tiny();
    let rule = json!({"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 1024});
    set_config(folder.path(), json!({"rope_scaling": rule}));
    let gguf = folder.path().join("m.gguf");
    let (code, _, said) = run("convert", folder.path(), &["--out", gguf.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    let (passes, report) = verified(&gguf);
    assert!(passes, "{report}");
    let out = folder.path().join("back");
    let (code, _, said) = run("convert", &gguf, &["--out", out.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
}
