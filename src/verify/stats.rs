//! Statistics of one tensor's values, gathered in a single pass over its bytes.
//!
//! Values are widened a batch at a time, batches are gathered in pieces on all threads, and pieces are added in their
//! order: the result does not depend on the number of threads. Sums are kept in f64.

use rayon::prelude::*;

use crate::weights::{NonFinite, TensorView, WeightsError};

/// Elements widened at a time; a multiple of every block size.
const BATCH: usize = 4096;
/// Batches that one task gathers.
const BATCHES: usize = 64;
/// Sums kept side by side, so that the processor can work on several at once.
const LANES: usize = 8;

/// Count, sums of powers and extremes of the finite values of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Values that are finite.
    pub count: u64,
    /// Values that are not.
    pub non_finite: NonFinite,
    /// Σ x
    pub sum: f64,
    /// Σ |x|
    pub sum_abs: f64,
    /// Σ x²
    pub sum_2: f64,
    /// Σ x⁴
    pub sum_4: f64,
    /// The smallest value; +∞ if there is none.
    pub min: f32,
    /// The largest value; −∞ if there is none.
    pub max: f32,
}

impl Default for Moments {
    fn default() -> Self {
        Moments {
            count: 0,
            non_finite: NonFinite::default(),
            sum: 0.0,
            sum_abs: 0.0,
            sum_2: 0.0,
            sum_4: 0.0,
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
        }
    }
}

impl Moments {
    /// Gathers a whole tensor; `None` for 32- and 64-bit integers, which hold no weights.
    ///
    /// # Errors
    /// [`WeightsError::WidenLength`] if the bytes are not those of whole blocks.
    pub fn of(view: &TensorView<'_>) -> Result<Option<Moments>, WeightsError> {
        let dtype = view.info.dtype;
        if !dtype.is_widenable() {
            return Ok(None);
        }
        let batch_bytes = BATCH / dtype.block_size() * dtype.block_bytes();
        let pieces: Vec<Moments> = view
            .data
            .par_chunks(batch_bytes * BATCHES)
            .map(|piece| {
                let mut moments = Moments::default();
                let mut values = [0.0f32; BATCH];
                for bytes in piece.chunks(batch_bytes) {
                    let elements = bytes.len() / dtype.block_bytes() * dtype.block_size();
                    let values = &mut values[..elements];
                    dtype.widen(bytes, values)?;
                    moments.add(values);
                }
                Ok(moments)
            })
            .collect::<Result<_, WeightsError>>()?;
        Ok(Some(pieces.into_iter().fold(Moments::default(), Moments::and)))
    }

    /// Adds a batch.
    fn add(&mut self, values: &[f32]) {
        if !values.iter().all(|x| x.is_finite()) {
            let mut finite = Vec::with_capacity(values.len());
            for &x in values {
                match x {
                    x if x.is_nan() => self.non_finite.nan += 1,
                    x if x.is_infinite() => self.non_finite.infinite += 1,
                    x => finite.push(x),
                }
            }
            return self.add(&finite);
        }
        self.count += values.len() as u64;
        let (eights, rest) = values.as_chunks::<LANES>();
        let (mut sum, mut sum_abs, mut sum_2, mut sum_4) =
            ([0.0f64; LANES], [0.0f64; LANES], [0.0f64; LANES], [0.0f64; LANES]);
        let (mut min, mut max) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
        let mut tail = [0.0f32; LANES];
        tail[..rest.len()].copy_from_slice(rest);
        // The zeros that fill up the tail add nothing to sums, and extremes look at the values themselves.
        for eight in eights.iter().chain(std::iter::once(&tail)) {
            let lanes = sum.iter_mut().zip(&mut sum_abs).zip(&mut sum_2).zip(&mut sum_4).zip(eight);
            for ((((sum, sum_abs), sum_2), sum_4), &x) in lanes {
                let (x, square) = (f64::from(x), f64::from(x) * f64::from(x));
                *sum += x;
                *sum_abs += x.abs();
                *sum_2 += square;
                *sum_4 += square * square;
            }
        }
        for eight in eights {
            for ((min, max), &x) in min.iter_mut().zip(&mut max).zip(eight) {
                *min = min.min(x);
                *max = max.max(x);
            }
        }
        let all = |lanes: [f64; LANES]| lanes.iter().sum::<f64>();
        self.sum += all(sum);
        self.sum_abs += all(sum_abs);
        self.sum_2 += all(sum_2);
        self.sum_4 += all(sum_4);
        self.min = min.iter().chain(rest).fold(self.min, |a, &b| a.min(b));
        self.max = max.iter().chain(rest).fold(self.max, |a, &b| a.max(b));
    }

    /// Both parts together.
    fn and(self, other: Moments) -> Moments {
        Moments {
            count: self.count + other.count,
            non_finite: NonFinite {
                nan: self.non_finite.nan + other.non_finite.nan,
                infinite: self.non_finite.infinite + other.non_finite.infinite,
            },
            sum: self.sum + other.sum,
            sum_abs: self.sum_abs + other.sum_abs,
            sum_2: self.sum_2 + other.sum_2,
            sum_4: self.sum_4 + other.sum_4,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    /// The mean magnitude; 0 of nothing.
    pub fn mean_abs(&self) -> f64 {
        self.sum_abs / self.count.max(1) as f64
    }

    /// The standard deviation; 0 of nothing.
    pub fn std(&self) -> f64 {
        let n = self.count.max(1) as f64;
        (self.sum_2 / n - (self.sum / n).powi(2)).max(0.0).sqrt()
    }

    /// The fourth moment over the square of the second, both about zero, where the means of weight matrices are:
    /// 3 for a normal distribution, 1.8 for a uniform one, more for trained weights. NaN if all is zero.
    pub fn kurtosis(&self) -> f64 {
        let n = self.count.max(1) as f64;
        (self.sum_4 / n) / (self.sum_2 / n).powi(2)
    }

    /// The value that all elements share, if there are any and they do.
    pub fn constant(&self) -> Option<f32> {
        (self.count > 0 && self.min == self.max && self.non_finite.total() == 0).then_some(self.min)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::weights::{Dtype, TensorInfo};

    fn moments(values: &[f32]) -> Moments {
        let info = TensorInfo { name: "w".into(), dtype: Dtype::F32, shape: vec![values.len()] };
        let data = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Moments::of(&TensorView { info: &info, data: Cow::Owned(data) }).unwrap().unwrap()
    }

    #[test]
    fn small_numbers_by_hand() {
        let m = moments(&[1.0, -2.0, 3.0]);
        assert_eq!((m.count, m.sum, m.sum_abs, m.sum_2, m.sum_4), (3, 2.0, 6.0, 14.0, 98.0));
        assert_eq!((m.min, m.max), (-2.0, 3.0));
        assert_eq!(m.constant(), None);
        assert!((m.std() - (14.0f64 / 3.0 - 4.0 / 9.0).sqrt()).abs() < 1e-15);
        assert_eq!(moments(&[1.0; 20]).constant(), Some(1.0));
        assert_eq!(moments(&[]).constant(), None);
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let mut values = vec![2.0f32; BATCH * BATCHES + 77];
        values[5] = f32::NAN;
        values[BATCH * BATCHES + 1] = f32::NEG_INFINITY;
        let m = moments(&values);
        assert_eq!(m.non_finite, NonFinite { nan: 1, infinite: 1 });
        assert_eq!((m.count, m.sum), (values.len() as u64 - 2, 2.0 * (values.len() - 2) as f64));
        assert_eq!(m.constant(), None);
    }

    #[test]
    fn integers_hold_no_weights() {
        let info = TensorInfo { name: "ids".into(), dtype: Dtype::I64, shape: vec![1] };
        assert_eq!(Moments::of(&TensorView { info: &info, data: Cow::Owned(vec![0; 8]) }).unwrap(), None);
    }

    proptest! {
        #[test]
        fn sums_are_those_of_a_plain_loop(values in prop::collection::vec(-8i8..8, 0..9000)) {
            // Small integers: every sum is exact in whatever order.
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let m = moments(&values);
            let sum = |f: fn(f64) -> f64| values.iter().map(|&x| f(f64::from(x))).sum::<f64>();
            prop_assert_eq!(m.sum, sum(|x| x));
            prop_assert_eq!(m.sum_abs, sum(f64::abs));
            prop_assert_eq!(m.sum_2, sum(|x| x * x));
            prop_assert_eq!(m.sum_4, sum(|x| x.powi(4)));
            prop_assert_eq!(m.min, values.iter().fold(f32::INFINITY, |a, &b| a.min(b)));
            prop_assert_eq!(m.max, values.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b)));
        }
    }
}
