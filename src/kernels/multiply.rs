//! One product on all threads: the output is cut into blocks of rows and columns, each computed by one thread.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::{Store, Weight};

/// Rows of a block, at most: a part of their columns stays in the second cache for all panels. Whole tiles of every kind.
pub(super) const ROWS: usize = 192;
/// Blocks of output rows begin at multiples of it: of the rows of every tile in registers.
pub const ROW_UNIT: usize = 12;
/// Blocks for each thread, so that none waits long for the others.
const BLOCKS_PER_THREAD: usize = 8;

/// One of several products with the same activations.
pub struct Product<'a> {
    /// The weight, `[out, in]`.
    pub weight: &'a dyn Weight,
    /// The output, `[tokens, out]`.
    pub y: ArrayViewMut2<'a, f32>,
}

/// `y = x · wᵀ`, or `y += x · wᵀ`, with `x: [tokens, in]`, `w: [out, in]`, `y: [tokens, out]`.
///
/// # Panics
/// If the shapes do not agree.
pub fn multiply(w: &dyn Weight, x: ArrayView2<f32>, y: ArrayViewMut2<f32>, store: Store) {
    multiply_all(vec![Product { weight: w, y }], x, store);
}

/// Several products with weights that one [`MatMul`](super::MatMul) has prepared; the activations are brought once into each form that
/// they take.
///
/// # Panics
/// If the shapes do not agree.
pub fn multiply_all(products: Vec<Product<'_>>, x: ArrayView2<f32>, store: Store) {
    for Product { weight, y } in &products {
        assert_eq!(y.dim(), (x.nrows(), weight.rows()), "shape of the product");
        assert_eq!(x.ncols(), weight.columns(), "inner dimension of the product");
    }
    let mut rest = products;
    while let Some(form) = rest.first().map(|product| product.weight.form()) {
        let (alike, others) = rest.into_iter().partition(|product| product.weight.form() == form);
        multiply_alike(alike, x, store);
        rest = others;
    }
}

/// [`multiply_all`] with weights that take one form.
fn multiply_alike(products: Vec<Product<'_>>, x: ArrayView2<f32>, store: Store) {
    let Some(first) = products.first().filter(|_| x.nrows() > 0) else { return };
    let activations = first.weight.activations(x);
    let rows = products.iter().map(|product| product.weight.rows_of_block()).max();
    let rows = rows.expect("there is a first product");
    let row_unit = first.weight.row_unit();
    let row_blocks = x.nrows().div_ceil(rows);
    let wanted = (BLOCKS_PER_THREAD * rayon::current_num_threads()).div_ceil(row_blocks);
    let outputs: usize = products.iter().map(|product| product.weight.rows()).sum();
    let blocks: Vec<_> = products
        .into_iter()
        .filter(|product| !product.y.is_empty())
        .flat_map(|Product { weight, y }| {
            let columns = outputs.div_ceil(wanted).next_multiple_of(weight.column_unit());
            cut(y, rows, row_unit, columns).map(move |block| (weight, block))
        })
        .collect();
    blocks
        .into_par_iter()
        .for_each(|(weight, (rows, columns, y))| weight.block(&activations, rows, columns, store, y));
}

/// Takes a block of a product: its rows, its columns, and the numbers.
pub type VisitBlocks<'a> = dyn Fn(Range<usize>, Range<usize>, ArrayView2<f32>) + Sync + 'a;

/// Calls `visit(rows, columns, logits)` with blocks of `x · wᵀ` that cover it once; no more than a block for each
/// thread is kept. `width` is rounded up to whole panels, and blocks of columns begin at its multiples, whatever the
/// number of threads.
pub fn for_blocks(w: &dyn Weight, x: ArrayView2<f32>, width: usize, visit: &VisitBlocks<'_>) {
    assert_eq!(x.ncols(), w.columns(), "inner dimension of the product");
    let width = width.max(1).next_multiple_of(w.column_unit());
    assert!(ROWS.is_multiple_of(w.row_unit()), "blocks of rows are whole units");
    let activations = w.activations(x);
    let rows = ranges(x.nrows(), ROWS);
    let columns = ranges(w.rows(), width);
    let blocks: Vec<_> =
        columns.iter().flat_map(|c| rows.iter().map(move |r| (r.clone(), c.clone()))).collect();
    blocks.into_par_iter().for_each_init(
        || Array2::zeros((0, 0)),
        |buffer, (rows, columns)| {
            if buffer.dim() != (rows.len(), columns.len()) {
                *buffer = Array2::zeros((rows.len(), columns.len()));
            }
            w.block(&activations, rows.clone(), columns.clone(), Store::Overwrite, buffer.view_mut());
            visit(rows, columns, buffer.view());
        },
    );
}

/// Ranges of nearly equal length that cover `0..length`, none longer than `most` rounded up to the unit of rows.
fn ranges(length: usize, most: usize) -> Vec<Range<usize>> {
    (0..length).step_by(most.max(1)).map(|start| start..length.min(start + most)).collect()
}

/// The blocks of `y`, of at most so many rows, in whole units, and columns, row by row.
fn cut(
    y: ArrayViewMut2<'_, f32>,
    rows: usize,
    row_unit: usize,
    columns: usize,
) -> impl Iterator<Item = (Range<usize>, Range<usize>, ArrayViewMut2<'_, f32>)> {
    let blocks = y.nrows().div_ceil(rows);
    let rows = y.nrows().div_ceil(blocks.max(1)).next_multiple_of(row_unit);
    axis_chunks(y, rows, Axis(0)).flat_map(move |(first_row, block)| {
        let rows = first_row..first_row + block.nrows();
        axis_chunks(block, columns, Axis(1)).map(move |(first, block)| {
            let columns = first..first + block.ncols();
            (rows.clone(), columns, block)
        })
    })
}

/// A mutable view cut by value, with the place of each piece.
fn axis_chunks(
    whole: ArrayViewMut2<'_, f32>,
    size: usize,
    axis: Axis,
) -> impl Iterator<Item = (usize, ArrayViewMut2<'_, f32>)> {
    let mut rest = Some(whole);
    let mut at = 0;
    std::iter::from_fn(move || {
        let whole = rest.take()?;
        let length = whole.len_of(axis);
        if length == 0 {
            return None;
        }
        let (piece, more) = whole.split_at(axis, size.min(length));
        rest = Some(more);
        let place = at;
        at += piece.len_of(axis);
        Some((place, piece))
    })
}
