//! A linear layer: a weight in the form that products take, perhaps a bias.

use ndarray::{Array1, ArrayView2, ArrayViewMut2};

use crate::kernels::{MatMul, Store, StoredMatrix, Weight, multiply};

/// `y = x · weightᵀ + bias`.
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Box<dyn Weight>,
    /// `[out_features]`.
    pub bias: Option<Array1<f32>>,
}

impl Linear {
    /// A layer of a stored weight `[out, in]`, multiplied by `matmul`.
    pub fn new(matmul: &dyn MatMul, weight: &StoredMatrix<'_>, bias: Option<Array1<f32>>) -> Self {
        Self { weight: matmul.prepare(weight), bias }
    }

    /// Overwrites `y: [tokens, out]` with the layer's output for `x: [tokens, in]`.
    pub fn apply(&self, x: ArrayView2<f32>, y: ArrayViewMut2<f32>) {
        self.put(x, y, Store::Overwrite);
    }

    /// Adds the layer's output to `y`.
    pub fn add(&self, x: ArrayView2<f32>, y: ArrayViewMut2<f32>) {
        self.put(x, y, Store::Add);
    }

    fn put(&self, x: ArrayView2<f32>, mut y: ArrayViewMut2<f32>, store: Store) {
        multiply(self.weight.as_ref(), x, y.view_mut(), store);
        if let Some(bias) = &self.bias {
            y += bias;
        }
    }
}
