//! The rows of an output block, as kernels write them.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use ndarray::ArrayViewMut2;

use super::{Store, Weight};

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

    /// The output of a block of a product of `x` rows and columns.
    ///
    /// # Panics
    /// As [`Weight::block`] where shapes do not agree, and as [`new`](Self::new).
    pub fn of_block(
        weight: &dyn Weight,
        x: (usize, usize),
        (rows, columns): (&Range<usize>, &Range<usize>),
        y: &'a mut ArrayViewMut2<'_, f32>,
    ) -> Self {
        let expected = ((rows.len(), columns.len()), weight.columns());
        assert_eq!((y.dim(), x.1), expected, "shapes of the block");
        assert!(rows.end <= x.0 && columns.end <= weight.rows(), "a block of the product");
        assert!(columns.start.is_multiple_of(weight.column_unit()), "blocks begin at panels");
        Self::new(y)
    }

    /// Where the rows of the columns from `first` on are, for whoever asks for their lines before they are written.
    pub fn place(&self, first: usize) -> (*const f32, usize) {
        (self.first.cast_const().wrapping_add(first), self.stride)
    }

    /// Puts `count` numbers of each row of `sums`, which are `width` apart, into the columns from `first` on.
    ///
    /// # Panics
    /// If there are no such columns, or `sums` is too short.
    pub fn put(&mut self, store: Store, first: usize, count: usize, sums: &[f32], width: usize) {
        assert!(count <= width && self.rows * width <= sums.len(), "a part of the block");
        self.put_panels(store, first, count, (sums, self.rows * width), width);
    }

    /// The same of several panels, each of whose sums begin `panel` after those of the one before: row by row, so that what is
    /// written lies side by side.
    ///
    /// # Panics
    /// As [`put`](Self::put).
    pub fn put_panels(
        &mut self,
        store: Store,
        first: usize,
        count: usize,
        (sums, panel): (&[f32], usize),
        width: usize,
    ) {
        assert!(
            first + count <= self.columns
                && self.rows * width <= panel
                && count.div_ceil(width) * panel <= sums.len(),
            "a part of the block"
        );
        for row in 0..self.rows {
            for (sums, from) in sums.chunks_exact(panel).zip((0..count).step_by(width)) {
                let own = width.min(count - from);
                self.put_row(store, row, first + from, &sums[row * width..][..own]);
            }
        }
    }

    /// Puts numbers into a row, from a column on.
    fn put_row(&mut self, store: Store, row: usize, first: usize, sums: &[f32]) {
        let count = sums.len();
        assert!(row < self.rows && first + count <= self.columns, "a part of a row");
        // SAFETY: `row` and the columns `first..first + count` lie in the view that `new` was given and that is borrowed mutably
        // for as long as this; rows do not overlap, since they are at least their length apart. Tested at odd shapes by the
        // products.
        let y = unsafe { std::slice::from_raw_parts_mut(self.first.add(row * self.stride + first), count) };
        // The widths of whole panels are a few instructions each and no call.
        match (store, count) {
            (Store::Overwrite, 64) => copy::<64>(y, sums),
            (Store::Overwrite, 32) => copy::<32>(y, sums),
            (Store::Overwrite, 16) => copy::<16>(y, sums),
            (Store::Overwrite, _) => y.copy_from_slice(sums),
            (Store::Add, _) => {
                let add = |(y, sum): (&mut f32, &f32)| *y += sum;
                let ((y, y_rest), (sums, sums_rest)) = (y.as_chunks_mut::<16>(), sums.as_chunks::<16>());
                y.iter_mut().zip(sums).for_each(|(y, sums)| y.iter_mut().zip(sums).for_each(add));
                y_rest.iter_mut().zip(sums_rest).for_each(add);
            }
        }
    }
}

/// Copies the first `N` numbers.
fn copy<const N: usize>(to: &mut [f32], from: &[f32]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *to = *from;
    }
}
