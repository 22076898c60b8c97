//! Counting values that are not finite: a NaN or an infinity in the weights spoils every result.

use super::{TensorView, WeightsError};

/// Elements widened at a time; a multiple of every block size.
const BATCH: usize = 4096;

/// How many elements of a tensor are not finite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NonFinite {
    /// Not-a-numbers.
    pub nan: usize,
    /// Positive and negative infinities.
    pub infinite: usize,
}

impl NonFinite {
    /// The number of both.
    pub fn total(self) -> usize {
        self.nan + self.infinite
    }
}

impl TensorView<'_> {
    /// Counts the elements that are NaN or infinite after widening, a batch at a time.
    ///
    /// # Errors
    /// [`WeightsError::NotWidenable`] for 32- and 64-bit integers, which have no such values.
    pub fn non_finite(&self) -> Result<NonFinite, WeightsError> {
        let dtype = self.info.dtype;
        let batch_bytes = BATCH / dtype.block_size() * dtype.block_bytes();
        let mut batch = [0.0f32; BATCH];
        let mut count = NonFinite::default();
        for bytes in self.data.chunks(batch_bytes) {
            let elements = bytes.len() / dtype.block_bytes() * dtype.block_size();
            let values = &mut batch[..elements];
            dtype.widen(bytes, values)?;
            for value in values.iter().filter(|value| !value.is_finite()) {
                if value.is_nan() { count.nan += 1 } else { count.infinite += 1 }
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::weights::{Dtype, TensorInfo};

    fn count(dtype: Dtype, elements: usize, data: Vec<u8>) -> NonFinite {
        let info = TensorInfo { name: "w".into(), dtype, shape: vec![elements] };
        TensorView { info: &info, data: Cow::Owned(data) }.non_finite().unwrap()
    }

    #[test]
    fn counts_across_batches() {
        let mut values = vec![1.0f32; 3 * BATCH + 5];
        let last = values.len() - 1;
        values[0] = f32::NAN;
        values[BATCH] = f32::INFINITY;
        values[last] = f32::NEG_INFINITY;
        let data = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(count(Dtype::F32, values.len(), data), NonFinite { nan: 1, infinite: 2 });
    }

    #[test]
    fn an_infinite_scale_spoils_its_block() {
        let mut data = vec![1; 2 * 34];
        data[..2].copy_from_slice(&half::f16::INFINITY.to_le_bytes());
        assert_eq!(count(Dtype::Q8_0, 64, data).total(), 32);
    }
}
