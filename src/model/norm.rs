//! RMSNorm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016), in f32.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};

use super::rows::{for_rows, row};
use crate::kernels;

/// A norm of the rows of `x: [tokens, hidden]`.
#[derive(Debug, Clone)]
pub enum Norm {
    /// `weight * x / sqrt(mean(x²) + eps)`.
    Rms {
        /// `[hidden]`.
        weight: Array1<f32>,
        /// What keeps the root above zero.
        eps: f32,
    },
    /// `weight * (x − mean(x)) / sqrt(variance(x) + eps) + bias`.
    Layer {
        /// `[hidden]`.
        weight: Array1<f32>,
        /// `[hidden]`.
        bias: Array1<f32>,
        /// What keeps the root above zero.
        eps: f32,
    },
}

impl Norm {
    /// Overwrites `out` with the norm of `x`.
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn apply(&self, x: ArrayView2<f32>, out: ArrayViewMut2<f32>) {
        let (Norm::Rms { weight, .. } | Norm::Layer { weight, .. }) = self;
        assert_eq!((x.dim(), x.ncols()), (out.dim(), weight.len()), "shapes of a norm");
        match self {
            Norm::Rms { weight, eps } => {
                let weight = weight.as_slice().expect("numbers of a vector are neighbours");
                for_rows(out, |index, out| kernels::rms_norm(row(&x, index), weight, *eps, out));
            }
            Norm::Layer { weight, bias, eps } => {
                for_rows(out, |index, out| layer_norm(x.row(index), [weight, bias], *eps, out.into()));
            }
        }
    }

    /// The norm of `x`, in memory of its own.
    pub fn of(&self, x: ArrayView2<f32>) -> Array2<f32> {
        let mut out = Array2::zeros(x.raw_dim());
        self.apply(x, out.view_mut());
        out
    }
}

fn layer_norm(x: ArrayView1<f32>, [weight, bias]: [&Array1<f32>; 2], eps: f32, mut out: ArrayViewMut1<f32>) {
    let width = x.len() as f32;
    let mean = x.sum() / width;
    out.zip_mut_with(&x, |o, &x| *o = x - mean);
    // From the differences: the mean of squares less the squared mean loses digits.
    let variance = out.dot(&out) / width;
    let scale = 1.0 / (variance + eps).sqrt();
    Zip::from(out).and(weight).and(bias).for_each(|o, &w, &b| *o = w * (*o * scale) + b);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_are_scaled_to_unit_mean_square() {
        let norm = Norm::Rms { weight: array![1.0, 2.0], eps: 1e-12 };
        let out = norm.of(array![[3.0, -4.0], [0.0, 0.0]].view());
        let scale = 1.0 / 12.5f32.sqrt();
        assert!((out[[0, 0]] - 3.0 * scale).abs() < 1e-6 && (out[[0, 1]] + 8.0 * scale).abs() < 1e-6);
        assert_eq!(out.row(1).to_vec(), [0.0, 0.0]);
    }

    #[test]
    fn layers_have_mean_zero_and_variance_one_before_weight_and_bias() {
        let norm = Norm::Layer { weight: array![1.0, 2.0, 1.0], bias: array![0.0, 10.0, 0.0], eps: 1e-12 };
        let out = norm.of(array![[1001.0, 1002.0, 1003.0], [5.0, 5.0, 5.0]].view());
        let step = 1.5f32.sqrt();
        for (found, expected) in out.row(0).iter().zip([-step, 10.0, step]) {
            assert!((found - expected).abs() < 1e-6, "{out}");
        }
        assert_eq!(out.row(1).to_vec(), [0.0, 10.0, 0.0]);
    }
}
