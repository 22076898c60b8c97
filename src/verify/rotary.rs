//! Row order of the query and key matrices: Hugging Face's or Meta's.
//!
//! A head of `d` rows is rotated in pairs: `(i, i + d/2)` in Hugging Face's layout, `(2i, 2i + 1)` in Meta's and GGUF's.
//! Weights in the wrong one load without a complaint and talk nonsense. Training leaves a trace: the two rows of a
//! pair play the same part, so that `g_r = q_r · k_r`, the product of a query row with the key row that it meets, is much
//! alike in both. With `agreement(pairing) = 2 Σ g_a g_b / Σ (g_a² + g_b²)` over all heads and the pairs `(a, b)` of
//! a pairing, 1 for equal and 0 for unrelated products, means over the layers are
//!
//! | model | rows | halves | neighbours |
//! |---|---|--:|--:|
//! | stories260K (5 layers, 8 heads of 8 rows, 4 key heads) | right | 0.68 | −0.32 |
//! | | Meta's | −0.47 | 0.68 |
//! | | only q in Meta's | 0.02 | −0.02 |
//! | SmolLM2-135M (30 layers, 9 heads of 64 rows, 3 key heads) | right | 0.84 | 0.77 |
//! | | Meta's | 0.12 | 0.84 |
//! | | only q in Meta's | 0.00 | −0.05 |
//!
//! In the right order neighbours are two rows of close frequencies, so they agree too; in Meta's order halves are far
//! apart. `halves − neighbours` is above 0.003 in each of the 35 layers in the right order and below −0.09 in each in
//! Meta's; its mean is at least 0.06 and at most −0.71. The limit lies between. What this cannot see: rows that
//! were reordered twice (halves 0.77 on SmolLM2), and models whose training left no such trace.
//! Measured here on those two models; reordering is `permute` of the `transformers` conversion script.

use rayon::prelude::*;

use crate::weights::{TensorView, WeightsError};

/// Neighbours that agree more than halves by this much are pairs.
const MARGIN: f64 = 0.3;
/// Agreement of halves from which rows in the right order are recognised.
const CLEAR: f64 = 0.45;

/// Numbers of query and of key heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadCounts {
    /// Query heads.
    pub queries: usize,
    /// Key heads, a divisor of the query heads.
    pub keys: usize,
}

/// How well the products of paired rows agree in one layer, or on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Rows `i` and `i + d/2`.
    pub halves: f64,
    /// Rows `2i` and `2i + 1`.
    pub neighbours: f64,
}

/// The order of the rows, as far as the values tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// Hugging Face's.
    Halves,
    /// Meta's.
    Neighbours,
    /// The values do not tell.
    Unclear,
}

impl Agreement {
    /// The agreement of one layer's matrices; `None` if they are not whole heads of the same, even size.
    ///
    /// # Errors
    /// What widening reports.
    pub fn of(
        q: &TensorView<'_>,
        k: &TensorView<'_>,
        heads: HeadCounts,
    ) -> Result<Option<Agreement>, WeightsError> {
        let ([q_rows, columns], [k_rows, k_columns]) = (q.info.shape.as_slice(), k.info.shape.as_slice())
        else {
            return Ok(None);
        };
        let head_dim = q_rows.checked_div(heads.queries).unwrap_or(0);
        let fits = heads.keys > 0
            && columns == k_columns
            && head_dim > 0
            && head_dim % 2 == 0
            && q_rows.is_multiple_of(heads.queries)
            && heads.queries.is_multiple_of(heads.keys)
            && Some(*k_rows) == heads.keys.checked_mul(head_dim);
        let (Some(q_row), Some(k_row)) = (q.info.dtype.bytes_for(*columns), k.info.dtype.bytes_for(*columns))
        else {
            return Ok(None);
        };
        if !fits || q_row == 0 || !q.info.dtype.is_widenable() || !k.info.dtype.is_widenable() {
            return Ok(None);
        }
        let group = heads.queries / heads.keys;
        let products: Vec<Vec<f64>> = q
            .data
            .par_chunks_exact(q_row * head_dim)
            .enumerate()
            .map(|(head, q_head)| {
                let k_rows = k.data.chunks_exact(k_row).skip(head / group * head_dim);
                let (mut a, mut b) = (vec![0.0f32; *columns], vec![0.0f32; *columns]);
                q_head
                    .chunks_exact(q_row)
                    .zip(k_rows)
                    .map(|(q_bytes, k_bytes)| {
                        q.info.dtype.widen(q_bytes, &mut a)?;
                        k.info.dtype.widen(k_bytes, &mut b)?;
                        Ok(a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum())
                    })
                    .collect::<Result<Vec<f64>, WeightsError>>()
            })
            .collect::<Result<_, WeightsError>>()?;
        let halves = agreement(products.iter().flat_map(|head| {
            let (first, second) = head.split_at(head.len() / 2);
            first.iter().copied().zip(second.iter().copied())
        }));
        let neighbours = agreement(products.iter().flat_map(|head| {
            let (pairs, _) = head.as_chunks::<2>();
            pairs.iter().map(|&[a, b]| (a, b))
        }));
        Ok(halves.zip(neighbours).map(|(halves, neighbours)| Agreement { halves, neighbours }))
    }

    /// The mean over layers; `None` without any.
    pub fn mean(layers: &[Agreement]) -> Option<Agreement> {
        let n = layers.len() as f64;
        let mean = |of: fn(&Agreement) -> f64| layers.iter().map(of).sum::<f64>() / n;
        (!layers.is_empty())
            .then(|| Agreement { halves: mean(|a| a.halves), neighbours: mean(|a| a.neighbours) })
    }

    /// What it says about the order.
    pub fn order(self) -> RowOrder {
        if self.neighbours - self.halves > MARGIN {
            RowOrder::Neighbours
        } else if self.halves >= CLEAR {
            RowOrder::Halves
        } else {
            RowOrder::Unclear
        }
    }
}

/// `2 Σ ab / Σ (a² + b²)`; `None` if all is zero or not finite.
fn agreement(pairs: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (mut products, mut squares) = (0.0, 0.0);
    for (a, b) in pairs {
        products += 2.0 * a * b;
        squares += a * a + b * b;
    }
    Some(products / squares).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::weights::{Dtype, TensorInfo};

    /// Heads of 4 rows and one column: products are the queries' values where keys are 1.
    fn one_column(values: &[f32]) -> (TensorInfo, Vec<u8>) {
        let info = TensorInfo { name: "w".into(), dtype: Dtype::F32, shape: vec![values.len(), 1] };
        (info, values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    fn measured(q: &[f32], k: &[f32], heads: HeadCounts) -> Option<Agreement> {
        let ((q_info, q), (k_info, k)) = (one_column(q), one_column(k));
        let q = TensorView { info: &q_info, data: Cow::Owned(q) };
        let k = TensorView { info: &k_info, data: Cow::Owned(k) };
        Agreement::of(&q, &k, heads).unwrap()
    }

    #[test]
    fn each_order_is_recognised() {
        let heads = HeadCounts { queries: 2, keys: 1 };
        let halves = measured(&[3.0, -1.0, 3.0, -1.0, 5.0, 0.0, 5.0, 0.0], &[1.0; 4], heads).unwrap();
        assert_eq!(halves.halves, 1.0);
        assert!(halves.neighbours < 0.0 && halves.order() == RowOrder::Halves);
        let pairs = measured(&[3.0, 3.0, -1.0, -1.0, 5.0, 5.0, 0.0, 0.0], &[1.0; 4], heads).unwrap();
        assert_eq!((pairs.neighbours, pairs.order()), (1.0, RowOrder::Neighbours));
        // Each query head meets the key head of its group.
        let keys = [3.0, -1.0, 3.0, -1.0, 1.0, 1.0, 1.0, 1.0];
        let own = measured(&[1.0; 8], &keys, HeadCounts { queries: 2, keys: 2 }).unwrap();
        assert_eq!(own.halves, 1.0);
    }

    #[test]
    fn unrelated_rows_are_unclear_and_odd_shapes_are_not_measured() {
        let heads = HeadCounts { queries: 1, keys: 1 };
        let nothing = measured(&[1.0, 2.0, -1.0, 1.0], &[1.0; 4], heads).unwrap();
        assert_eq!(nothing.order(), RowOrder::Unclear);
        assert_eq!(measured(&[0.0; 4], &[1.0; 4], heads), None);
        assert_eq!(measured(&[1.0; 3], &[1.0; 3], heads), None);
        assert_eq!(measured(&[1.0; 4], &[1.0; 8], heads), None);
        assert_eq!(measured(&[1.0; 4], &[1.0; 4], HeadCounts { queries: 3, keys: 1 }), None);
        assert_eq!(measured(&[1.0; 4], &[1.0; 4], HeadCounts { queries: 1, keys: 0 }), None);
        assert_eq!(Agreement::mean(&[]), None);
    }
}
