//! Cutting one product into independent pieces of the output, for rayon.

use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

/// Rows of `x` in one piece: enough that packing the weights is paid once per many rows.
const ROWS: usize = 512;
/// The narrowest panel of output columns worth a piece of its own.
const MIN_COLUMNS: usize = 64;

/// Runs `product(x rows, w rows, y block)` over blocks that cover `y = x · wᵀ` exactly once.
pub fn over_blocks<F>(x: ArrayView2<f32>, w: ArrayView2<f32>, y: ArrayViewMut2<f32>, product: F)
where
    F: Fn(ArrayView2<f32>, ArrayView2<f32>, ArrayViewMut2<f32>) + Sync,
{
    let (tokens, outputs) = y.dim();
    assert_eq!((tokens, outputs), (x.nrows(), w.nrows()), "shape of the product");
    assert_eq!(x.ncols(), w.ncols(), "inner dimension of the product");
    if tokens == 0 || outputs == 0 {
        return;
    }
    let row_blocks = tokens.div_ceil(ROWS);
    let wanted = (4 * rayon::current_num_threads()).div_ceil(row_blocks);
    let columns = outputs.div_ceil(wanted).next_multiple_of(MIN_COLUMNS).min(outputs);

    let mut pieces = Vec::with_capacity(row_blocks * outputs.div_ceil(columns));
    let mut rest = y;
    let mut row = 0;
    while row < tokens {
        let (mut block, below) = rest.split_at(Axis(0), ROWS.min(tokens - row));
        rest = below;
        let rows = row..row + block.nrows();
        row = rows.end;
        let mut column = 0;
        while column < outputs {
            let (piece, right) = block.split_at(Axis(1), columns.min(outputs - column));
            block = right;
            let range = column..column + piece.ncols();
            column = range.end;
            pieces.push((rows.clone(), range, piece));
        }
    }
    pieces.into_par_iter().for_each(|(rows, columns, piece)| {
        product(x.slice(s![rows, ..]), w.slice(s![columns, ..]), piece);
    });
}
