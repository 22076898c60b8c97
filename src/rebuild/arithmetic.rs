//! Sums of stored tensors, rounded once.
//!
//! Both operands are widened to f32, added, and rounded to the nearest value of the result's type, ties to even:
//! what PyTorch computes for `half + half` on a processor. Work goes by batches that fit into a core's cache, in
//! parallel, so that no tensor is ever held in f32 as a whole; each element depends on its own operands only, so
//! the result does not depend on the number of threads.

use rayon::prelude::*;

use crate::weights::{Dtype, TensorView, WeightsError};

/// Elements widened at a time; a multiple of every block size.
const BATCH: usize = 4096;
/// Elements of one parallel piece; a multiple of [`BATCH`].
const PIECE: usize = 16 * BATCH;

/// Stored elements that take part in a sum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand<'a> {
    /// How they are stored.
    pub dtype: Dtype,
    pub bytes: &'a [u8],
}

impl<'a> Operand<'a> {
    /// All elements of a tensor.
    pub(crate) fn of(view: &'a TensorView<'_>) -> Self {
        Operand { dtype: view.info.dtype, bytes: &view.data }
    }

    fn check(&self, elements: usize) -> Result<(), WeightsError> {
        if self.dtype.bytes_for(elements) == Some(self.bytes.len()) {
            return Ok(());
        }
        Err(WeightsError::WidenLength {
            dtype: self.dtype,
            elements,
            expected: format!("{:?} bytes", self.dtype.bytes_for(elements)),
            found: self.bytes.len(),
        })
    }

    /// Widens a batch as a model loaded in `dtype` would hold it: rounded to that type first, if it is narrower.
    fn load(&self, start: usize, dtype: Dtype, out: &mut [f32]) -> Result<(), WeightsError> {
        let bytes = bytes_of(self.dtype, self.bytes, start, out.len());
        self.dtype.widen(bytes, out)?;
        if self.dtype != dtype && dtype != Dtype::F32 {
            let narrow = &mut [0u8; 2 * BATCH][..2 * out.len()];
            dtype.narrow(out, narrow)?;
            dtype.widen(narrow, out)?;
        }
        Ok(())
    }
}

/// The bytes of `elements` elements from `start` on; both are multiples of the block size.
fn bytes_of(dtype: Dtype, bytes: &[u8], start: usize, elements: usize) -> &[u8] {
    let offset = |elements: usize| elements / dtype.block_size() * dtype.block_bytes();
    &bytes[offset(start)..offset(start + elements)]
}

/// `out = a + b` in `dtype` (F32, F16 or BF16), both operands rounded to `dtype` before they are added.
///
/// # Errors
/// [`WeightsError::WidenLength`] if the operands or `out` are not equally many elements,
/// [`WeightsError::NotWidenable`] or [`WeightsError::NotNarrowable`] for types without such values.
pub(crate) fn add(a: Operand, b: Operand, dtype: Dtype, out: &mut [u8]) -> Result<(), WeightsError> {
    let elements = out.len() / dtype.block_bytes();
    a.check(elements)?;
    b.check(elements)?;
    out.par_chunks_mut(PIECE * dtype.block_bytes()).enumerate().try_for_each(|(piece, out)| {
        let mut buffers = [[0.0f32; BATCH]; 2];
        for (batch, out) in out.chunks_mut(BATCH * dtype.block_bytes()).enumerate() {
            let (start, length) = (piece * PIECE + batch * BATCH, out.len() / dtype.block_bytes());
            let [x, y] = buffers.each_mut().map(|buffer| &mut buffer[..length]);
            a.load(start, dtype, x)?;
            b.load(start, dtype, y)?;
            for (x, y) in x.iter_mut().zip(y) {
                *x += *y;
            }
            dtype.narrow(x, out)?;
        }
        Ok::<(), WeightsError>(())
    })
}

/// The sum of all elements in f64, the same for any number of threads.
///
/// # Errors
/// As [`add`].
pub(crate) fn sum(a: Operand, elements: usize) -> Result<f64, WeightsError> {
    a.check(elements)?;
    let pieces: Vec<f64> = (0..elements.div_ceil(PIECE))
        .into_par_iter()
        .map(|piece| {
            let mut x = [0.0f32; BATCH];
            let (mut start, end) = (piece * PIECE, elements.min((piece + 1) * PIECE));
            let mut sum = 0.0;
            while start < end {
                let x = &mut x[..BATCH.min(end - start)];
                a.load(start, Dtype::F32, x)?;
                sum += x.iter().map(|&x| f64::from(x)).sum::<f64>();
                start += x.len();
            }
            Ok(sum)
        })
        .collect::<Result<_, WeightsError>>()?;
    Ok(pieces.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    fn f16s(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
        values.into_iter().flat_map(|x| f16::from_f32(x).to_le_bytes()).collect()
    }

    #[test]
    fn sums_are_rounded_once_at_every_place_of_a_large_tensor() {
        let count = 2 * PIECE + BATCH + 7;
        let value = |i: usize, step: usize| ((i * step) % 2039) as f32 / 1024.0 - 1.0;
        let a = f16s((0..count).map(|i| value(i, 7)));
        let b: Vec<u8> = (0..count).flat_map(|i| value(i, 31).to_le_bytes()).collect();
        let mut out = vec![0; 2 * count];
        let (x, y) = (Operand { dtype: Dtype::F16, bytes: &a }, Operand { dtype: Dtype::F32, bytes: &b });
        add(x, y, Dtype::F16, &mut out).unwrap();
        for i in 0..count {
            let rounded = |x: f32| f16::from_f32(x).to_f32();
            let expected = f16::from_f32(rounded(value(i, 7)) + rounded(value(i, 31)));
            assert_eq!(out[2 * i..2 * i + 2], expected.to_le_bytes(), "element {i}");
        }
        let exact: f64 = (0..count).map(|i| f64::from(value(i, 31))).sum();
        assert!((sum(y, count).unwrap() - exact).abs() < 1e-6);
    }

    #[test]
    fn lengths_must_agree() {
        let (a, b) = (f16s([1.0, 2.0]), f16s([1.0]));
        let operand = |bytes| Operand { dtype: Dtype::F16, bytes };
        assert!(add(operand(&a), operand(&b), Dtype::F16, &mut [0; 4]).is_err());
        assert!(add(operand(&a), operand(&a), Dtype::F16, &mut [0; 2]).is_err());
        assert!(sum(operand(&a), 3).is_err());
    }

    proptest::proptest! {
        #[test]
        fn adding_a_difference_gives_the_target_back_where_f16_holds_both(
            pairs in proptest::collection::vec((-512i32..512, -512i32..512), 1..300),
        ) {
            // Multiples of 2^-9 below 1 have exact differences in f16.
            let a = f16s(pairs.iter().map(|&(a, _)| a as f32 / 512.0));
            let difference = f16s(pairs.iter().map(|&(a, b)| (b - a) as f32 / 512.0));
            let b = f16s(pairs.iter().map(|&(_, b)| b as f32 / 512.0));
            let mut out = vec![0; b.len()];
            let operand = |bytes| Operand { dtype: Dtype::F16, bytes };
            add(operand(&a), operand(&difference), Dtype::F16, &mut out).unwrap();
            proptest::prop_assert_eq!(out, b);
        }
    }
}
