//! Sums and refusals, over small models in memory.

use super::*;
use crate::forms::sample::{HIDDEN, MemorySource, ROWS, tiny};
use half::f16;

/// The values of `tests/fixtures/lineage/mean.py`.
fn reproducible(rows: usize, columns: usize) -> Vec<f32> {
    let value = |i: usize| {
        let state = (i as u64 + 1).wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let state = (state ^ (state >> 29)).wrapping_mul(0xBF58476D1CE4E5B9);
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.05
    };
    (0..rows * columns).map(value).collect()
}

#[test]
fn the_mean_row_has_the_bits_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/lineage/mean.txt");
    let mut cases = 0;
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
        let (rows, columns) = (numbers[0] as usize, numbers[1] as usize);
        let bytes: Vec<u8> = reproducible(rows, columns).iter().flat_map(|x| x.to_le_bytes()).collect();
        let info = TensorInfo { name: "w".into(), dtype: Dtype::F32, shape: vec![rows, columns] };
        let mean = mean::mean_row(&TensorView { info: &info, data: Cow::Owned(bytes) }).unwrap();
        let bits = mean.iter().zip(1u64..).map(|(x, i)| u64::from(x.to_bits()).wrapping_mul(2 * i + 1));
        assert_eq!(bits.fold(0, |all, x| all ^ x), numbers[2], "{rows} x {columns}");
        cases += 1;
    }
    assert_eq!(cases, 9);
}

/// A tuned model's difference to `base`, with `extra` rows.
fn difference(base: &MemorySource, extra: usize) -> MemorySource {
    let small = base.map(|_, i, _| (i % 5) as f32 / 1024.0);
    let grow = |memory: MemorySource, name: &str| {
        let mut values = memory.tensor(name).unwrap().to_f32().unwrap();
        values.extend((0..extra * HIDDEN).map(|i| (i + 1) as f32 / 64.0));
        memory.with(name, &[ROWS + extra, HIDDEN], values)
    };
    grow(grow(small, EMBEDDING), OUTPUT)
}

fn values(source: &dyn TensorSource, name: &str) -> Vec<f32> {
    source.tensor(name).unwrap().to_f32().unwrap()
}

fn built(base: MemorySource, released: MemorySource, rule: DeltaRule) -> Delta {
    let (delta, warnings) = Delta::new(base.model("base"), released.model("delta"), rule).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    delta
}

#[test]
fn every_tensor_is_the_rounded_sum() {
    let (base, released) = (tiny(), difference(&tiny(), 0));
    let delta = built(base.clone(), released.clone(), DeltaRule::VICUNA);
    assert_eq!(delta.tensors(), base.tensors());
    for info in base.tensors() {
        let (a, b) = (values(&base, &info.name), values(&released, &info.name));
        let expected: Vec<f32> = a.iter().zip(b).map(|(a, b)| f16::from_f32(a + b).to_f32()).collect();
        assert_eq!(values(&delta, &info.name), expected, "{}", info.name);
    }
    assert!(matches!(delta.tensor("model.norm.bias"), Err(WeightsError::MissingTensor { .. })));
}

#[test]
fn the_new_row_is_zero_for_vicuna_and_the_mean_for_alpaca() {
    let (base, released) = (tiny(), difference(&tiny(), 1));
    let row = |delta: &Delta, name| values(delta, name)[ROWS * HIDDEN..].to_vec();
    let vicuna = built(base.clone(), released.clone(), DeltaRule::VICUNA_V0);
    assert_eq!(row(&vicuna, EMBEDDING), [1.0 / 64.0, 2.0 / 64.0, 3.0 / 64.0, 4.0 / 64.0]);
    let alpaca = built(base.clone(), released.clone(), DeltaRule::ALPACA);
    assert!(alpaca.tensors().iter().all(|info| info.dtype == Dtype::F32));
    for name in [EMBEDDING, OUTPUT] {
        let old = values(&base, name);
        let mean = |column: usize| old.iter().skip(column).step_by(HIDDEN).sum::<f32>() / ROWS as f32;
        let expected: Vec<f32> = (0..HIDDEN).map(|c| mean(c) + (c + 1) as f32 / 64.0).collect();
        assert_eq!(row(&alpaca, name), expected, "{name}");
        assert_eq!(alpaca.tensor(name).unwrap().info.shape, [ROWS + 1, HIDDEN]);
    }
}

#[test]
fn ziya_takes_its_embeddings_as_released_and_drops_buffers() {
    let base = tiny().with("model.layers.0.self_attn.rotary_emb.inv_freq", &[1], vec![1.0]);
    let grown: Vec<f32> = (0..9 * HIDDEN).map(|i| (i % 7) as f32 / 8.0 - 0.4).collect();
    let released = difference(&tiny(), 0).with(EMBEDDING, &[9, HIDDEN], grown.clone()).with(
        OUTPUT,
        &[9, HIDDEN],
        grown.clone(),
    );
    let delta = built(base, released.clone(), DeltaRule::ZIYA);
    for name in [EMBEDDING, OUTPUT] {
        assert_eq!(delta.tensor(name).unwrap().data, released.tensor(name).unwrap().data);
    }
    assert!(!delta.tensors().iter().any(is_buffer));
}

fn refused(base: MemorySource, released: MemorySource, rule: DeltaRule) -> String {
    Delta::new(base.model("base"), released.model("delta"), rule).err().unwrap().to_string()
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn exchanged_and_unsuitable_parts_are_told_by_their_values() {
    let (base, delta) = (tiny(), difference(&tiny(), 0));
    contains(&refused(delta.clone(), base.clone(), DeltaRule::VICUNA), &["base: ", "exchange the two"]);
    contains(
        &refused(base.clone(), base.clone(), DeltaRule::VICUNA),
        &["delta: ", "whole model", "as it is"],
    );
    contains(&refused(delta.clone(), delta, DeltaRule::VICUNA), &["both are differences", "original LLaMA"]);
    let text = refused(base.clone(), difference(&base, 0), DeltaRule::ZIYA);
    contains(&text, &["delta: model.embed_tokens.weight", "ziya_delta", "use the rule vicuna_delta"]);
    let whole = (0..ROWS * HIDDEN).map(|i| i as f32 / 16.0).collect();
    let text =
        refused(base, difference(&tiny(), 0).with(EMBEDDING, &[ROWS, HIDDEN], whole), DeltaRule::VICUNA);
    contains(&text, &["whole rows", "use the rule ziya_delta"]);
}

#[test]
fn resized_vocabularies_and_wrong_rules_are_told_by_rows() {
    let resized = |rows: usize| {
        let values = |_| (0..rows * HIDDEN).map(|i| (i % 9) as f32 / 8.0 - 0.5).collect();
        tiny().with(EMBEDDING, &[rows, HIDDEN], values(())).with(OUTPUT, &[rows, HIDDEN], values(()))
    };
    let text = refused(resized(ROWS + 1), difference(&tiny(), 1), DeltaRule::VICUNA_V0);
    contains(&text, &["expected 6 rows", "found 7 rows", "already resized", "take the original"]);
    let text = refused(resized(ROWS + 1), difference(&tiny(), 0), DeltaRule::VICUNA);
    contains(&text, &["expected 6 rows", "found 7 rows", "without added tokens"]);
    let text = refused(tiny(), difference(&tiny(), 1), DeltaRule::VICUNA);
    contains(&text, &["one row more", "vicuna_delta_v0"]);
    let text = refused(tiny(), difference(&tiny(), 0), DeltaRule::VICUNA_V0);
    contains(&text, &["found 6 rows", "Vicuna 1.1"]);
    let text = refused(tiny(), difference(&tiny(), 3), DeltaRule::VICUNA);
    contains(&text, &["grown vocabulary", "ziya_delta"]);
}

#[test]
fn other_sizes_names_shapes_and_types_are_refused() {
    let wide = tiny().with(EMBEDDING, &[ROWS, 2 * HIDDEN], vec![0.5; 2 * ROWS * HIDDEN]);
    contains(&refused(wide, difference(&tiny(), 0), DeltaRule::VICUNA), &["hidden size 8", "hidden size 4"]);
    let name = "model.layers.1.mlp.up_proj.weight";
    let text = refused(tiny(), difference(&tiny(), 0).without(name), DeltaRule::VICUNA);
    contains(&text, &["delta: model.layers.1.mlp.up_proj.weight", "none of that name"]);
    let text = refused(tiny().without(name), difference(&tiny(), 0), DeltaRule::VICUNA);
    contains(&text, &["base: model.layers.1.mlp.up_proj.weight", "none of that name"]);
    let other = difference(&tiny(), 0).with(name, &[HIDDEN, 6], vec![0.0; 24]);
    contains(&refused(tiny(), other, DeltaRule::VICUNA), &["shape [6, 4]", "found [4, 6]"]);
    let flat = |memory: MemorySource, rows| memory.with(EMBEDDING, &[rows], vec![0.5; rows]);
    let text = refused(flat(tiny(), 4), flat(difference(&tiny(), 1), 5), DeltaRule::VICUNA_V0);
    contains(&text, &["base: model.embed_tokens.weight", "a matrix, which gets one row more", "[4]"]);
    let text = refused(tiny(), flat(difference(&tiny(), 0), ROWS), DeltaRule::ZIYA);
    contains(&text, &["delta: model.embed_tokens.weight", "shape [6, 4]", "found [6]"]);
}

#[test]
fn a_base_in_bf16_is_rounded_to_f16_and_noted() {
    let base = tiny().map(|_, _, x| x + 1.0 / 1024.0);
    let list = |dtype| {
        let tensor =
            |info: &TensorInfo| (info.name.clone(), dtype, info.shape.clone(), values(&base, &info.name));
        MemorySource::new(base.tensors().iter().map(tensor).collect())
    };
    let released = difference(&tiny(), 0);
    let make =
        |dtype| Delta::new(list(dtype).model("base"), released.clone().model("delta"), DeltaRule::VICUNA);
    let (f32, warnings) = make(Dtype::F32).unwrap();
    assert!(warnings.is_empty());
    let (f16, _) = make(Dtype::F16).unwrap();
    assert_eq!(values(&f32, OUTPUT), values(&f16, OUTPUT));
    let (_, warnings) = make(Dtype::BF16).unwrap();
    assert!(warnings.join("").contains("found BF16"), "{warnings:?}");
}
