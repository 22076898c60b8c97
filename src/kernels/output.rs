//! The rows of an output block, as kernels write them.

#![allow(unsafe_code)]

use std::marker::PhantomData;

use ndarray::ArrayViewMut2;

use super::Store;

/// A borrowed block `[rows, columns]` whose columns are neighbours in memory.
pub(super) struct BlockRows<'a> {
    first: *mut f32,
    rows: usize,
    columns: usize,
    stride: usize,
    borrowed: PhantomData<&'a mut f32>,
}

impl<'a> BlockRows<'a> {
    /// # Panics
    /// If neighbours in a row are no neighbours in memory, or rows stand in reverse.
    pub fn new(y: &'a mut ArrayViewMut2<'_, f32>) -> Self {
        let ((rows, columns), strides) = (y.dim(), [y.strides()[0], y.strides()[1]]);
        assert!(columns < 2 || strides[1] == 1, "columns of an output are neighbours");
        assert!(rows < 2 || strides[0] >= columns as isize, "rows of an output follow each other");
        let stride = if rows < 2 { columns } else { strides[0] as usize };
        Self { first: y.as_mut_ptr(), rows, columns, stride, borrowed: PhantomData }
    }

    /// Where column `first` of the first row is, and how far it is to the next row.
    pub fn place(&mut self, first: usize) -> (*mut f32, usize) {
        (self.first.wrapping_add(first), self.stride)
    }

    /// Fills `count` columns from `first` on with zeros.
    pub fn fill(&mut self, first: usize, count: usize) {
        let zeros = vec![0.0; self.rows * count];
        self.put(Store::Overwrite, first, count, &zeros, count);
    }

    /// Puts `count` numbers of each row of `sums`, which are `width` apart, into the columns from `first` on.
    ///
    /// # Panics
    /// If there are no such columns, or `sums` is too short.
    pub fn put(&mut self, store: Store, first: usize, count: usize, sums: &[f32], width: usize) {
        assert!(
            count <= width && first + count <= self.columns && self.rows * width <= sums.len(),
            "a part of the block"
        );
        for (row, sums) in sums.chunks_exact(width).take(self.rows).enumerate() {
            // SAFETY: `row` and the columns `first..first + count` lie in the view that `new` was given and that is borrowed
            // mutably for as long as this; rows do not overlap, since they are at least their length apart. Tested at odd
            // shapes by the products.
            let y =
                unsafe { std::slice::from_raw_parts_mut(self.first.add(row * self.stride + first), count) };
            match store {
                Store::Overwrite => y.copy_from_slice(&sums[..count]),
                Store::Add => y.iter_mut().zip(sums).for_each(|(y, sum)| *y += sum),
            }
        }
    }
}
