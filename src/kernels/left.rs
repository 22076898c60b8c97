//! The left factor of several small products, brought into the form that they read once for all of them.

use super::Isa;
use super::amx::LeftTiles;
use super::isa::Operands;
use super::layout::{MatrixLayout, Right};
use super::pairs::pair_columns;
use super::small::product;

/// What [`Left::prepare`] has made of some rows: pairs of bf16 numbers, tiles, or nothing where products read the numbers themselves.
#[derive(Debug, Default)]
pub struct Left {
    columns: usize,
    pairs: Vec<u32>,
    tiles: LeftTiles,
}

impl Left {
    /// Prepares rows of `columns` numbers for products with [numbers](Right::Numbers) or, `in_pairs`, with [pairs](Right::Pairs).
    ///
    /// # Panics
    /// If these are no whole rows, or rows of an odd number of columns in pairs.
    pub fn prepare(&mut self, x: &[f32], columns: usize, in_pairs: bool) {
        assert!(x.len().is_multiple_of(columns), "rows of {columns}");
        assert!(!in_pairs || columns.is_multiple_of(2), "pairs of columns");
        self.columns = columns;
        if Isa::best().has_tiles() {
            self.tiles.take(x, MatrixLayout::packed(x.len() / columns, columns), in_pairs);
        } else if in_pairs {
            pair_columns(x, &mut self.pairs);
        }
    }

    /// `c = a · b`, or with `resume` `c += a · b`: `a` are the rows from `first` on of `x`, which was [prepared](Self::prepare) for such a
    /// `b`, as many as `c` has, and of each the first numbers, as many as `b` has rows.
    ///
    /// # Panics
    /// As [`multiply_small`](super::multiply_small).
    pub fn times(
        &self,
        (x, first): (&[f32], usize),
        right: Right<'_>,
        (c, c_shape): (&mut [f32], MatrixLayout),
        resume: bool,
    ) {
        let isa = Isa::best();
        if let Some(unit) = isa.tiles() {
            return self.tiles.multiply(unit, first, right, (c, c_shape), resume);
        }
        let rows = c_shape.rows;
        match right {
            Right::Numbers(b, shape) => {
                let a = MatrixLayout { rows, columns: shape.rows, stride: self.columns };
                let x = &x[first * self.columns..];
                product(isa, Operands::Strided, (x, a), (b, shape), (c, c_shape), resume);
            }
            Right::Pairs(b, shape) => {
                let half = self.columns / 2;
                let a = MatrixLayout { rows, columns: shape.rows, stride: half };
                let (x, b) = (bytemuck::cast_slice(&self.pairs[first * half..]), bytemuck::cast_slice(b));
                product(isa, Operands::StridedBf16Pairs, (x, a), (b, shape), (c, c_shape), resume);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::pairs::multiply_pairs;
    use crate::kernels::{column_step, multiplies_pairs, multiply_small, pair_rows};

    /// Rows before a tile, behind one, and all of several; fewer numbers than rows have.
    #[test]
    fn any_rows_of_a_prepared_factor_are_those_of_a_product_of_their_own() {
        let (width, columns) = (2 * column_step(), 64);
        let x: Vec<f32> = (0..70 * columns).map(|i| (i * 37 % 101) as f32 / 50.7 - 1.0).collect();
        let b: Vec<f32> = (0..columns * width).map(|i| (i * 53 % 97) as f32 / 48.3 - 1.0).collect();
        let mut left = Left::default();
        for in_pairs in [false, true].into_iter().filter(|in_pairs| !in_pairs || multiplies_pairs()) {
            left.prepare(&x, columns, in_pairs);
            for (first, rows, depth) in
                [(0, 70, 64), (5, 3, 64), (16, 32, 30), (7, 60, 34), (69, 1, 2), (3, 0, 64)]
            {
                let shape = MatrixLayout::packed(rows, width);
                let (mut found, mut expected) = (vec![1.0; rows * width], vec![1.0; rows * width]);
                let own = &x[first * columns..];
                let mut pairs = Vec::new();
                pair_rows(&b[..depth * width], width, &mut pairs);
                let right = match in_pairs {
                    true => Right::Pairs(&pairs, MatrixLayout::packed(depth / 2, width)),
                    false => Right::Numbers(&b, MatrixLayout::packed(depth, width)),
                };
                for resume in [false, true] {
                    left.times((&x, first), right, (&mut found, shape), resume);
                    match right {
                        Right::Pairs(b, of_b) => {
                            let mut own_pairs = Vec::new();
                            pair_columns(&own[..rows * columns], &mut own_pairs);
                            let a = MatrixLayout { rows, columns: of_b.rows, stride: columns / 2 };
                            multiply_pairs((&own_pairs, a), (b, of_b), (&mut expected, shape), resume);
                        }
                        Right::Numbers(b, of_b) => {
                            let a = MatrixLayout { rows, columns: depth, stride: columns };
                            multiply_small(
                                (&own[..rows * columns], a),
                                (b, of_b),
                                (&mut expected, shape),
                                resume,
                            );
                        }
                    }
                }
                assert_eq!(found, expected, "{first} {rows} {depth} {in_pairs}");
            }
        }
    }
}
