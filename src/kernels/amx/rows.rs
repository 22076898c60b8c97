//! Activations in the parts and tiles that products read.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::super::aligned::Recycled;
use super::split::{PARTS, split_rows};
use super::{CUT, ROWS, STEP};

/// A number of activations in its parts.
pub(super) type Parted = [f32; PARTS];

/// Rows of activations in parts and tiles, `[cut of K][tile of 16 rows][step][part][16][32]`. What fills up the last tile is
/// anything.
///
/// What a cut has of all rows lies together: tiles at the distance of whole rows would meet in the same few lines of a cache.
#[derive(Debug)]
pub struct SplitRows {
    rows: usize,
    columns: usize,
    parts: usize,
    numbers: Recycled<u16>,
    /// Of a row that is multiplied by vectors, K in whole steps.
    together: Option<Vec<Parted>>,
}

impl SplitRows {
    /// What a number of f32 takes in all its parts.
    pub(in super::super) const BYTES: usize = PARTS * size_of::<u16>();

    /// Splits every number into so many parts, on all threads.
    pub(super) fn new(x: ArrayView2<f32>, parts: usize) -> Self {
        let x = x.as_standard_layout();
        let (rows, columns) = x.dim();
        let tiles = rows.div_ceil(ROWS);
        let of_tile = |columns| tile_of(parts, columns);
        let mut numbers = Recycled::take(tiles * of_tile(columns));
        let fill_cut = |(index, out): (usize, &mut [u16])| {
            let from = index * CUT;
            let columns = from..columns.min(from + CUT);
            let fill_tile = |(index, out): (usize, &mut [u16])| {
                let first = index * ROWS;
                let numbers = (first..rows.min(first + ROWS)).map(|row| {
                    let row = x.row(row).to_slice().expect("numbers of a row are neighbours");
                    &row[columns.clone()]
                });
                split_rows(numbers, parts, ROWS * STEP, out);
            };
            match of_tile(columns.len()) {
                tile if tiles == 1 => out.chunks_mut(tile).enumerate().for_each(fill_tile),
                tile => out.par_chunks_mut(tile).enumerate().for_each(fill_tile),
            }
        };
        match tiles * of_tile(CUT) {
            0 => {}
            cut if tiles == 1 => numbers.as_mut_slice().chunks_mut(cut).enumerate().for_each(fill_cut),
            cut => numbers.as_mut_slice().par_chunks_mut(cut).enumerate().for_each(fill_cut),
        }
        Self { rows, columns, parts, numbers, together: None }
    }

    /// If there is one row alone, brings the parts of each number together too.
    pub(super) fn and_together(mut self) -> Self {
        self.together = (self.rows == 1).then(|| self.bring_together());
        self
    }

    fn bring_together(&self) -> Vec<Parted> {
        assert_eq!(self.parts, PARTS, "parts of the activations");
        let mut all = Vec::with_capacity(self.columns.next_multiple_of(STEP));
        for from in (0..self.columns).step_by(STEP) {
            let (tile, _) = self.part(0, from);
            let [first, second, third] = std::array::from_fn(|part| {
                tile[part * ROWS * STEP..].first_chunk::<STEP>().expect("a row of a tile")
            });
            let wide = |half: u16| f32::from_bits(u32::from(half) << 16);
            let numbers = first.iter().zip(second).zip(third);
            all.extend(numbers.map(|((first, second), third)| [*first, *second, *third].map(wide)));
        }
        all
    }

    /// The only row with the parts of each number beside each other, if they were [brought together](Self::and_together).
    pub(super) fn together(&self) -> Option<&[Parted]> {
        self.together.as_deref()
    }

    /// Rows, without those that fill up the last tile, and columns.
    pub(super) fn dim(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Parts of every number.
    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// What a cut has of the tiles from the one that begins at `row` on, from column `from` on, and from one tile to the next; behind it
    /// stand the other cuts, of a single tile what follows in K.
    ///
    /// # Panics
    /// If no tile begins there, or no step.
    pub(super) fn part(&self, row: usize, from: usize) -> (&[u16], usize) {
        assert!(row.is_multiple_of(ROWS) && from.is_multiple_of(STEP), "the beginning of a tile");
        let (tiles, cut) = (self.rows.div_ceil(ROWS), from / CUT * CUT);
        let tile = tile_of(self.parts, CUT.min(self.columns - cut));
        let numbers = &self.numbers.as_slice()[tiles * tile_of(self.parts, cut)..];
        (&numbers[row / ROWS * tile + tile_of(self.parts, from - cut)..], tile)
    }
}

/// Numbers that a tile of rows has of so many columns.
fn tile_of(parts: usize, columns: usize) -> usize {
    columns.div_ceil(STEP) * parts * ROWS * STEP
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::split::tests::parts_of;
    use super::*;

    #[test]
    fn every_part_has_its_place() {
        let value = |i: usize, j: usize| (i * 257 + j) as f32 * 1.000_123 + 0.37;
        let shapes = [(1, 1, 3), (16, 33, 3), (17, 64, 1), (70, 100, 3), (40, 2 * CUT + 65, 3)];
        for (rows, columns, parts) in shapes {
            let x = Array2::from_shape_fn((rows, columns), |(i, j)| value(i, j));
            let split = SplitRows::new(x.view(), parts);
            assert_eq!((split.dim(), split.parts()), ((rows, columns), parts));
            for (i, j) in (0..rows).flat_map(|i| (0..columns.next_multiple_of(STEP)).map(move |j| (i, j))) {
                let expected = if j < columns { parts_of(x[(i, j)]) } else { [0.0; PARTS] };
                let (from, _) = split.part(i / ROWS * ROWS, j / STEP * STEP);
                let (next, stride) = split.part(0, j / STEP * STEP);
                assert_eq!(from.len() + i / ROWS * stride, next.len());
                assert!(
                    rows > ROWS
                        || from.len()
                            == columns.div_ceil(STEP) * parts * ROWS * STEP - j / STEP * parts * ROWS * STEP
                );
                for (part, expected) in expected.iter().take(parts).enumerate() {
                    let at = (part * ROWS + i % ROWS) * STEP + j % STEP;
                    assert_eq!(u32::from(from[at]) << 16, expected.to_bits(), "[{i}, {j}] part {part}");
                }
            }
        }
    }
}
