//! `zoo verify`: good models pass, and each silent accident is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::tiny::{stderr, stdout, write_tiny_model, zoo};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use zoo::rebuild::BuildRecord;
use zoo::store::{LOCK_FILE, Lock, LockedFile};
use zoo::weights::FileDigests;

/// Heads of the tiny model, and rows of each.
const HEADS: [(&str, usize); 2] = [("q_proj", 4), ("k_proj", 2)];

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A tiny model in a folder of its own, its tensors changed by `change`.
fn model(change: impl FnOnce(&mut Tensors)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(folder.path());
    change_tensors(folder.path(), change);
    folder
}

fn change_tensors(folder: &Path, change: impl FnOnce(&mut Tensors)) {
    let file = folder.join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let mut tensors = Tensors::new();
    for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
        let values = view.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        tensors.insert(name, (view.shape().to_vec(), values));
    }
    change(&mut tensors);
    let raw: BTreeMap<&String, (&Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| (name, (shape, values.iter().flat_map(|x| x.to_le_bytes()).collect())))
        .collect();
    let views = raw.iter().map(|(name, (shape, bytes))| {
        ((*name).clone(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn change_config(folder: &Path, key: &str, value: Value) {
    let file = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config[key] = value;
    fs::write(file, config.to_string()).unwrap();
}

/// Exit code and report.
fn verified(folder: &Path, more: &[&str]) -> (i32, Value) {
    let mut args = vec!["verify", folder.to_str().unwrap(), "--format", "json"];
    args.extend(more);
    let output = zoo(&args);
    let text = stdout(&output);
    let reports: Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{}", stderr(&output)));
    (output.status.code().unwrap(), reports[0].clone())
}

/// The findings of one check that are worse than notes, as (level, class, place, found).
fn worse(report: &Value, check: &str) -> Vec<(String, String, String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["check"] == check && (f["level"] == "warning" || f["level"] == "failure"))
        .map(|f| (text(f, "level"), text(f, "class"), text(f, "place"), text(f, "found")))
        .collect()
}

/// All rows of queries and keys so that the two rows of a rotated pair are alike, as training leaves them.
fn alike_pairs(tensors: &mut Tensors) {
    for (name, (shape, values)) in tensors.iter_mut() {
        let Some((_, heads)) = HEADS.iter().find(|(part, _)| name.contains(part)) else { continue };
        let (rows, columns) = (shape[0], shape[1]);
        let head = rows / heads;
        for row in (0..rows).filter(|row| row % head >= head / 2) {
            let partner = (row - head / 2) * columns;
            values.copy_within(partner..partner + columns, row * columns);
        }
    }
}

/// Hugging Face's order of rows to Meta's, in those matrices whose names contain `only`.
fn meta_order(tensors: &mut Tensors, only: &str) {
    for (name, (shape, values)) in tensors.iter_mut().filter(|(name, _)| name.contains(only)) {
        let Some((_, heads)) = HEADS.iter().find(|(part, _)| name.contains(part)) else { continue };
        let (columns, head) = (shape[1], shape[0] / heads);
        let old = values.clone();
        for (row, new) in values.chunks_mut(columns).enumerate() {
            let (start, r) = (row / head * head, row % head);
            let from = start + r / 2 + r % 2 * (head / 2);
            new.copy_from_slice(&old[from * columns..(from + 1) * columns]);
        }
    }
}

#[test]
fn a_good_model_passes() {
    let folder = model(alike_pairs);
    let (code, report) = verified(folder.path(), &["--strict"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["verdict"], "a whole model of LLaMA shape; 0 failures, 0 warnings");
    assert_eq!(report["kind"], json!({"model": "llama"}));
    let checks: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|f| f["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["form", "config", "tensors", "vocabulary", "finite", "values", "row-order"]);
    assert!(report["findings"].as_array().unwrap().iter().all(|f| f["level"] == "ok"), "{report:#}");

    let table = stdout(&zoo(&["verify", folder.path().to_str().unwrap()]));
    let last = table.lines().last().unwrap();
    assert_eq!(last, "a whole model of LLaMA shape; 0 failures, 0 warnings: it can be evaluated (zoo eval)");
}

#[test]
fn fast_reads_no_values() {
    let folder = model(|tensors| tensors.get_mut("model.norm.weight").unwrap().1[0] = f32::NAN);
    let (code, report) = verified(folder.path(), &["--fast"]);
    assert_eq!(code, 0, "{report:#}");
    assert!(report["next"].as_str().unwrap().contains("without --fast"), "{report:#}");
    assert!(!report["findings"].as_array().unwrap().iter().any(|f| f["check"] == "finite"));
}

#[test]
fn values_that_are_not_finite_fail() {
    let folder = model(|tensors| {
        let values = &mut tensors.get_mut("model.layers.1.mlp.up_proj.weight").unwrap().1;
        (values[3], values[4], values[9]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    });
    let (code, report) = verified(folder.path(), &[]);
    assert_eq!(code, 1);
    let found = worse(&report, "finite");
    assert_eq!(found.len(), 1, "{found:?}");
    let (level, class, place, text) = &found[0];
    assert_eq!((level.as_str(), class.as_str()), ("failure", "non-finite values"));
    assert!(
        place.contains("layers.1.mlp.up_proj") && text == "1 NaN and 2 infinite values",
        "{place}: {text}"
    );
    let message = stderr(&zoo(&["verify", folder.path().to_str().unwrap()]));
    assert!(message.contains("does not pass: non-finite values"), "{message}");
}

#[test]
fn a_difference_is_told_from_a_model() {
    let folder = model(|tensors| {
        for (_, values) in tensors.values_mut() {
            // Norms are near 1 in the model and near 0 in a difference of models.
            let middle = if values.len() == 16 { 1.0 } else { 0.0 };
            values.iter_mut().for_each(|x| *x = (*x - middle) * 0.01);
        }
    });
    let (code, report) = verified(folder.path(), &[]);
    assert_eq!((code, &report["kind"]), (0, &json!("delta")), "{report:#}");
    assert!(report["verdict"].as_str().unwrap().starts_with("a difference to other weights, not a model"));
    assert!(worse(&report, "values")[0].3.contains("those of a difference"), "{report:#}");
    assert_eq!(verified(folder.path(), &["--strict"]).0, 1);
    // A card whose model was never released as a difference; its shape is another one too.
    let (code, report) = verified(folder.path(), &["--as", "smollm2-135m"]);
    assert_eq!(code, 1);
    assert_eq!(worse(&report, "values")[0].1, "not a model");
}

#[test]
fn an_untrained_model_is_told() {
    let folder = model(|tensors| {
        for (_, values) in tensors.values_mut().filter(|(shape, _)| shape.len() == 1) {
            values.fill(1.0);
        }
    });
    let (code, report) = verified(folder.path(), &[]);
    assert_eq!(code, 0);
    assert!(worse(&report, "values")[0].3.contains("every norm weight exactly 1"), "{report:#}");
}

#[test]
fn rows_in_metas_order_fail_in_each_layer_and_each_matrix() {
    for (only, words) in [
        ("", "q_proj and k_proj of all 2 layers"),
        ("q_proj", "q_proj alone of all 2 layers"),
        ("k_proj", "k_proj alone of all 2 layers"),
        ("layers.1.", "q_proj and k_proj of layer 1 of 2"),
        ("layers.0.self_attn.k_proj", "k_proj alone of layer 0 of 2"),
    ] {
        let folder = model(|tensors| {
            alike_pairs(tensors);
            meta_order(tensors, only);
        });
        let (code, report) = verified(folder.path(), &[]);
        let found = worse(&report, "row-order");
        assert_eq!((code, found.len()), (1, 1), "{only}: {report:#}");
        assert!(found[0].0 == "failure" && found[0].3.contains(words), "{only}: {found:?}");
    }
}

#[test]
fn dead_and_repeated_matrices_are_told() {
    let folder = model(|tensors| {
        tensors.get_mut("model.layers.0.mlp.up_proj.weight").unwrap().1.fill(0.0);
        let first = tensors["model.layers.0.mlp.down_proj.weight"].clone();
        tensors.insert("model.layers.1.mlp.down_proj.weight".into(), first);
        let rows = &mut tensors.get_mut("model.embed_tokens.weight").unwrap().1;
        rows[16..32].fill(0.0);
    });
    let (code, report) = verified(folder.path(), &[]);
    assert_eq!(code, 0);
    let found = worse(&report, "values");
    assert_eq!(found.len(), 2, "{report:#}");
    assert!(
        found[0].2.contains("layers.0.mlp.up_proj") && found[0].3.starts_with("0 in every place"),
        "{found:?}"
    );
    assert!(
        found[1].2.contains("layers.1.mlp.down_proj") && found[1].3.contains("layers.0.mlp.down_proj"),
        "{found:?}"
    );
    let text = report.to_string();
    assert!(text.contains("1 row (1) of zeros among 258"), "{report:#}");
}

#[test]
fn tensors_that_do_not_fit_the_configuration_fail() {
    let folder = model(|tensors| {
        tensors.remove("model.layers.1.self_attn.o_proj.weight");
        tensors.insert("model.layers.7.input_layernorm.weight".into(), (vec![16], vec![1.0; 16]));
    });
    change_config(folder.path(), "intermediate_size", json!(25));
    let (code, report) = verified(folder.path(), &["--fast"]);
    assert_eq!(code, 1);
    let found = worse(&report, "tensors");
    let classes: Vec<(&str, &str)> = found.iter().map(|f| (f.0.as_str(), f.1.as_str())).collect();
    assert_eq!(
        classes,
        [("failure", "missing data"), ("failure", "shape mismatch"), ("failure", "shape mismatch")],
        "{report:#}"
    );
    assert!(
        found[0].3.contains("layers.1.self_attn.o_proj") && found[1].3.contains("5 more tensors"),
        "{found:?}"
    );
    assert!(found[2].3.contains("model.layers.7.input_layernorm.weight"), "{found:?}");
}

#[test]
fn a_tokenizer_of_another_size_is_told() {
    let folder = model(|tensors| {
        let (shape, values) = tensors.get_mut("model.embed_tokens.weight").unwrap();
        shape[0] = 250;
        values.truncate(250 * 16);
    });
    change_config(folder.path(), "vocab_size", json!(250));
    let (code, report) = verified(folder.path(), &["--fast"]);
    assert_eq!((code, worse(&report, "vocabulary")[0].1.as_str()), (1, "shape mismatch"), "{report:#}");

    let folder = model(|tensors| {
        let (shape, values) = tensors.get_mut("model.embed_tokens.weight").unwrap();
        shape[0] = 260;
        values.extend([0.5; 32]);
    });
    change_config(folder.path(), "vocab_size", json!(260));
    change_config(folder.path(), "bos_token_id", json!(1));
    let (code, report) = verified(folder.path(), &["--fast"]);
    let found = worse(&report, "vocabulary");
    assert_eq!((code, found.len()), (0, 2), "{report:#}");
    assert!(found[0].3.contains("2 more than tokens") && found[1].3 == "bos_token_id 1", "{found:?}");
}

#[test]
fn values_that_contradict_the_card_are_told_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let (cards, weights) = (folder.path().join("cards"), folder.path().join("weights"));
    fs::create_dir_all(&cards).unwrap();
    write_tiny_model(&weights);
    let card = "id: tiny\nname: Tiny\nfamily: test\nlicense: none\nrelease: {kind: full}\nsources:\n- path: ../weights\n\
        architecture: {hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 4, \
        num_key_value_heads: 2, vocab_size: 258, max_context: 2048, rms_norm_eps: 1.0e-5, rope_theta: 10000.0, \
        tie_word_embeddings: true}\n";
    fs::write(cards.join("tiny.yaml"), card).unwrap();
    let with_cards = |more: &[&str]| {
        let mut args = vec!["--zoo-dir", cards.to_str().unwrap(), "verify", "tiny", "--format", "json"];
        args.extend(more);
        let output = zoo(&args);
        let text = stdout(&output);
        let reports: Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {}", stderr(&output)));
        (output.status.code().unwrap(), reports[0].clone())
    };
    let (code, report) = with_cards(&[]);
    assert_eq!((code, worse(&report, "card").len()), (0, 0), "{report:#}");
    assert_eq!(report["card"], "tiny");

    change_config(&weights, "rms_norm_eps", json!(1e-6));
    change_config(&weights, "rope_theta", json!(500_000.0));
    let (code, report) = with_cards(&["--fast"]);
    let found = worse(&report, "card");
    let fields: Vec<&str> = found.iter().map(|f| f.2.rsplit(": ").next().unwrap()).collect();
    assert_eq!((code, fields), (0, vec!["rms_norm_eps", "rope_theta"]), "{report:#}");
    assert_eq!(with_cards(&["--fast", "--strict"]).0, 1);

    // Another model altogether.
    let (code, report) = with_cards(&["--fast", "--as", "llama-7b"]);
    assert!(code == 1 && worse(&report, "card").iter().any(|f| f.0 == "failure"), "{report:#}");
}

#[test]
fn a_build_is_compared_with_its_lock() {
    let folder = model(alike_pairs);
    let path = folder.path();
    let source = zoo::weights::open(path).unwrap();
    let tensors = zoo::store::digest_tensors(source.as_ref(), &zoo::base::progress::Silent).unwrap();
    let file = |name: &str| LockedFile {
        name: name.to_owned(),
        size: fs::metadata(path.join(name)).unwrap().len(),
        sha256: Some(FileDigests::default().of(&[path.join(name)]).unwrap()),
    };
    let record =
        BuildRecord { model: None, rule: "convert".into(), arithmetic: "none".into(), inputs: vec![] };
    let lock = Lock::new(&record, vec![], tensors, vec![file("config.json"), file("model.safetensors")]);
    fs::write(path.join(LOCK_FILE), lock.to_yaml()).unwrap();
    let (code, report) = verified(path, &["--strict"]);
    assert_eq!(code, 0, "{report:#}");
    let lines = report["findings"].as_array().unwrap();
    let locked = lines.iter().find(|f| f["check"] == "lock").unwrap();
    assert!(locked["found"].as_str().unwrap().contains(&lock.tensors_sha256), "{locked}");

    // One bit of one value, and a setting.
    let weights = path.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    change_config(path, "rms_norm_eps", json!(1e-6));
    let (code, report) = verified(path, &[]);
    let found = worse(&report, "lock");
    assert_eq!((code, found.len()), (1, 3), "{report:#}");
    assert!(found.iter().all(|f| f.1 == "digest mismatch"), "{found:?}");
    assert!(found[2].2.starts_with("tensor \""), "{found:?}");

    // A tensor that the lock does not know, and one that is gone.
    change_tensors(path, |tensors| {
        let norm = tensors.remove("model.norm.weight").unwrap();
        tensors.insert("model.other.weight".into(), norm);
    });
    let (code, report) = verified(path, &["--fast"]);
    let classes: Vec<String> = worse(&report, "lock").into_iter().map(|f| f.1).collect();
    assert_eq!(code, 1);
    assert!(classes.contains(&"missing data".to_owned()), "{report:#}");
    assert!(classes.contains(&"inconsistent header".to_owned()), "{report:#}");

    fs::write(path.join(LOCK_FILE), "format: 7").unwrap();
    let (code, report) = verified(path, &["--fast"]);
    assert_eq!((code, worse(&report, "lock")[0].1.as_str()), (1, "refused"), "{report:#}");
}

#[test]
fn an_adapter_is_checked_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let write = |b: f32, targets: Value| {
        let config = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": targets,
            "base_model_name_or_path": "someone/llama-tiny", "bias": "none"});
        fs::write(path.join("adapter_config.json"), config.to_string()).unwrap();
        let name = |part: &str| format!("base_model.model.model.layers.0.self_attn.q_proj.{part}.weight");
        let (a, b): (Vec<u8>, Vec<u8>) =
            ([1.0f32; 32].map(f32::to_le_bytes).concat(), [b; 32].map(f32::to_le_bytes).concat());
        let views = [
            (name("lora_A"), TensorView::new(Dtype::F32, vec![2, 16], &a).unwrap()),
            (name("lora_B"), TensorView::new(Dtype::F32, vec![16, 2], &b).unwrap()),
        ];
        fs::write(path.join("adapter_model.safetensors"), safetensors::serialize(views, None).unwrap())
            .unwrap();
        verified(path, &[])
    };
    let (code, report) = write(0.5, json!(["q_proj"]));
    assert_eq!((code, &report["kind"], &report["warnings"]), (0, &json!("adapter"), &json!(0)), "{report:#}");
    assert!(
        report.to_string().contains("rank 2 and alpha 4")
            && report.to_string().contains("someone/llama-tiny")
    );

    let (code, report) = write(0.0, json!(["q_proj"]));
    assert!(code == 0 && worse(&report, "adapter")[0].3.contains("lora_B are zero"), "{report:#}");
    let (code, report) = write(f32::NAN, json!(["q_proj"]));
    assert_eq!((code, worse(&report, "adapter")[0].1.as_str()), (1, "non-finite values"), "{report:#}");
    let (code, report) = write(0.5, json!(["q_proj", "v_proj"]));
    assert!(code == 1 && worse(&report, "adapter")[0].3.contains("v_proj"), "{report:#}");
}

#[test]
fn stand_ins_and_absent_models_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(folder.path());
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    fs::write(folder.path().join("model.safetensors"), pointer).unwrap();
    let output = zoo(&["verify", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("missing data") && text.contains("Git LFS pointer"), "{text}");

    let output = zoo(&["verify", "smollm2"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("zoo pull smollm2-135m"), "{}", stderr(&output));
    let output = zoo(&["verify", "./nowhere"]);
    assert!(
        output.status.code() == Some(2) && stderr(&output).contains("no such file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn one_of_metas_shards_is_checked_by_itself() {
    let folder = model(|_| {});
    let (from, meta) = (folder.path().to_str().unwrap(), folder.path().join("meta"));
    let output = zoo(&["convert", from, "--to", "meta", "--shards", "2", "--out", meta.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lone = tempfile::tempdir().unwrap();
    let shard = lone.path().join("consolidated.01.pth");
    fs::copy(meta.join("consolidated.01.pth"), &shard).unwrap();
    let forms = |report: &Value| {
        let findings = report["findings"].as_array().unwrap().iter();
        findings
            .map(|finding| finding["found"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    // Beside the others, too, it is that file which is meant.
    for path in [&shard, &meta.join("consolidated.00.pth")] {
        let (code, report) = verified(path, &[]);
        let text = forms(&report);
        assert_eq!(code, 0, "{report:#}");
        assert!(text.contains("one of Meta's shards, 1 file of pth, "), "{text}");
        assert!(text.contains("no configuration"), "{text}");
    }
    let (code, report) = verified(lone.path(), &[]);
    assert_eq!(code, 1, "{report:#}");
    let found = worse(&report, "form");
    assert!(report.to_string().contains("consolidated.00.pth before consolidated.01.pth"), "{found:?}");
}
