//! Row order of the query and key matrices: Hugging Face's or Meta's.
//!
//! A head of `d` rows is rotated in pairs: `(i, i + d/2)` in Hugging Face's layout, `(2i, 2i + 1)` in Meta's and GGUF's.
//! Weights in the wrong one load without a complaint and talk nonsense. Training leaves a trace: the two rows of a
//! pair play the same part, so that `g_r = q_r · k_r`, the product of a query row with the key row that it meets, is much
//! alike in both. `agreement = 2 Σ g_a g_b / Σ (g_a² + g_b²)` over all heads and their pairs is 1 for equal and 0 for unrelated
//! products. It is taken of each layer four times: as the rows stand, with those of the queries, of the keys, or of both put from
//! Meta's order into Hugging Face's. The reading that agrees most is the true one. Means over the layers:
//!
//! | model | rows | as they stand | queries moved | keys moved | both moved |
//! |---|---|--:|--:|--:|--:|
//! | SmolLM2-135M (30 layers, 9 heads of 64 rows, 3 key heads) | right | 0.84 | −0.04 | −0.05 | 0.77 |
//! | | Meta's | 0.12 | −0.01 | 0.00 | 0.84 |
//! | | only q in Meta's | 0.00 | 0.84 | 0.01 | −0.05 |
//! | | only k in Meta's | −0.01 | −0.01 | 0.84 | −0.04 |
//! | stories260K (5 layers, 8 heads of 8 rows, 4 key heads) | right | 0.68 | −0.05 | −0.02 | −0.32 |
//! | | Meta's | −0.47 | 0.23 | 0.02 | 0.68 |
//!
//! In the right order neighbours are two rows of close frequencies, so they agree too. By layers, moving both gains at most 0.011
//! over the 37 layers of these models and of another of two layers in the right order, and at least 0.093 in Meta's; moving one of
//! the two gains at most 0.02 in the right order, and at least 0.39 in each layer of SmolLM2 where that one is in Meta's. What this
//! cannot see: rows that were reordered twice, and models whose training left no such trace.
//! Measured on those models; reordering is `permute` of the `transformers` conversion script.

use rayon::prelude::*;

use crate::weights::{TensorView, WeightsError};

/// Agreement of the true reading at least.
const CLEAR: f64 = 0.4;
/// How many of its own standard deviations it has to be away from what unrelated products give.
const DEVIATIONS: f64 = 4.0;
/// What moving the rows of one matrix has to gain, for a layer that is wrong.
const GAIN_OF_ONE: f64 = 0.2;
/// What moving those of both has to gain, for a layer that may be wrong and for one that is.
const GAIN_OF_BOTH: [f64; 2] = [0.05, 0.2];

/// Numbers of query and of key heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadCounts {
    /// Query heads.
    pub queries: usize,
    /// Key heads, a divisor of the query heads.
    pub keys: usize,
}

/// How well the products of paired rows agree in one layer, in each reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// As the rows stand.
    pub as_is: f64,
    /// With the rows of the queries moved from Meta's order to Hugging Face's.
    pub queries_moved: f64,
    /// With those of the keys moved.
    pub keys_moved: f64,
    /// With both moved: the agreement of neighbours.
    pub both_moved: f64,
    /// Pairs that it is taken of.
    pub pairs: usize,
}

/// The order of the rows, as far as the values tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowOrder {
    /// Hugging Face's in both matrices.
    Right,
    /// The values do not tell.
    Unclear,
    /// Meta's in the queries alone.
    QueriesMeta,
    /// Meta's in the keys alone.
    KeysMeta,
    /// Perhaps Meta's in both: close to the right one.
    PerhapsMeta,
    /// Meta's in both.
    Meta,
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
        let sums: Vec<[Sums; 4]> = q
            .data
            .par_chunks_exact(q_row * head_dim)
            .enumerate()
            .map(|(head, q_head)| {
                let start = head / group * head_dim * k_row;
                let k_head = &k.data[start..start + head_dim * k_row];
                let mut rows = [vec![0.0f32; head_dim * columns], vec![0.0f32; head_dim * columns]];
                q.info.dtype.widen(q_head, &mut rows[0])?;
                k.info.dtype.widen(k_head, &mut rows[1])?;
                Ok(of_head(&rows[0], &rows[1], *columns))
            })
            .collect::<Result<_, WeightsError>>()?;
        let agreement = |reading: usize| {
            let all = sums.iter().fold(Sums::default(), |sum, head| sum.and(head[reading]));
            Some(all.products / all.squares).filter(|value| value.is_finite())
        };
        let pairs = heads.queries * head_dim / 2;
        let readings = (agreement(0), agreement(1), agreement(2), agreement(3));
        let (Some(as_is), Some(queries_moved), Some(keys_moved), Some(both_moved)) = readings else {
            return Ok(None);
        };
        Ok(Some(Agreement { as_is, queries_moved, keys_moved, both_moved, pairs }))
    }

    /// What it says about the order.
    pub fn order(self) -> RowOrder {
        // Fisher's transformation makes the deviation the same for small and for large agreements.
        let deviation = 1.0 / (self.pairs.max(1) as f64).sqrt();
        let is_clear =
            |agreement: f64| agreement >= CLEAR && agreement.min(1.0).atanh() > DEVIATIONS * deviation;
        let gain =
            |agreement: f64| if is_clear(agreement) { agreement - self.as_is } else { f64::NEG_INFINITY };
        let (queries, keys, both) = (gain(self.queries_moved), gain(self.keys_moved), gain(self.both_moved));
        let [perhaps, surely] = GAIN_OF_BOTH;
        if both > perhaps && both >= queries.max(keys) {
            if both > surely { RowOrder::Meta } else { RowOrder::PerhapsMeta }
        } else if queries.max(keys) > GAIN_OF_ONE {
            if queries > keys { RowOrder::QueriesMeta } else { RowOrder::KeysMeta }
        } else if self.as_is >= CLEAR {
            RowOrder::Right
        } else {
            RowOrder::Unclear
        }
    }
}

/// Numerator and denominator of an agreement.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    products: f64,
    squares: f64,
}

impl Sums {
    /// Of the products `g` of a head's rows, paired by halves.
    fn of(g: &[f64]) -> Sums {
        let (first, second) = g.split_at(g.len() / 2);
        let pairs = first.iter().zip(second);
        pairs.fold(Sums::default(), |sum, (a, b)| {
            sum.and(Sums { products: 2.0 * a * b, squares: a * a + b * b })
        })
    }

    fn and(self, other: Sums) -> Sums {
        Sums { products: self.products + other.products, squares: self.squares + other.squares }
    }
}

/// The four readings of one head: as the rows stand, queries moved, keys moved, both.
fn of_head(q: &[f32], k: &[f32], columns: usize) -> [Sums; 4] {
    let rows = q.len() / columns;
    let half = rows / 2;
    // The row in Meta's order that is row `r` in Hugging Face's.
    let meta = |r: usize| (r % half) * 2 + r / half;
    let product = |a: usize, b: usize| -> f64 {
        let (q, k) = (&q[a * columns..(a + 1) * columns], &k[b * columns..(b + 1) * columns]);
        q.iter().zip(k).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let reading = |of_q: &dyn Fn(usize) -> usize, of_k: &dyn Fn(usize) -> usize| {
        Sums::of(&(0..rows).map(|r| product(of_q(r), of_k(r))).collect::<Vec<f64>>())
    };
    let same = |r: usize| r;
    [reading(&same, &same), reading(&meta, &same), reading(&same, &meta), reading(&meta, &meta)]
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::weights::{Dtype, TensorInfo};

    /// Heads of one column: products are the queries' values where keys are 1.
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

    /// Eight heads of eight rows; the rows of a pair are alike, those of different pairs are not.
    fn rows(salt: usize) -> Vec<f32> {
        let value = |head: usize, pair: usize| (((head * 4 + pair + salt) * 7919) % 101) as f32 / 50.0 - 1.0;
        (0..64).map(|r| value(r / 8, r % 4)).collect()
    }

    /// Hugging Face's order to Meta's.
    fn in_meta(rows: &[f32]) -> Vec<f32> {
        (0..rows.len()).map(|r| rows[r / 8 * 8 + r % 8 / 2 + r % 2 * 4]).collect()
    }

    #[test]
    fn each_matrix_is_told_by_itself() {
        let heads = HeadCounts { queries: 8, keys: 8 };
        let (q, k) = (rows(3), rows(40));
        let order = |q: &[f32], k: &[f32]| measured(q, k, heads).unwrap().order();
        assert_eq!(order(&q, &k), RowOrder::Right);
        assert_eq!(order(&in_meta(&q), &in_meta(&k)), RowOrder::Meta);
        assert_eq!(order(&in_meta(&q), &k), RowOrder::QueriesMeta);
        assert_eq!(order(&q, &in_meta(&k)), RowOrder::KeysMeta);
        let right = measured(&q, &k, heads).unwrap();
        assert_eq!((right.as_is, right.pairs), (1.0, 32));
        let meta = measured(&in_meta(&q), &in_meta(&k), heads).unwrap();
        assert_eq!(meta.both_moved, 1.0);
    }

    /// The layer of SmolLM2-135M that tells least, in each of the orders.
    #[test]
    fn the_limits_lie_between_the_layers_that_were_measured() {
        let layer = |as_is, queries_moved, keys_moved, both_moved| {
            Agreement { as_is, queries_moved, keys_moved, both_moved, pairs: 288 }.order()
        };
        assert_eq!(layer(0.70, -0.24, -0.27, 0.697), RowOrder::Right);
        assert_eq!(layer(0.44, -0.10, -0.04, 0.31), RowOrder::Right);
        assert_eq!(layer(0.60, 0.02, 0.01, 0.693), RowOrder::PerhapsMeta);
        assert_eq!(layer(0.005, 0.444, 0.0, -0.1), RowOrder::QueriesMeta);
        assert_eq!(layer(0.05, 0.0, 0.446, -0.1), RowOrder::KeysMeta);
        // Few pairs agree by chance.
        let chance =
            Agreement { as_is: -0.3, queries_moved: 0.6, keys_moved: 0.2, both_moved: 0.5, pairs: 8 };
        assert_eq!(chance.order(), RowOrder::Unclear);
    }

    #[test]
    fn each_query_head_meets_the_key_head_of_its_group() {
        let keys = [3.0, -1.0, 3.0, -1.0, 1.0, 2.0, 1.0, 2.0];
        let own = measured(&[1.0; 8], &keys, HeadCounts { queries: 2, keys: 2 }).unwrap();
        assert_eq!(own.as_is, 1.0);
        let shared = measured(&[1.0; 8], &keys[..4], HeadCounts { queries: 2, keys: 1 }).unwrap();
        assert_eq!((shared.as_is, shared.pairs), (1.0, 4));
    }

    #[test]
    fn odd_shapes_are_not_measured() {
        let heads = HeadCounts { queries: 1, keys: 1 };
        assert_eq!(measured(&[1.0, 2.0, -1.0, 1.0], &[1.0; 4], heads).unwrap().order(), RowOrder::Unclear);
        assert_eq!(measured(&[0.0; 4], &[1.0; 4], heads), None);
        assert_eq!(measured(&[1.0; 3], &[1.0; 3], heads), None);
        assert_eq!(measured(&[1.0; 4], &[1.0; 8], heads), None);
        assert_eq!(measured(&[1.0; 4], &[1.0; 4], HeadCounts { queries: 3, keys: 1 }), None);
        assert_eq!(measured(&[1.0; 4], &[1.0; 4], HeadCounts { queries: 1, keys: 0 }), None);
    }
}
