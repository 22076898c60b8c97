//! A linear layer: a weight, perhaps a bias, and the product behind the seam of [`crate::kernels`].

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2};

use crate::kernels::MatMul;

/// `y = x · weightᵀ + bias`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Array2<f32>,
    /// `[out_features]`.
    pub bias: Option<Array1<f32>>,
}

impl Linear {
    /// Overwrites `y: [tokens, out]` with the layer's output for `x: [tokens, in]`.
    pub fn apply(&self, matmul: &dyn MatMul, x: ArrayView2<f32>, mut y: ArrayViewMut2<f32>) {
        matmul.linear(x, self.weight.view(), y.view_mut());
        if let Some(bias) = &self.bias {
            y += bias;
        }
    }
}
