//! RMSNorm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016), in f32.

use ndarray::{Array1, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, Zip};
use rayon::prelude::*;

use crate::kernels as rows;

/// The number of rows that one task of the thread pool normalises.
const ROWS: usize = 64;

/// `out[t] = weight * x[t] / sqrt(mean(x[t]²) + eps)` for `x: [tokens, hidden]`, `weight: [hidden]`.
pub fn rms_norm(x: ArrayView2<f32>, weight: &Array1<f32>, eps: f64, out: ArrayViewMut2<f32>) {
    for_rows(x, out, |x, mut out| {
        if let (Some(x), Some(weight), Some(out)) = (x.as_slice(), weight.as_slice(), out.as_slice_mut()) {
            rows::rms_norm(x, weight, eps as f32, out);
        }
    });
}

/// A LayerNorm's weight and bias.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// `[hidden]`.
    pub weight: Array1<f32>,
    /// `[hidden]`.
    pub bias: Array1<f32>,
}

impl LayerNorm {
    /// `out[t] = weight * (x[t] − mean(x[t])) / sqrt(variance(x[t]) + eps) + bias` for `x: [tokens, hidden]`.
    pub fn apply(&self, x: ArrayView2<f32>, eps: f64, out: ArrayViewMut2<f32>) {
        let width = x.ncols() as f32;
        for_rows(x, out, |x, mut out| {
            let mean = x.sum() / width;
            out.zip_mut_with(&x, |o, &x| *o = x - mean);
            // From the differences: the mean of squares less the squared mean loses digits.
            let variance = out.dot(&out) / width;
            let scale = 1.0 / (variance + eps as f32).sqrt();
            Zip::from(out).and(&self.weight).and(&self.bias).for_each(|o, &w, &b| *o = w * (*o * scale) + b);
        });
    }
}

/// Calls `norm` with every row of `x` and of `out`, in parallel.
fn for_rows(
    x: ArrayView2<f32>,
    mut out: ArrayViewMut2<f32>,
    norm: impl Fn(ArrayView1<f32>, ArrayViewMut1<f32>) + Sync,
) {
    out.axis_chunks_iter_mut(Axis(0), ROWS).into_par_iter().zip(x.axis_chunks_iter(Axis(0), ROWS)).for_each(
        |(mut out, x)| {
            for (out, x) in out.rows_mut().into_iter().zip(x.rows()) {
                norm(x, out);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn rows_are_scaled_to_unit_mean_square() {
        let x = array![[3.0, -4.0], [0.0, 0.0]];
        let mut out = Array2::zeros((2, 2));
        rms_norm(x.view(), &array![1.0, 2.0], 1e-12, out.view_mut());
        let scale = 1.0 / 12.5f32.sqrt();
        assert!((out[[0, 0]] - 3.0 * scale).abs() < 1e-6 && (out[[0, 1]] + 8.0 * scale).abs() < 1e-6);
        assert_eq!(out.row(1).to_vec(), [0.0, 0.0]);
    }

    #[test]
    fn layers_have_mean_zero_and_variance_one_before_weight_and_bias() {
        let norm = LayerNorm { weight: array![1.0, 2.0, 1.0], bias: array![0.0, 10.0, 0.0] };
        let x = array![[1001.0, 1002.0, 1003.0], [5.0, 5.0, 5.0]];
        let mut out = Array2::zeros((2, 3));
        norm.apply(x.view(), 1e-12, out.view_mut());
        let step = 1.5f32.sqrt();
        for (found, expected) in out.row(0).iter().zip([-step, 10.0, step]) {
            assert!((found - expected).abs() < 1e-6, "{out}");
        }
        assert_eq!(out.row(1).to_vec(), [0.0, 10.0, 0.0]);
    }
}
