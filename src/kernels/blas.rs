//! OpenBLAS through `ndarray`.

use std::ffi::c_int;
use std::ops::Range;
use std::sync::Once;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, CowArray, s};
// Links the library; its symbols are used through ndarray.
use openblas_src as _;
use rayon::prelude::*;

use super::{ActivationForm, Activations, MatMul, Precision, Store, StoredMatrix, Weight};
use crate::weights::Dtype;

// The one function of OpenBLAS that ndarray does not wrap.
#[allow(unsafe_code)]
unsafe extern "C" {
    /// Part of OpenBLAS's C interface since 0.2; takes effect for the whole process.
    fn openblas_set_num_threads(threads: c_int);
}

static ONE_THREAD: Once = Once::new();

/// The narrowest block of output columns worth a product of its own.
const COLUMNS: usize = 64;

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

    fn precision(&self) -> Precision {
        Precision::Exact
    }

    fn prepare(&self, matrix: &StoredMatrix<'_>) -> Box<dyn Weight> {
        let mut wide = Array2::zeros((matrix.rows(), matrix.columns()));
        wide.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(row, mut out)| {
            matrix.widen_row(row, out.as_slice_mut().expect("numbers of a row are neighbours"));
        });
        Box::new(Dense(wide))
    }

    fn prepared_bytes(&self, _: Dtype, rows: usize, columns: usize) -> Option<u64> {
        (rows as u64).checked_mul(columns as u64)?.checked_mul(size_of::<f32>() as u64)
    }
}

/// A matrix `[out, in]` of f32.
struct Dense(Array2<f32>);

impl Weight for Dense {
    fn rows(&self) -> usize {
        self.0.nrows()
    }

    fn columns(&self) -> usize {
        self.0.ncols()
    }

    fn bytes(&self) -> usize {
        self.0.len() * size_of::<f32>()
    }

    fn column_unit(&self) -> usize {
        COLUMNS
    }

    fn form(&self) -> ActivationForm {
        ActivationForm::Rows
    }

    fn activations<'a>(&self, x: ArrayView2<'a, f32>) -> Activations<'a> {
        Activations::Rows(CowArray::from(x))
    }

    fn block(
        &self,
        x: &Activations<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        store: Store,
        mut y: ArrayViewMut2<f32>,
    ) {
        let Activations::Rows(x) = x else { panic!("expected activations as they are") };
        let keep = match store {
            Store::Overwrite => 0.0,
            Store::Add => 1.0,
        };
        general_mat_mul(1.0, &x.slice(s![rows, ..]), &self.0.slice(s![columns, ..]).t(), keep, &mut y);
    }
}
