//! Logits against PyTorch's, f32 against f32. `tests/fixtures/llama/make.py` made the references.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use zoo::kernels;
use zoo::model::{self, Network, Wave, config_hf};
use zoo::weights::SafetensorsFile;

/// Largest absolute difference to transformers' logits in f32.
const LOGIT_TOLERANCE: f32 = 1e-4;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llama")
}

fn load(case: &str, weights_of: &str, matmul: &str) -> Box<dyn Network> {
    let config_path = fixtures().join(case).join("config.json");
    let config = config_hf::read(&config_path).unwrap();
    let weights = SafetensorsFile::open(fixtures().join(weights_of).join("model.safetensors")).unwrap();
    model::load(&weights, &config, "config.json", kernels::by_name(matmul).unwrap()).unwrap()
}

/// Ids and logits of every sequence of a case.
fn references(case: &str) -> Vec<(Vec<u32>, Array2<f32>)> {
    let path = fixtures().join(case).join("reference.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    (0..3)
        .map(|i| {
            let ids = file.tensor(&format!("ids.{i}")).unwrap();
            let ids = ids.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as u32);
            let logits = file.tensor(&format!("logits.{i}")).unwrap();
            let values = logits.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
            let shape = (logits.shape()[0], logits.shape()[1]);
            (ids.collect(), Array2::from_shape_vec(shape, values.collect()).unwrap())
        })
        .collect()
}

fn largest_difference(a: ArrayView2<f32>, b: ArrayView2<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    a.iter()
        .zip(b)
        .fold(0.0, |worst, (a, b)| if (a - b).abs() > worst || a.is_nan() { (a - b).abs() } else { worst })
}

fn check(case: &str, weights_of: &str) {
    for matmul in kernels::names() {
        let model = load(case, weights_of, matmul);
        for (ids, expected) in references(case) {
            let hidden = model.forward(&Wave::sequence(&ids), &mut || {});
            let worst = largest_difference(model.logits(hidden.view()).view(), expected.view());
            assert!(worst <= LOGIT_TOLERANCE, "{case}, {matmul}, {} tokens: {worst}", ids.len());
        }
    }
}

#[test]
fn multi_head_attention_with_its_own_head() {
    check("mha-untied", "mha-untied");
}

#[test]
fn grouped_query_attention_with_a_tied_head() {
    check("gqa-tied", "gqa-tied");
}

#[test]
fn biases_and_a_head_width_of_its_own() {
    check("bias-wide-heads", "bias-wide-heads");
}

#[test]
fn linear_rotary_scaling() {
    check("rope-linear", "gqa-tied");
}

#[test]
fn dynamic_rotary_scaling_within_and_beyond_the_context() {
    check("rope-dynamic", "gqa-tied");
}

#[test]
fn llama3_rotary_scaling() {
    check("rope-llama3", "gqa-tied");
}

#[test]
fn the_newer_spelling_of_rotary_settings() {
    check("rope-parameters", "gqa-tied");
}

#[test]
fn a_reference_of_another_case_would_be_noticed() {
    let model = load("rope-linear", "gqa-tied", "portable");
    let (ids, plain) = references("gqa-tied").swap_remove(0);
    let hidden = model.forward(&Wave::sequence(&ids), &mut || {});
    assert!(largest_difference(model.logits(hidden.view()).view(), plain.view()) > 100.0 * LOGIT_TOLERANCE);
}

#[test]
fn packed_sequences_with_a_shared_beginning_score_as_they_do_alone() {
    let model = load("gqa-tied", "gqa-tied", "portable");
    let (ids, expected) = references("gqa-tied").swap_remove(0);
    let mut wave = Wave::default();
    let root = wave.push(&ids[..13], None, 1);
    wave.push(&[5, 6, 7], Some(root), 1);
    let rest = wave.push(&ids[13..], Some(root), 1);
    let hidden = model.forward(&wave, &mut || {});
    let rows: Vec<usize> = (0..13).chain(wave.segments[rest].rows.clone()).collect();
    let logits = model.logits(hidden.select(ndarray::Axis(0), &rows).view());
    assert!(largest_difference(logits.view(), expected.view()) <= LOGIT_TOLERANCE);
}
