//! The mean of a matrix's rows, summed in PyTorch's order.
//!
//! Alpaca's recipe computed the new row as `weight[:-1].mean(dim=0)` in f32, and the last bits of that depend on the
//! order of the sum. PyTorch sums each column in a cascade: runs of `2^p` rows are added to a first accumulator, which
//! is carried into a second one after each run, that one into a third after `2^p` runs, and so on over four
//! levels; `p = max(4, ⌈log2 rows⌉ / 4)`. Followed here, so the row has the bits of the published recipe for every
//! width that is a multiple of 64, as all hidden sizes of the family are (columns that fill no vector of the processor
//! PyTorch sums in another order).
//! Source: `multi_row_sum` in PyTorch's `aten/src/ATen/native/cpu/SumKernel.cpp`; `tests/fixtures/lineage/mean.py`
//! compares with PyTorch itself.

use rayon::prelude::*;

use crate::weights::{TensorView, WeightsError};

/// Accumulators per column.
const LEVELS: usize = 4;
/// Columns summed by one task; a multiple of every block size.
const COLUMNS: usize = 256;

/// The mean over the rows of `[rows, columns]`, one f32 per column; empty for an empty matrix.
///
/// # Errors
/// [`WeightsError::NotWidenable`] for integers.
///
/// # Panics
/// For what is no matrix, or has a type of blocks.
pub(super) fn mean_row(matrix: &TensorView<'_>) -> Result<Vec<f32>, WeightsError> {
    let &[rows, columns] = matrix.info.shape.as_slice() else {
        panic!("{}: only a matrix has a mean row", matrix.info.name);
    };
    let mut means = vec![0.0f32; columns];
    means.par_chunks_mut(COLUMNS).enumerate().try_for_each(|(block, means)| {
        let mut values = [0.0f32; COLUMNS];
        let values = &mut values[..means.len()];
        let mut sum = Cascade::new(rows);
        for row in 0..rows {
            matrix.widen_from(row * columns + block * COLUMNS, values)?;
            sum.add(values);
        }
        for (mean, sum) in means.iter_mut().zip(sum.finish()) {
            *mean = sum / rows as f32;
        }
        Ok::<(), WeightsError>(())
    })?;
    Ok(means)
}

/// Running sums of up to [`COLUMNS`] columns.
struct Cascade {
    levels: [[f32; COLUMNS]; LEVELS],
    power: u32,
    /// Rows after which no whole run follows.
    whole: usize,
    row: usize,
}

impl Cascade {
    fn new(rows: usize) -> Cascade {
        let log2 = rows.next_power_of_two().trailing_zeros();
        let power = (log2 / LEVELS as u32).max(4);
        Cascade { levels: [[0.0; COLUMNS]; LEVELS], power, whole: rows >> power << power, row: 0 }
    }

    fn add(&mut self, values: &[f32]) {
        self.row += 1;
        let [first, ..] = &mut self.levels;
        for (sum, value) in first.iter_mut().zip(values) {
            *sum += value;
        }
        let run = (1usize << self.power) - 1;
        if self.row > self.whole || self.row & run != 0 {
            return;
        }
        for level in 1..LEVELS {
            self.carry(level);
            if self.row >> (level as u32 * self.power) & run != 0 {
                break;
            }
        }
    }

    /// Moves what the level below has summed into `level`.
    fn carry(&mut self, level: usize) {
        let [below, this] = self.levels.get_disjoint_mut([level - 1, level]).expect("two of the levels");
        for (sum, carried) in this.iter_mut().zip(below) {
            *sum += *carried;
            *carried = 0.0;
        }
    }

    fn finish(self) -> [f32; COLUMNS] {
        let [mut sums, upper @ ..] = self.levels;
        for level in upper {
            for (sum, more) in sums.iter_mut().zip(level) {
                *sum += more;
            }
        }
        sums
    }
}
