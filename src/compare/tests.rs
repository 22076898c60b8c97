//! Comparisons of sources made in memory.

use ndarray::Array2;

use super::*;
use crate::base::progress::Silent;
use crate::compare::spectrum::testing::{model as in_memory, numbers};

const Q: &str = "model.layers.0.self_attn.q_proj.weight";
const EMBED: &str = "model.embed_tokens.weight";

fn random(seed: u64, rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_simple_fn((rows, columns), numbers(seed))
}

fn run(a: &dyn TensorSource, b: &dyn TensorSource) -> Comparison {
    compare(a, b, &|_| true, None, &Silent).unwrap()
}

#[test]
fn a_model_is_identical_to_itself_in_another_type() {
    let values = random(1, 6, 4).mapv(|x| (x * 64.0).round() / 64.0);
    let a = in_memory(vec![
        (Q, Dtype::F32, values.clone()),
        ("x.rotary_emb.inv_freq", Dtype::F32, random(2, 1, 2)),
    ]);
    let b = in_memory(vec![(Q, Dtype::F16, values)]);
    let found = run(&a, &b);
    assert!(found.is_identical(), "{found:?}");
    assert_eq!(found.changes.len(), 1);
}

#[test]
fn a_vocabulary_that_grew_is_compared_over_its_common_rows() {
    let small = random(1, 6, 4);
    let mut large = random(2, 9, 4);
    large.slice_mut(ndarray::s![..6, ..]).assign(&small);
    large[[5, 3]] += 0.5;
    let a = in_memory(vec![(EMBED, Dtype::F32, small)]);
    let b = in_memory(vec![(EMBED, Dtype::F32, large)]);
    for (a, b) in [(&a, &b), (&b, &a)] {
        let found = run(a, b);
        let change = &found.changes[0];
        assert_eq!(change.common_rows(), Some(6));
        assert_eq!((change.moments.elements, change.moments.equal), (24, 23));
        assert!((change.moments.delta_max - 0.5).abs() < 1e-6);
        assert!(!found.is_identical());
    }
}

#[test]
fn what_is_in_one_model_only_and_what_has_another_shape_is_listed() {
    let a = in_memory(vec![(Q, Dtype::F32, random(1, 4, 4)), ("a", Dtype::F32, random(1, 1, 1))]);
    let b = in_memory(vec![(Q, Dtype::F32, random(1, 4, 5)), ("b", Dtype::F32, random(1, 1, 1))]);
    let found = run(&a, &b);
    assert_eq!((found.only_in_a[0].name.as_str(), found.only_in_b[0].name.as_str()), ("a", "b"));
    let expected = Incomparable { name: Q.into(), a: "F32 [4, 4]".into(), b: "F32 [4, 5]".into() };
    assert_eq!(found.incomparable, [expected]);
    assert!(found.changes.is_empty() && !found.is_identical());
}

#[cfg(feature = "openblas")]
#[test]
fn a_change_of_rank_two_has_rank_two() {
    use crate::compare::spectrum::testing::known_spectrum;
    let base = random(1, 40, 30);
    let tuned = &base + &known_spectrum(40, 30, &[3.0, 1.0]).mapv(|x| x as f32);
    let a = in_memory(vec![(Q, Dtype::F32, base), (EMBED, Dtype::F32, random(3, 5, 30))]);
    let b = in_memory(vec![(Q, Dtype::F32, tuned), (EMBED, Dtype::F32, random(3, 5, 30))]);
    let spectrum = Some(SpectrumOptions::default());
    let found = compare(&a, &b, &|_| true, spectrum, &Silent).unwrap();
    let spectrum = found.changes[1].spectrum.as_ref().unwrap();
    assert!((spectrum.values[0] - 3.0).abs() < 1e-5 && (spectrum.values[1] - 1.0).abs() < 1e-5);
    assert!(spectrum.values[2] < 1e-5 && spectrum.energy(2).unwrap() > 1.0 - 1e-9);
    assert!(found.changes[0].spectrum.is_none(), "nothing changed there");
    let kinds = by_kind(&found.changes, 1);
    assert!((kinds[&TensorKind::Q].mean_energy().unwrap() - 0.9).abs() < 1e-5);
    assert_eq!((kinds[&TensorKind::Embed].changed, kinds[&TensorKind::Q].changed), (0, 1));
}

#[cfg(not(feature = "openblas"))]
#[test]
fn spectra_need_lapack() {
    let a = in_memory(vec![]);
    let spectrum = Some(SpectrumOptions::default());
    let error = compare(&a, &a, &|_| true, spectrum, &Silent).unwrap_err().to_string();
    assert!(error.contains("LAPACK") && error.contains("libopenblas-dev"), "{error}");
}
