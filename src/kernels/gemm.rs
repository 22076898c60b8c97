//! Products of views of any strides, with the `matrixmultiply` crate, for work that is no forward pass.

use ndarray::{ArrayView2, ArrayViewMut2};

/// `c = a · b` on one thread for views of any strides, `a: [m, k]`, `b: [k, n]`, `c: [m, n]`.
///
/// Each element of `c` is summed over `k` in an order that depends on `k` alone.
///
/// # Panics
/// If the shapes do not agree.
pub fn gemm(a: ArrayView2<f32>, b: ArrayView2<f32>, mut c: ArrayViewMut2<f32>) {
    let ((m, k), (k_b, n)) = (a.dim(), b.dim());
    assert_eq!((k, (m, n)), (k_b, c.dim()), "shapes of the product");
    if m == 0 || n == 0 {
        return;
    }
    let (sa, sb, sc) = (a.strides(), b.strides(), c.strides());
    let (rsa, csa, rsb, csb, rsc, csc) = (sa[0], sa[1], sb[0], sb[1], sc[0], sc[1]);
    // SAFETY: the pointers and strides belong to live views whose dimensions were just checked, so every
    // element that sgemm addresses (row i < m or k, column j < k or n) lies inside its view; `c` is
    // borrowed mutably and cannot alias `a` or `b`. Tested at odd shapes against f64 sums.
    #[allow(unsafe_code)]
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.as_ptr(),
            rsa,
            csa,
            b.as_ptr(),
            rsb,
            csb,
            0.0,
            c.as_mut_ptr(),
            rsc,
            csc,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, s};

    #[test]
    fn strided_views_multiply_like_copies() {
        let a = Array2::from_shape_fn((5, 8), |(i, j)| (i * 8 + j) as f32);
        let b = Array2::from_shape_fn((9, 6), |(i, j)| (i as f32) - (j as f32));
        let (a, b) = (a.slice(s![.., 2..5]), b.slice(s![1..;3, ..;2]));
        let mut c = Array2::zeros((5, 3));
        gemm(a, b, c.view_mut());
        assert_eq!(c, a.to_owned().dot(&b.to_owned()));
    }

    #[test]
    fn a_sum_does_not_depend_on_the_number_of_rows() {
        let value = |(i, j): (usize, usize)| ((i * 131 + j * 17) % 97) as f32 / 97.0 - 0.4;
        let (a, b) = (Array2::from_shape_fn((70, 600), value), Array2::from_shape_fn((600, 40), value));
        let mut all = Array2::zeros((70, 40));
        gemm(a.view(), b.view(), all.view_mut());
        for rows in [1, 3, 64] {
            let mut part = Array2::zeros((rows, 40));
            gemm(a.slice(s![..rows, ..]), b.view(), part.view_mut());
            assert_eq!(part, all.slice(s![..rows, ..]));
        }
    }
}
