//! OpenBLAS through `ndarray`.

use std::ffi::c_int;
use std::sync::Once;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
// Links the library; its symbols are used through ndarray.
use openblas_src as _;

use super::{MatMul, split};

// The one function of OpenBLAS that ndarray does not wrap.
#[allow(unsafe_code)]
unsafe extern "C" {
    /// Part of OpenBLAS's C interface since 0.2; takes effect for the whole process.
    fn openblas_set_num_threads(threads: c_int);
}

static ONE_THREAD: Once = Once::new();

/// Single-threaded OpenBLAS products, split over rayon's threads.
#[derive(Debug, Clone, Copy)]
pub struct Blas(());

impl Blas {
    /// Also sets OpenBLAS to one thread for the whole process: called from rayon's threads, its own
    /// threads would wait for each other (an SVD went from 7 ms to 1.8 s).
    pub fn new() -> Self {
        ONE_THREAD.call_once(|| {
            // SAFETY: a plain C function of the library that this feature links, without pointers;
            // any positive count is valid. Every test of this room runs after this call.
            #[allow(unsafe_code)]
            unsafe {
                openblas_set_num_threads(1);
            }
        });
        Self(())
    }
}

impl Default for Blas {
    fn default() -> Self {
        Self::new()
    }
}

impl MatMul for Blas {
    fn name(&self) -> &'static str {
        "blas"
    }

    fn linear(&self, x: ArrayView2<f32>, w: ArrayView2<f32>, y: ArrayViewMut2<f32>) {
        split::over_blocks(x, w, y, |x, w, mut y| general_mat_mul(1.0, &x, &w.t(), 0.0, &mut y));
    }
}
