//! Logits that PyTorch computed, and the models they belong to. `tests/fixtures/*/make.py` made them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use zoo::config;
use zoo::forms::{self, HfModel, TokenizerSource};
use zoo::kernels::{self, Precision};
use zoo::model::{Checkpoint, Kept, Network, Residence, Wave, unwatched};

/// Largest absolute difference to transformers' logits in f32.
pub const LOGIT_TOLERANCE: f32 = 1e-4;

/// A model that was put together, to be run without its tokenizer: nothing of its tensors is computed yet.
pub fn checkpoint(model: HfModel) -> Checkpoint {
    let config = model.configuration().unwrap();
    let HfModel { path, tensors, config_name, .. } = model;
    let tokenizer = TokenizerSource::Folder(path.clone());
    Checkpoint { path, weights: tensors.into(), config, config_name, tokenizer }
}

/// The cases of one kind of network.
pub struct Cases(pub &'static str);

impl Cases {
    /// The folder of one case.
    pub fn folder(&self, case: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(self.0).join(case)
    }

    /// The configuration of `case` over the weights of `weights_of`.
    pub fn load(&self, case: &str, weights_of: &str, matmul: &str) -> Network {
        let config = config::hf::read(&self.folder(case).join("config.json")).unwrap();
        let weights = forms::open(&self.folder(weights_of)).unwrap().tensors;
        let matmul = kernels::by_name(matmul, Precision::Exact).unwrap();
        Network::load(Arc::new(weights), &config, "config.json", matmul, Residence::Memory).unwrap()
    }

    /// Ids and logits of every sequence of a case.
    pub fn references(&self, case: &str) -> Vec<(Vec<u32>, Array2<f32>)> {
        let bytes = std::fs::read(self.folder(case).join("reference.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        (0..3)
            .map(|i| {
                let ids = file.tensor(&format!("ids.{i}")).unwrap();
                let ids =
                    ids.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as u32);
                let logits = file.tensor(&format!("logits.{i}")).unwrap();
                let values = logits.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
                let shape = (logits.shape()[0], logits.shape()[1]);
                (ids.collect(), Array2::from_shape_vec(shape, values.collect()).unwrap())
            })
            .collect()
    }

    /// Holds every sequence of a case against its logits, with every implementation of the products.
    pub fn check(&self, case: &str, weights_of: &str) {
        for matmul in kernels::names() {
            let model = self.load(case, weights_of, matmul);
            for (ids, expected) in self.references(case) {
                let hidden = model.forward(&Wave::sequence(&ids), Kept::All, &mut unwatched).unwrap();
                let worst = largest_difference(model.logits(hidden.view()).view(), expected.view());
                assert!(worst <= LOGIT_TOLERANCE, "{case}, {matmul}, {} tokens: {worst}", ids.len());
            }
        }
    }

    /// Packs the longest sequence of a case with another one that shares its first `shared` tokens.
    pub fn check_shared_prefix(&self, case: &str, shared: usize) {
        let model = self.load(case, case, "portable");
        let (ids, expected) = self.references(case).swap_remove(0);
        let mut wave = Wave::default();
        let root = wave.push(&ids[..shared], None, 1);
        wave.push(&[5, 6, 7], Some(root), 1);
        let rest = wave.push(&ids[shared..], Some(root), 1);
        let hidden = model.forward(&wave, Kept::All, &mut unwatched).unwrap();
        let rows: Vec<usize> = (0..shared).chain(wave.segments[rest].rows.clone()).collect();
        let kept = hidden.select(ndarray::Axis(0), &rows);
        assert_eq!(model.forward(&wave, Kept::Rows(&rows), &mut unwatched).unwrap(), kept, "the same bits");
        let logits = model.logits(kept.view());
        assert!(largest_difference(logits.view(), expected.view()) <= LOGIT_TOLERANCE);
    }
}

/// The largest absolute difference; NaN where there is one.
pub fn largest_difference(a: ArrayView2<f32>, b: ArrayView2<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    a.iter()
        .zip(b)
        .fold(0.0, |worst, (a, b)| if (a - b).abs() > worst || a.is_nan() { (a - b).abs() } else { worst })
}
