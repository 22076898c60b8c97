//! Merges and refusals, over a small base and adapters written to disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::f16;
use safetensors::tensor::{Dtype as StDtype, TensorView as StView};
use serde_json::{Value, json};

use super::*;
use crate::forms::sample::{HIDDEN, ROWS, tiny};
use crate::forms::{HfModel, Sidecar, SidecarContent};
use crate::rebuild::delta::{EMBEDDING, OUTPUT};
use crate::registry::Rule;
use crate::weights::TensorSource;

/// An adapter that is to be written.
#[derive(Clone)]
struct Draft {
    config: Value,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

const TARGETS: [&str; 2] = ["q_proj", "v_proj"];

/// Rank 2, alpha 3, on q and v of both layers.
fn draft() -> Draft {
    let config = json!({
        "peft_type": "LORA", "r": 2, "lora_alpha": 3, "bias": "none", "target_modules": TARGETS,
        "modules_to_save": null, "fan_in_fan_out": false
    });
    let mut draft = Draft { config, tensors: BTreeMap::new() };
    for layer in 0..2 {
        for target in TARGETS {
            let module = format!("model.layers.{layer}.self_attn.{target}");
            let values =
                |salt: usize| (0..2 * HIDDEN).map(|i| ((i * 5 + layer + salt) % 7) as f32 / 16.0).collect();
            draft.put(&format!("base_model.model.{module}.lora_A.weight"), &[2, HIDDEN], values(1));
            draft.put(&format!("base_model.model.{module}.lora_B.weight"), &[HIDDEN, 2], values(4));
        }
    }
    draft
}

impl Draft {
    fn put(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        self.tensors.insert(name.to_owned(), (shape.to_vec(), values));
    }

    fn set(mut self, key: &str, value: Value) -> Draft {
        self.config[key] = value;
        self
    }

    /// With an embedding and an output layer of this many rows, all of one value.
    fn saving(mut self, rows: usize, value: f32) -> Draft {
        self.config["modules_to_save"] = json!(["embed_tokens", "lm_head"]);
        for name in [EMBEDDING, OUTPUT] {
            self.put(&format!("base_model.model.{name}"), &[rows, HIDDEN], vec![value; rows * HIDDEN]);
        }
        self
    }

    fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("adapter_config.json"), self.config.to_string()).unwrap();
        let bytes: BTreeMap<&String, (Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, (shape, values))| {
                (name, (shape.clone(), values.iter().flat_map(|x| x.to_le_bytes()).collect()))
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, (shape, data))| (name, StView::new(StDtype::F32, shape.clone(), data).unwrap()));
        fs::write(folder.join("adapter_model.safetensors"), safetensors::serialize(views, None).unwrap())
            .unwrap();
    }
}

fn merged(draft: &Draft, rule: Rule) -> Result<(HfModel, Vec<String>), String> {
    merge_into(tiny().model("base"), draft, rule, None)
}

fn merge_into(
    base: HfModel,
    draft: &Draft,
    rule: Rule,
    tokens: Option<usize>,
) -> Result<(HfModel, Vec<String>), String> {
    let folder = tempfile::tempdir().unwrap();
    draft.write(folder.path());
    let mut adapter = Adapter::open(folder.path()).map_err(|e| e.to_string())?;
    if let Some(all) = tokens {
        adapter.tokens = Some(adapter::VocabularySize { all, needed: all });
        let content = SidecarContent::Bytes(b"vocabulary".to_vec());
        adapter.sidecars = vec![Sidecar { name: "tokenizer.model".into(), content }];
    }
    merge(base, adapter, rule).map_err(|e| e.to_string())
}

fn refused(draft: &Draft, parts: &[&str]) {
    let text = merged(draft, Rule::PeftLora).err().unwrap();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

fn values(source: &dyn TensorSource, name: &str) -> Vec<f32> {
    source.tensor(name).unwrap().to_f32().unwrap()
}

/// `f16(W + scale · B A)`, by the definition.
fn expected(draft: &Draft, module: &str, weight: &[f32], scale: f32) -> Vec<f32> {
    let half = |half: &str| draft.tensors[&format!("base_model.model.{module}.{half}.weight")].1.clone();
    let (a, b) = (half("lora_A"), half("lora_B"));
    let product =
        |row: usize, column: usize| (0..2).map(|k| b[row * 2 + k] * a[k * HIDDEN + column]).sum::<f32>();
    let sum = |(i, w): (usize, &f32)| f16::from_f32(w + scale * product(i / HIDDEN, i % HIDDEN)).to_f32();
    weight.iter().enumerate().map(sum).collect()
}

#[test]
fn adds_the_scaled_product_to_the_targets_alone() {
    for (draft, scale) in
        [(draft(), 1.5), (draft().set("use_rslora", json!(true)), (3.0 / 2f64.sqrt()) as f32)]
    {
        let (model, notes) = merged(&draft, Rule::PeftLora).unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        let base = tiny();
        assert_eq!(model.tensors.tensors(), base.tensors());
        for info in base.tensors() {
            let module = info.name.trim_end_matches(".weight");
            let old = values(&base, &info.name);
            let target = TARGETS.iter().any(|target| module.ends_with(target));
            let new = if target { expected(&draft, module, &old, scale) } else { old };
            assert_eq!(values(model.tensors.as_ref(), &info.name), new, "{}", info.name);
        }
    }
}

#[test]
fn names_with_an_infix_or_without_prefix_give_the_same() {
    let plain = merged(&draft(), Rule::PeftLora).unwrap().0;
    let renamed = |f: &dyn Fn(&str) -> String| {
        let mut other = draft();
        other.tensors = other.tensors.into_iter().map(|(name, tensor)| (f(&name), tensor)).collect();
        other
    };
    let name = "model.layers.1.self_attn.v_proj.weight";
    for other in [
        renamed(&|name| name.replace(".weight", ".default.weight")),
        renamed(&|name| name.replace("base_model.model.", "")),
    ] {
        let model = merged(&other, Rule::PeftLora).unwrap().0;
        assert_eq!(values(model.tensors.as_ref(), name), values(plain.tensors.as_ref(), name));
    }
}

#[test]
fn saved_modules_replace_and_the_vocabulary_grows_in_order() {
    let (first, _) =
        merge_into(tiny().model("base"), &draft().saving(8, 0.25), Rule::ChineseLora, Some(8)).unwrap();
    assert_eq!(first.config["vocab_size"], 8);
    assert_eq!(first.sidecars.len(), 1);
    let (second, _) = merge_into(first, &draft().saving(9, 0.5), Rule::ChineseLora, Some(9)).unwrap();
    assert_eq!(second.tensors.tensor(OUTPUT).unwrap().info.shape, [9, HIDDEN]);
    assert_eq!(values(second.tensors.as_ref(), EMBEDDING), vec![0.5; 9 * HIDDEN]);
    assert_eq!((second.config["vocab_size"].as_u64(), second.sidecars.len()), (Some(9), 1));
    // Both products, each rounded to f16.
    let module = "model.layers.0.self_attn.q_proj";
    let name = format!("{module}.weight");
    let once = expected(&draft(), module, &values(&tiny(), &name), 1.5);
    assert_eq!(values(second.tensors.as_ref(), &name), expected(&draft(), module, &once, 1.5));
    let text = merge_into(second, &draft().saving(8, 0.25), Rule::ChineseLora, Some(8)).err().unwrap();
    assert!(text.contains("at least the 9 rows") && text.contains("found 8 rows"), "{text}");
}

/// The names and shapes that PEFT 0.21.2 saves for `target_modules=["q_proj", "lm_head", "embed_tokens"]`.
fn of_the_vocabulary() -> Draft {
    let mut draft = draft().set("target_modules", json!(["q_proj", "v_proj", "lm_head", "embed_tokens"]));
    let numbers =
        |count: usize, salt: usize| (0..count).map(|i| ((i * 3 + salt) % 5) as f32 / 8.0).collect::<Vec<_>>();
    let base = tiny();
    for name in [EMBEDDING, OUTPUT] {
        let module = name.trim_end_matches(".weight");
        draft.put(
            &format!("base_model.model.{module}.base_layer.weight"),
            &[ROWS, HIDDEN],
            values(&base, name),
        );
    }
    draft.put("base_model.model.lm_head.lora_A.weight", &[2, HIDDEN], numbers(2 * HIDDEN, 1));
    draft.put("base_model.model.lm_head.lora_B.weight", &[ROWS, 2], numbers(2 * ROWS, 2));
    draft.put("base_model.model.model.embed_tokens.lora_embedding_A", &[2, ROWS], numbers(2 * ROWS, 3));
    draft.put("base_model.model.model.embed_tokens.lora_embedding_B", &[HIDDEN, 2], numbers(2 * HIDDEN, 4));
    draft
}

#[test]
fn embedding_and_output_layer_may_be_targets() {
    let draft = of_the_vocabulary();
    let (model, notes) = merged(&draft, Rule::PeftLora).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let base = tiny();
    let half = |name: &str| draft.tensors[&format!("base_model.model.{name}")].1.clone();
    assert_eq!(
        values(model.tensors.as_ref(), OUTPUT),
        expected(&draft, "lm_head", &values(&base, OUTPUT), 1.5)
    );
    // scale · (B A)ᵀ, rounded before it is added, as `Embedding.merge` of PEFT 0.21.2 does; its bits were compared.
    let (a, b) = (half("model.embed_tokens.lora_embedding_A"), half("model.embed_tokens.lora_embedding_B"));
    let product =
        |row: usize, column: usize| (0..2).map(|k| b[column * 2 + k] * a[k * ROWS + row]).sum::<f32>();
    let old = values(&base, EMBEDDING);
    let rounded = |x: f32| f16::from_f32(x).to_f32();
    let sum = |(i, w): (usize, &f32)| rounded(w + rounded(1.5 * product(i / HIDDEN, i % HIDDEN)));
    assert_eq!(
        values(model.tensors.as_ref(), EMBEDDING),
        old.iter().enumerate().map(sum).collect::<Vec<_>>()
    );

    // PEFT loads the saved weight into the base, so another one counts.
    let mut other = draft.clone();
    let doubled: Vec<f32> = values(&base, OUTPUT).iter().map(|x| 2.0 * x).collect();
    other.put("base_model.model.lm_head.base_layer.weight", &[ROWS, HIDDEN], doubled.clone());
    let (model, _) = merged(&other, Rule::PeftLora).unwrap();
    assert_eq!(values(model.tensors.as_ref(), OUTPUT), expected(&other, "lm_head", &doubled, 1.5));
}

#[test]
fn a_weight_below_no_update_and_updates_of_a_tied_vocabulary_are_refused() {
    let mut lonely = of_the_vocabulary();
    lonely.tensors.retain(|name, _| !name.starts_with("base_model.model.lm_head.lora_"));
    refused(&lonely, &["lm_head.base_layer.weight", "an update of lm_head"]);
    let tied = tiny().without(OUTPUT).model("base");
    let text = merge_into(tied, &of_the_vocabulary(), Rule::PeftLora, None).err().unwrap();
    assert!(text.contains("the base's output matrix is its embedding") && text.contains("untie"), "{text}");
    let tied = tiny().without(OUTPUT).model("base");
    assert!(merge_into(tied, &draft(), Rule::PeftLora, None).is_ok());
    // A file may have both matrices, of which one is not used: its update would be lost.
    let tied = || {
        let mut base = tiny().model("base");
        base.config.insert("tie_word_embeddings".to_owned(), json!(true));
        base
    };
    let text = merge_into(tied(), &of_the_vocabulary(), Rule::PeftLora, None).err().unwrap();
    assert!(text.contains("the base's output matrix is its embedding"), "{text}");
    assert!(merge_into(tied(), &draft(), Rule::PeftLora, None).is_ok());
}

#[test]
fn a_padding_token_needs_no_row() {
    let folder = tempfile::tempdir().unwrap();
    draft().write(folder.path());
    let merged = |needed| {
        let mut adapter = Adapter::open(folder.path()).unwrap();
        adapter.tokens = Some(adapter::VocabularySize { all: ROWS + 1, needed });
        merge(tiny().model("base"), adapter, Rule::PeftLora).map_err(|e| e.to_string())
    };
    let notes = merged(ROWS).unwrap().1.join("");
    assert!(notes.contains("7 tokens for 6 rows") && notes.contains("padding token"), "{notes}");
    assert!(merged(ROWS + 1).err().unwrap().contains("rows of embed_tokens, 6, found 7 tokens"));
}

#[test]
fn rows_need_tokens() {
    let saving =
        |rows, tokens, rule| merge_into(tiny().model("base"), &draft().saving(rows, 0.5), rule, tokens);
    let text = saving(8, None, Rule::PeftLora).err().unwrap();
    assert!(text.contains("a tokenizer of 8 tokens") && text.contains("6 rows before"), "{text}");
    assert!(saving(ROWS, None, Rule::ChineseLora).is_ok());
    for (rows, tokens) in [(9, 8), (8, 9), (256, 8)] {
        let text = saving(rows, Some(tokens), Rule::PeftLora).err().unwrap();
        assert!(text.contains(&format!("{rows}, found {tokens} tokens")), "{text}");
    }
    let notes = saving(16, Some(11), Rule::PeftLora).unwrap().1;
    assert!(notes.join("").contains("16 rows for 11 tokens"), "{notes:?}");
    assert!(saving(16, Some(11), Rule::ChineseLora).is_err());
}

#[test]
fn incomplete_and_foreign_adapters_are_refused() {
    let q = "base_model.model.model.layers.0.self_attn.q_proj";
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut draft = draft();
        change(&mut draft);
        draft
    };
    refused(
        &with(&|d| d.tensors.clear()),
        &["tensors lora_A and lora_B", "none of them lora_", "empty adapter"],
    );
    let no_b = with(&|d| drop(d.tensors.remove(&format!("{q}.lora_B.weight"))));
    refused(&no_b, &["model.layers.0.self_attn.q_proj.lora_B.weight", "no lora_B", "incomplete"]);
    let no_a = with(&|d| drop(d.tensors.remove(&format!("{q}.lora_A.weight"))));
    refused(&no_a, &["lora_A.weight beside it", "no lora_A"]);
    refused(&draft().set("r", json!(4)), &["rank 4", "[2, 4]"]);
    let narrow = with(&|d| d.put(&format!("{q}.lora_A.weight"), &[2, 3], vec![0.0; 6]));
    refused(&narrow, &["lora_A with 4 columns", "found 3 columns", "another size"]);
    let short = with(&|d| d.put(&format!("{q}.lora_B.weight"), &[3, 2], vec![1.0; 6]));
    refused(&short, &["lora_B with 4 rows", "found 3 rows"]);
    refused(&draft().set("target_modules", json!(["q_proj"])), &["v_proj", "a module of target_modules"]);
    let more = draft().set("target_modules", json!(["q_proj", "v_proj", "k_proj"]));
    refused(&more, &["updates of 6 modules", "found 4 of them, none for model.layers.0.self_attn.k_proj"]);
    let unknown = draft().set("target_modules", json!(["q_proj", "v_proj", "query_key_value"]));
    refused(&unknown, &["target_modules that the base has", "query_key_value"]);
    let deep = with(&|d| {
        for half in ["lora_A", "lora_B"] {
            let tensor = d.tensors[&format!("{q}.{half}.weight")].clone();
            d.tensors.insert(format!("{}.{half}.weight", q.replace("layers.0", "layers.7")), tensor);
        }
    });
    refused(&deep, &["one of layer 7; the base has 2 layers"]);
    refused(&with(&|d| d.put(&format!("{q}.lora_magnitude_vector"), &[HIDDEN], vec![1.0; 4])), &["DoRA"]);
    refused(
        &with(&|d| d.put("base_model.model.model.norm.weight", &[HIDDEN], vec![1.0; 4])),
        &["model.norm.weight", "only modules of modules_to_save"],
    );
    let wrapped = with(&|d| {
        d.tensors =
            std::mem::take(&mut d.tensors).into_iter().map(|(n, t)| (format!("module.{n}"), t)).collect();
    });
    refused(&wrapped, &["names that all begin with \"module.\"", "DeepSpeed"]);
    let empty = with(&|d| d.put(&format!("{q}.lora_B.weight"), &[0], vec![]));
    refused(&empty, &["q_proj.lora_B.weight", "ZeRO-3"]);
    refused(&with(&|d| d.put("classifier", &[1], vec![1.0])), &["classifier", "another tensor"]);
    let both = with(&|d| {
        let tensor = d.tensors[&format!("{q}.lora_A.weight")].clone();
        d.tensors.insert(format!("{q}.lora_A.other.weight"), tensor);
    });
    refused(&both, &["several adapters"]);
    let nan = with(&|d| d.put(&format!("{q}.lora_A.weight"), &[2, HIDDEN], vec![f32::NAN; 8]));
    refused(&nan, &["finite values", "8 that are NaN or infinite"]);
}

#[test]
fn matrices_of_whole_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    draft().write(folder.path());
    let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    let quants = StView::new(StDtype::I8, vec![2, HIDDEN], &[1; 2 * HIDDEN]).unwrap();
    let file = safetensors::serialize([(name, quants)], None).unwrap();
    fs::write(folder.path().join("adapter_model.safetensors"), file).unwrap();
    let text = Adapter::open(folder.path()).err().unwrap().to_string();
    assert!(text.contains(name) && text.contains("I8") && text.contains("scales"), "{text}");
}

#[test]
fn saved_modules_must_fit() {
    let uneven = |mut draft: Draft, name: &str, rows: usize, columns: usize| {
        draft.put(&format!("base_model.model.{name}"), &[rows, columns], vec![0.0; rows * columns]);
        draft
    };
    refused(
        &uneven(draft().saving(8, 0.5), OUTPUT, 9, HIDDEN),
        &["as many rows in lm_head", "8", "found 9 rows"],
    );
    let wide = uneven(uneven(draft().saving(8, 0.5), OUTPUT, 8, 5), EMBEDDING, 8, 5);
    refused(&wide, &["shape [6, 4], as in the base", "found [8, 5]"]);
    let mut one = draft().saving(8, 0.5).set("modules_to_save", json!(["embed_tokens"]));
    one.tensors.remove(&format!("base_model.model.{OUTPUT}"));
    refused(&one, &["8 rows in lm_head too", "found 6 rows"]);
    let mut absent = draft().saving(8, 0.5);
    absent.tensors.remove(&format!("base_model.model.{OUTPUT}"));
    refused(&absent, &["lm_head, which modules_to_save lists"]);
}

#[test]
fn layers_can_be_left_out_on_purpose_and_notes_are_given() {
    let mut partial = draft().set("layers_to_transform", json!([1]));
    // PEFT would leave the update of layer 0 out without a word.
    refused(&partial, &["model.layers.0.self_attn.q_proj", "layers_to_transform"]);
    partial.tensors.retain(|name, _| name.contains("layers.1."));
    assert!(merged(&partial, Rule::PeftLora).is_ok());
    let mut zero = draft();
    for (name, (_, values)) in &mut zero.tensors {
        if name.contains("lora_B") {
            values.fill(0.0);
        }
    }
    let notes = merged(&zero, Rule::PeftLora).unwrap().1.join("");
    assert!(notes.contains("all lora_B are zero"), "{notes}");
    let notes = merged(&draft().set("lora_alpha", json!(0)), Rule::PeftLora).unwrap().1.join("");
    assert!(notes.contains("or lora_alpha is"), "{notes}");
    let unlisted = draft().saving(ROWS, 0.5).set("modules_to_save", json!(null));
    let notes = merged(&unlisted, Rule::PeftLora).unwrap().1.join("");
    assert!(notes.contains("it replaces the base's"), "{notes}");
}

#[test]
fn a_folder_without_weights_or_configuration_says_so() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Adapter::open(folder.path()).err().unwrap().to_string().contains("adapter_config.json"));
    draft().write(folder.path());
    fs::remove_file(folder.path().join("adapter_model.safetensors")).unwrap();
    let text = Adapter::open(folder.path()).err().unwrap().to_string();
    assert!(text.contains("adapter_model.safetensors or adapter_model.bin"), "{text}");
    #[cfg(unix)]
    {
        let config = folder.path().join("adapter_config.json");
        fs::remove_file(&config).unwrap();
        std::os::unix::fs::symlink("../../blobs/0", &config).unwrap();
        let text = Adapter::open(folder.path()).err().unwrap().to_string();
        assert!(text.contains("adapter_config.json") && text.contains("../../blobs/0"), "{text}");
    }
}
