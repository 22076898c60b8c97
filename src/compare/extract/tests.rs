//! Adapters that are extracted and merged back.

use super::*;
use crate::base::progress::Silent;
use crate::compare::{Comparison, compare};
use crate::forms::sample::{HIDDEN, MemorySource, ROWS, tiny};

const EMBED: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

fn options(rank: usize, dtype: Dtype) -> ExtractOptions {
    let base_model = "org/base".to_owned();
    ExtractOptions { rank, dtype, targets: None, save_norms: false, base_model, tokenizer_from: None }
}

fn compared(a: &MemorySource, b: &MemorySource) -> Comparison {
    compare(a, b, &|_| true, None, &Silent).unwrap()
}

fn plan(a: &MemorySource, b: &MemorySource, options: &ExtractOptions) -> Result<ExtractionPlan, String> {
    ExtractionPlan::new(&compared(a, b), options).map_err(|e| e.to_string())
}

/// Noise that depends on the tensor, in steps of 2^-8 that F16 holds.
fn noise(name: &str, i: usize) -> f32 {
    let seed = name.bytes().fold(i as u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    (seed.wrapping_mul(2_654_435_761) >> 28) as f32 / 256.0 - 8.0 / 256.0
}

/// The base with noise in all tensors whose name has one of these parts.
fn tuned(parts: &[&str]) -> MemorySource {
    let hit = |name: &str| parts.iter().any(|part| name.contains(part));
    tiny().map(|name, i, x| if hit(name) { x + noise(name, i) } else { x })
}

#[test]
fn names_are_short_where_they_mean_nothing_else() {
    let b = tuned(&["q_proj", "layers.1.mlp.up_proj"]);
    let plan = plan(&tiny(), &b, &options(2, Dtype::F32)).unwrap();
    assert_eq!(plan.modules.len(), 3);
    assert_eq!(plan.target_modules, ["model.layers.1.mlp.up_proj", "q_proj"]);
    assert!(plan.saved.is_empty() && plan.left.is_empty());
}

#[test]
fn what_an_adapter_cannot_say_is_left_out_by_name_or_saved() {
    let b = tuned(&["q_proj", "v_proj", "layers.0.input_layernorm", "lm_head"]);
    let mut options = options(2, Dtype::F32);
    options.targets = Some(vec!["q_proj".to_owned()]);
    let found = plan(&tiny(), &b, &options).unwrap();
    assert_eq!(found.target_modules, ["q_proj"]);
    assert_eq!(found.modules_to_save, ["lm_head"]);
    let left: Vec<(&str, bool)> =
        found.left.iter().map(|l| (l.name.as_str(), l.reason.contains("--targets"))).collect();
    assert_eq!(
        left,
        [
            ("model.layers.0.input_layernorm.weight", false),
            ("model.layers.0.self_attn.v_proj.weight", true),
            ("model.layers.1.self_attn.v_proj.weight", true)
        ]
    );
    assert!(found.left.iter().all(|l| l.delta_norm > 0.0));
    options.save_norms = true;
    let found = plan(&tiny(), &b, &options).unwrap();
    assert_eq!(found.modules_to_save, ["lm_head", "model.layers.0.input_layernorm"]);
    assert_eq!(found.left.len(), 2);
}

#[test]
fn models_that_an_adapter_cannot_join_are_refused() {
    let q = "model.layers.0.self_attn.q_proj.weight";
    let options = options(2, Dtype::F32);
    let wide = tuned(&["q_proj"]).with(q, &[HIDDEN, HIDDEN + 1], vec![0.0; HIDDEN * (HIDDEN + 1)]);
    let nan = tiny().map(|name, i, x| if name == q && i == 3 { f32::NAN } else { x });
    let fewer = tuned(&["q_proj"]).with(EMBED, &[ROWS - 1, HIDDEN], vec![0.0; (ROWS - 1) * HIDDEN]);
    for (b, words) in [
        (wide, "F16 [4, 5]"),
        (tuned(&["q_proj"]).without(HEAD), "expected this tensor in B"),
        (tuned(&["q_proj"]).with("x.weight", &[1], vec![0.0]), "cannot add one"),
        (nan, "finite values"),
        (fewer, "expected at least the 6 rows of A, found 5 rows"),
        (tiny(), "found identical models"),
        (tuned(&["norm"]), "found changes elsewhere only"),
    ] {
        let text = plan(&tiny(), &b, &options).unwrap_err();
        assert!(text.contains(words), "{words:?} is not in: {text}");
    }
}

#[cfg(not(feature = "openblas"))]
#[test]
fn an_extraction_needs_lapack() {
    let (a, b) = (tiny(), tuned(&["q_proj"]));
    let options = options(2, Dtype::F32);
    let folder = tempfile::tempdir().unwrap();
    let error = plan(&a, &b, &options).unwrap().write(&a, &b, &options, folder.path(), &Silent).unwrap_err();
    assert!(error.to_string().contains("LAPACK"), "{error}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is left behind");
}

#[cfg(feature = "openblas")]
mod merged {
    use std::path::Path;

    use super::*;
    use crate::compare::spectrum::testing::numbers;
    use crate::rebuild::{Adapter, merge};
    use crate::registry::Rule;
    use crate::weights::{TensorSource, TensorView};

    /// Half a unit in the last place of F16, relative: what storing a merged weight costs.
    const F16_ROUNDING: f64 = 1.0 / 2048.0;

    fn extract(
        a: &MemorySource,
        b: &MemorySource,
        options: &ExtractOptions,
        folder: &Path,
    ) -> (ExtractionPlan, Extraction) {
        let plan = plan(a, b, options).unwrap();
        let done = plan.write(a, b, options, folder, &Silent).unwrap();
        (plan, done)
    }

    /// `‖x − y‖_F` and `‖y‖_F`.
    fn distance(x: &TensorView<'_>, y: &TensorView<'_>) -> [f64; 2] {
        let (x, y) = (x.to_f32().unwrap(), y.to_f32().unwrap());
        let square = |it: &mut dyn Iterator<Item = f64>| it.map(|d| d * d).sum::<f64>().sqrt();
        [
            square(&mut x.iter().zip(&y).map(|(a, b)| f64::from(*a) - f64::from(*b))),
            square(&mut y.iter().map(|b| f64::from(*b))),
        ]
    }

    #[test]
    fn merging_back_gives_b_within_the_reported_residual() {
        let (a, b) = (tiny(), tuned(&["_proj"]));
        for (rank, dtype) in [(1, Dtype::F32), (2, Dtype::F16), (3, Dtype::F32), (9, Dtype::F32)] {
            let folder = tempfile::tempdir().unwrap();
            let (plan, done) = extract(&a, &b, &options(rank, dtype), folder.path());
            assert_eq!(done.modules.len(), 14);
            let adapter = Adapter::open(folder.path()).unwrap();
            let (model, notes) = merge(tiny().model("a"), adapter, Rule::PeftLora).unwrap();
            assert!(notes.is_empty(), "{notes:?}");
            for report in &done.modules {
                let name = format!("{}.weight", report.module);
                let [rest, norm] = distance(&model.tensors.tensor(&name).unwrap(), &b.tensor(&name).unwrap());
                let rounding = F16_ROUNDING * norm;
                let merged = report.merged_residual_norm.unwrap();
                assert!((rest - merged).abs() <= 1e-12 * norm, "{rank} {name}: {rest}, {report:?}");
                assert!((rest - report.residual_norm).abs() <= rounding, "{rank} {name}: {rest}, {report:?}");
                let energy = 1.0 - (report.residual_norm / report.delta_norm).powi(2);
                assert!((energy - report.energy).abs() < 1e-12, "{report:?}");
            }
            // The smaller side is 4: from there on nothing is left but the rounding of the factors.
            assert_eq!(done.residual_norm() < 1e-5 * done.delta_norm(), rank >= 4);
            assert_eq!(plan.target_modules.len(), 7);
        }
    }

    #[test]
    fn a_change_of_one_step_of_the_type_comes_back_in_part() {
        // Every weight lies between 1 and 2 and moves by one step of F16 there, up or down.
        let (rows, columns) = (64, 48);
        let step = 2f32.powi(-10);
        let base: Vec<f32> = (0..rows * columns).map(|i| 1.0 + (1 + i * 37 % 1000) as f32 * step).collect();
        let mut next = numbers(3);
        let tuned = base.iter().map(|x| if next() < 0.0 { x - step } else { x + step }).collect();
        let memory = |values| {
            let name = "model.layers.0.self_attn.q_proj.weight";
            MemorySource::new(vec![(name, Dtype::F16, vec![rows, columns], values)])
        };
        let (a, b) = (memory(base.clone()), memory(tuned));
        let folder = tempfile::tempdir().unwrap();
        let (_, done) = extract(&a, &b, &options(16, Dtype::F32), folder.path());
        let report = &done.modules[0];
        let adapter = Adapter::open(folder.path()).unwrap();
        let (model, _) = merge(memory(base).model("a"), adapter, Rule::PeftLora).unwrap();
        let name = "model.layers.0.self_attn.q_proj.weight";
        let [rest, _] = distance(&model.tensors.tensor(name).unwrap(), &b.tensor(name).unwrap());
        let there = 1.0 - (rest / report.delta_norm).powi(2);
        assert!((report.merged_energy().unwrap() - there).abs() < 1e-9, "{there}, {report:?}");
        assert_eq!((done.merged_energy(), report.base_dtype), (report.merged_energy(), Dtype::F16));
        // The adapter alone says another thing, as it does of every change that small.
        assert!((report.energy - there).abs() > 0.02, "{there}, {report:?}");
    }

    #[test]
    fn the_residual_is_that_of_the_nearest_matrix() {
        let (a, b) = (tiny(), tuned(&["layers.0.mlp.up_proj"]));
        let folder = tempfile::tempdir().unwrap();
        let (_, done) = extract(&a, &b, &options(2, Dtype::F32), folder.path());
        let found =
            compare(&a, &b, &|_| true, Some(crate::compare::spectrum::SpectrumOptions::default()), &Silent)
                .unwrap();
        let spectrum = found.changes.iter().find_map(|c| c.spectrum.as_ref()).unwrap();
        let rest: f64 = spectrum.values.iter().skip(2).map(|s| s * s).sum();
        assert!((done.modules[0].residual_norm - rest.sqrt()).abs() < 1e-6 * rest.sqrt());
    }

    #[test]
    fn grown_vocabularies_are_saved_whole() {
        let rows = ROWS + 2;
        let grown = |name: &str| (0..rows * HIDDEN).map(|i| noise(name, i)).collect::<Vec<f32>>();
        let b = tuned(&["q_proj"]).with(EMBED, &[rows, HIDDEN], grown("e")).with(
            HEAD,
            &[rows, HIDDEN],
            grown("h"),
        );
        let (from, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(from.path().join("tokenizer_config.json"), "{}").unwrap();
        std::fs::write(from.path().join("config.json"), "{}").unwrap();
        let mut options = options(2, Dtype::F32);
        options.tokenizer_from = Some(from.path().to_owned());
        let (plan, done) = extract(&tiny(), &b, &options, folder.path());
        assert_eq!(plan.modules_to_save, ["lm_head", "embed_tokens"]);
        assert_eq!(done.tokenizer, ["tokenizer_config.json"]);
        let adapter = Adapter::open(folder.path()).unwrap();
        for name in [EMBED, HEAD] {
            let saved = adapter.tensors().tensor(&format!("base_model.model.{name}")).unwrap();
            assert_eq!(saved.info.shape, [rows, HIDDEN]);
            assert_eq!(saved.data, b.tensor(name).unwrap().data);
        }
        assert!(!folder.path().join("config.json").exists());
    }

    #[test]
    fn factors_beyond_f16_are_refused_before_a_configuration_is_there() {
        // One entry of 2^32: its factors are 2^16, and F16 ends at 65504.
        let name = "model.layers.0.self_attn.q_proj.weight";
        let tensors =
            |value: f32| MemorySource::new(vec![(name, Dtype::F32, vec![2, 2], vec![value, 0.0, 0.0, 0.0])]);
        let (a, b) = (tensors(0.0), tensors(2f32.powi(32)));
        let folder = tempfile::tempdir().unwrap();
        let half = options(1, Dtype::F16);
        let error = plan(&a, &b, &half).unwrap().write(&a, &b, &half, folder.path(), &Silent).unwrap_err();
        assert!(error.to_string().contains("--dtype f32"), "{error}");
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is left behind");
        assert!(extract(&a, &b, &options(1, Dtype::F32), folder.path()).1.residual_norm() < 1e3);
    }
}
