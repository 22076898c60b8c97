//! What tests make: random matrices, differences whose singular values are known, models in memory.

use ndarray::Array2;

use crate::forms::sample::MemorySource;
use crate::weights::{Dtype, TensorInfo, TensorView};

/// A cheap reproducible stream of numbers in -1..1.
pub(crate) fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// An owned matrix that can be viewed as a tensor.
pub(crate) struct Matrix {
    info: TensorInfo,
    bytes: Vec<u8>,
}

impl Matrix {
    pub(crate) fn new(dtype: Dtype, rows: usize, columns: usize, bytes: Vec<u8>) -> Self {
        Self { info: TensorInfo { name: "w".into(), dtype, shape: vec![rows, columns] }, bytes }
    }

    pub(crate) fn of(dtype: Dtype, values: &Array2<f32>) -> Self {
        let flat: Vec<f32> = values.iter().copied().collect();
        let mut bytes = vec![0; dtype.bytes_for(flat.len()).unwrap()];
        dtype.narrow(&flat, &mut bytes).unwrap();
        Self::new(dtype, values.nrows(), values.ncols(), bytes)
    }

    pub(crate) fn random(dtype: Dtype, rows: usize, columns: usize, mut next: impl FnMut() -> f32) -> Self {
        Self::of(dtype, &Array2::from_shape_simple_fn((rows, columns), &mut next))
    }

    pub(crate) fn view(&self) -> TensorView<'_> {
        TensorView { info: &self.info, data: self.bytes.as_slice().into() }
    }
}

/// `Σ sᵢ uᵢ vᵢᵀ` with orthonormal cosine vectors: a matrix whose singular values are exactly `s`, up to rounding.
///
/// `uᵢ[j] = √(2/n) · cos(π (j + ½) i / n)` for `i ≥ 1` are columns of the orthogonal DCT-II matrix.
pub(crate) fn known_spectrum(rows: usize, columns: usize, s: &[f64]) -> Array2<f64> {
    let basis = |n: usize| {
        Array2::from_shape_fn((n, s.len()), |(j, i)| {
            let angle = std::f64::consts::PI * (j as f64 + 0.5) * (i + 1) as f64 / n as f64;
            (2.0 / n as f64).sqrt() * angle.cos()
        })
    };
    let mut u = basis(rows);
    for (mut column, s) in u.columns_mut().into_iter().zip(s) {
        column *= *s;
    }
    u.dot(&basis(columns).t())
}

pub(crate) fn model(tensors: Vec<(&str, Dtype, Array2<f32>)>) -> MemorySource {
    let flat = |(name, dtype, values): (&str, Dtype, Array2<f32>)| {
        (name.to_owned(), dtype, values.shape().to_vec(), values.iter().copied().collect())
    };
    MemorySource::new(tensors.into_iter().map(flat).collect())
}
