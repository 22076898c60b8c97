//! RMSNorm (Zhang & Sennrich 2019), in f32.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Zip};
use rayon::prelude::*;

/// The number of rows that one task of the thread pool normalises.
const ROWS: usize = 64;

/// `out[t] = weight * x[t] / sqrt(mean(x[t]²) + eps)` for `x: [tokens, hidden]`, `weight: [hidden]`.
pub fn rms_norm(x: ArrayView2<f32>, weight: ArrayView1<f32>, eps: f64, out: &mut Array2<f32>) {
    let width = x.ncols() as f32;
    out.axis_chunks_iter_mut(Axis(0), ROWS).into_par_iter().zip(x.axis_chunks_iter(Axis(0), ROWS)).for_each(
        |(mut out, x)| {
            for (mut out, x) in out.rows_mut().into_iter().zip(x.rows()) {
                let mean_square = x.dot(&x) / width;
                let scale = 1.0 / (mean_square + eps as f32).sqrt();
                Zip::from(&mut out).and(&x).and(weight).for_each(|o, &x, &w| *o = w * (x * scale));
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_are_scaled_to_unit_mean_square() {
        let x = array![[3.0, -4.0], [0.0, 0.0]];
        let mut out = Array2::zeros((2, 2));
        rms_norm(x.view(), array![1.0, 2.0].view(), 1e-12, &mut out);
        let scale = 1.0 / 12.5f32.sqrt();
        assert!((out[[0, 0]] - 3.0 * scale).abs() < 1e-6 && (out[[0, 1]] + 8.0 * scale).abs() < 1e-6);
        assert_eq!(out.row(1).to_vec(), [0.0, 0.0]);
    }
}
