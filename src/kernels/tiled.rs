//! Activations in the order in which tiles read them.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::aligned::Recycled;

/// A matrix `[rows, columns]` as `[part][tile][group of columns][row of the tile][column of the group]`; what fills up the
/// last tile is anything.
///
/// A tile reads its numbers one after the other, and all tiles of a part lie together.
#[derive(Debug)]
pub struct Tiled<T: bytemuck::Pod> {
    rows: usize,
    columns: usize,
    tile: usize,
    part: usize,
    numbers: Recycled<T>,
}

impl<T: bytemuck::Pod + Send + Sync> Tiled<T> {
    /// Brings `map` of all numbers into tiles of `tile` rows, parts of `part` columns and groups of `GROUP`, on all threads.
    ///
    /// # Panics
    /// If columns or parts are no whole groups.
    pub fn new<S: Copy + Send + Sync, const GROUP: usize>(
        x: ArrayView2<S>,
        tile: usize,
        part: usize,
        map: impl Fn(S) -> T + Sync,
    ) -> Self {
        let x = x.as_standard_layout();
        let (rows, columns) = x.dim();
        assert!(columns.is_multiple_of(GROUP) && part.is_multiple_of(GROUP), "whole groups of {GROUP}");
        let padded = rows.next_multiple_of(tile);
        let mut numbers = Recycled::take(padded * columns);
        if padded * columns > 0 {
            let fill_part = |(index, out): (usize, &mut [T])| {
                let (from, part) = (index * part, out.len() / padded);
                let fill_tile = |(index, out): (usize, &mut [T])| {
                    let first = index * tile;
                    let places = out.as_chunks_mut::<GROUP>().0;
                    let row = |lane: usize| {
                        let row = x.row(first + lane).to_slice().expect("numbers of a row are neighbours");
                        row[from..][..part].as_chunks::<GROUP>().0
                    };
                    match (tile, rows - first) {
                        (12, 12..) => fill::<_, _, GROUP, 12>(std::array::from_fn(row), places, &map),
                        (6, 6..) => fill::<_, _, GROUP, 6>(std::array::from_fn(row), places, &map),
                        (2, 2..) => fill::<_, _, GROUP, 2>(std::array::from_fn(row), places, &map),
                        (_, left) => {
                            for lane in 0..tile.min(left) {
                                let places = places.iter_mut().skip(lane).step_by(tile);
                                places.zip(row(lane)).for_each(|(out, group)| *out = group.map(&map));
                            }
                        }
                    }
                };
                if rows <= tile {
                    out.chunks_mut(part * tile).enumerate().for_each(fill_tile);
                } else {
                    out.par_chunks_mut(part * tile).enumerate().for_each(fill_tile);
                }
            };
            // One tile is made before other threads could be asked.
            if rows <= tile {
                numbers.as_mut_slice().chunks_mut(padded * part).enumerate().for_each(fill_part);
            } else {
                numbers.as_mut_slice().par_chunks_mut(padded * part).enumerate().for_each(fill_part);
            }
        }
        Self { rows, columns, tile, part, numbers }
    }

    /// Rows, without those that fill up the last tile, and columns.
    pub fn dim(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Rows of a tile.
    pub fn tile(&self) -> usize {
        self.tile
    }

    /// The tiles from the one that begins at `row` on, in the part that begins at column `from`.
    ///
    /// # Panics
    /// If no tile begins there, or no part.
    pub fn part(&self, row: usize, from: usize) -> &[T] {
        assert!(row.is_multiple_of(self.tile) && from.is_multiple_of(self.part), "the beginning of a tile");
        let padded = self.rows.next_multiple_of(self.tile);
        let part = self.part.min(self.columns - from);
        &self.numbers.as_slice()[padded * from + row * part..padded * (from + part)]
    }
}

/// One tile whose rows are all there. Columns are taken eight at a time, so that `map` works on vectors.
fn fill<S: Copy, T, const GROUP: usize, const TILE: usize>(
    rows: [&[[S; GROUP]]; TILE],
    out: &mut [[T; GROUP]],
    map: &impl Fn(S) -> T,
) where
    T: Copy,
{
    const STEP: usize = 8;
    let whole = rows[0].len() / STEP * STEP;
    let (body, rest) = out.split_at_mut(whole * TILE);
    for (at, out) in body.chunks_exact_mut(STEP * TILE).enumerate() {
        let groups: [[[T; GROUP]; STEP]; TILE] = std::array::from_fn(|lane| {
            let groups = &rows[lane][at * STEP..][..STEP];
            std::array::from_fn(|k| groups[k].map(map))
        });
        for (k, out) in out.chunks_exact_mut(TILE).enumerate() {
            for (out, groups) in out.iter_mut().zip(&groups) {
                *out = groups[k];
            }
        }
    }
    for (k, out) in rest.chunks_exact_mut(TILE).enumerate() {
        for (out, row) in out.iter_mut().zip(&rows) {
            *out = row[whole + k].map(map);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;

    #[test]
    fn every_number_has_its_place() {
        let shapes =
            [(1, 1, 6, 4), (13, 9, 6, 4), (12, 8, 12, 4), (5, 3, 2, 8), (20, 45, 6, 20), (30, 33, 12, 32)];
        for (rows, columns, tile, part) in shapes {
            let x = Array2::from_shape_fn((rows, columns), |(i, j)| (i * columns + j + 1) as f32);
            let wide = Array2::from_shape_fn((rows, 2 * columns), |(i, j)| x[(i, j / 2)]);
            for x in [x.view(), wide.slice(s![.., ..;2])] {
                let tiled = Tiled::new::<_, 1>(x, tile, part, |x| 2.0 * x);
                assert_eq!(tiled.dim(), (rows, columns));
                for first in (0..rows).step_by(tile) {
                    for from in (0..columns).step_by(part) {
                        let count = part.min(columns - from);
                        let found = &tiled.part(first, from)[..count * tile];
                        for (at, found) in found.iter().enumerate() {
                            let place = (first + at % tile, from + at / tile);
                            if let Some(x) = x.get(place) {
                                assert_eq!(*found, 2.0 * x);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn groups_stand_side_by_side() {
        let x = Array2::from_shape_fn((3, 8), |(i, j)| (10 * i + j) as i16);
        let tiled = Tiled::new::<_, 2>(x.view(), 2, 4, |x| x);
        assert_eq!(tiled.part(0, 4)[..8], [4, 5, 14, 15, 6, 7, 16, 17]);
        assert_eq!(tiled.part(2, 0)[..2], [20, 21]);
        assert_eq!(tiled.part(2, 0)[4..6], [22, 23]);
    }
}
