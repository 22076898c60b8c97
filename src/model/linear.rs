//! A linear layer: a weight in the form that products take, perhaps a bias.

use ndarray::{Array1, ArrayView2, ArrayViewMut2};

use crate::kernels::{MatMul, Product, Store, StoredMatrix, Weight, multiply_all};

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
        Self::apply_all([self], x, [y]);
    }

    /// Overwrites each of `ys` with the output of its layer for the same `x`.
    pub fn apply_all<const N: usize>(layers: [&Self; N], x: ArrayView2<f32>, ys: [ArrayViewMut2<f32>; N]) {
        Self::put(layers, x, ys, Store::Overwrite);
    }

    /// Adds the layer's output to `y`.
    pub fn add(&self, x: ArrayView2<f32>, y: ArrayViewMut2<f32>) {
        Self::put([self], x, [y], Store::Add);
    }

    fn put<const N: usize>(
        layers: [&Self; N],
        x: ArrayView2<f32>,
        mut ys: [ArrayViewMut2<f32>; N],
        store: Store,
    ) {
        let products = layers.iter().zip(&mut ys);
        let products =
            products.map(|(layer, y)| Product { weight: layer.weight.as_ref(), y: y.view_mut() }).collect();
        multiply_all(products, x, store);
        for (layer, y) in layers.into_iter().zip(&mut ys) {
            if let Some(bias) = &layer.bias {
                *y += bias;
            }
        }
    }
}
