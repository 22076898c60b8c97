//! The printed forms, over two tiny models in memory.

use ndarray::{Array2, s};

use super::*;
use crate::base::progress::Silent;
use crate::compare::spectrum::testing::{known_spectrum, model as in_memory, numbers};
use crate::weights::{Dtype, TensorSource};

const HIDDEN: usize = 24;

fn model(tuned: bool) -> impl TensorSource {
    let names: Vec<String> = (0..2)
        .flat_map(|layer| {
            ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj", "input_layernorm"]
                .map(|module| format!("model.layers.{layer}.{module}.weight"))
        })
        .collect();
    let mut tensors: Vec<(&str, Dtype, Array2<f32>)> = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let rows = if name.contains("norm") { 1 } else { 32 };
        let mut values = Array2::from_shape_simple_fn((rows, HIDDEN), numbers(i as u64));
        // q stays as it is, v changes by rank 1, down by rank 3.
        if tuned && name.contains("v_proj") {
            values += &known_spectrum(rows, HIDDEN, &[0.5 * (i + 1) as f64]).mapv(|x| x as f32);
        }
        if tuned && name.contains("down_proj") {
            values += &known_spectrum(rows, HIDDEN, &[2.0, 1.0, 1.0]).mapv(|x| x as f32);
        }
        tensors.push((name, Dtype::F32, values));
    }
    let mut embed = Array2::from_shape_simple_fn((40, HIDDEN), numbers(99));
    embed.row_mut(39).fill(0.5);
    let rows = if tuned { 40 } else { 38 };
    tensors.push(("model.embed_tokens.weight", Dtype::F32, embed.slice(s![..rows, ..]).to_owned()));
    if tuned {
        tensors.push(("lm_head.weight", Dtype::F32, embed));
    }
    in_memory(tensors)
}

fn found(spectra: bool) -> Comparison {
    let spectrum = spectra.then(SpectrumOptions::default);
    compare(&model(false), &model(true), &|_| true, spectrum, &Silent).unwrap()
}

fn report(found: &Comparison, spectra: bool) -> Report<'_> {
    Report { names: ["base", "tuned"], found, spectra, rank: 8 }
}

#[cfg(feature = "openblas")]
#[test]
fn the_tables() {
    let found = found(true);
    let report = report(&found, true);
    insta::assert_snapshot!("table_100", table::page(&report, 3, Format::Table, 100));
    insta::assert_snapshot!("table_160", table::page(&report, 0, Format::Table, 160));
    insta::assert_snapshot!("markdown", table::page(&report, 2, Format::Md, 80));
}

#[cfg(feature = "openblas")]
#[test]
fn for_other_programs() {
    let found = found(true);
    let report = report(&found, true);
    let csv = export::tensors(&found).csv();
    assert_eq!(csv.lines().count(), 1 + 10, "{csv}");
    insta::assert_snapshot!("csv_head", csv.lines().next().unwrap());
    let json: serde_json::Value = serde_json::from_str(&export::json(&report)).unwrap();
    assert_eq!(json["identical"], false);
    assert_eq!(json["kinds"]["q"]["changed"], 0);
    let energy = json["kinds"]["v"]["energy"].as_f64().unwrap();
    assert!(energy > 1.0 - 1e-9, "{energy}");
    let status = |name: &str| {
        let tensors = json["tensors"].as_array().unwrap();
        tensors.iter().find(|t| t["tensor"] == name).unwrap()["status"].clone()
    };
    assert_eq!(status("lm_head.weight"), "only in B");
    assert_eq!(status("model.embed_tokens.weight"), "changed");
    assert_eq!(status("model.layers.0.self_attn.q_proj.weight"), "equal");
    let spectra = export::spectra(&found).csv();
    // Four matrices changed, and all 24 values of each are known.
    assert_eq!(spectra.lines().count(), 1 + 4 * HIDDEN, "{spectra}");
}

#[cfg(feature = "openblas")]
#[test]
fn randomised_spectra_are_said_to_be_bounds() {
    let (a, b) = (model(false), model(true));
    let of = |method| {
        let found = compare(&a, &b, &|_| true, Some(SpectrumOptions { method, rank: 4 }), &Silent).unwrap();
        table::page(&report(&found, true), 20, Format::Table, 160)
    };
    let text = of(SpectrumMethod::Randomized);
    assert!(text.contains("Singular values of 4 matrices of 4 are randomised"), "{text}");
    for words in ["σ₁ and the shares (top r) are lower bounds", "stable rank is an upper bound"] {
        assert!(text.contains(words), "{words:?} is not in: {text}");
    }
    assert!(!of(SpectrumMethod::Gram).contains("randomised"));
}

#[cfg(feature = "openblas")]
#[test]
fn the_pictures() {
    let found = found(true);
    let report = report(&found, true);
    for measure in [Measure::Change, Measure::Energy, Measure::StableRank, Measure::EffectiveRank] {
        let map = picture::heat_map(&report, measure);
        assert_eq!(map.rows.len(), 2);
        assert_eq!(map.columns.len(), if measure == Measure::Change { 4 } else { 3 });
        assert_eq!(map.rows[0].1[0], crate::report::figure::HeatCell::Equal, "q did not change");
        assert!(map.svg().contains("base → tuned"));
    }
}

#[test]
fn without_singular_values() {
    let found = found(false);
    insta::assert_snapshot!("fast_100", table::page(&report(&found, false), 20, Format::Table, 100));
}

#[test]
fn identical_models_are_said_to_be() {
    let found = compare(&model(true), &model(true), &|_| true, None, &Silent).unwrap();
    let text = table::page(&report(&found, false), 20, Format::Table, 100);
    assert_eq!(text, "base and tuned are identical: 10 tensors with equal values.\n");
}
