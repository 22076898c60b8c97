//! A tensor's values in another element type.
//!
//! A piece is widened to f32, then rounded once. Pieces are small and spread over all threads, so the memory used is
//! that of the result and a buffer per thread. A value that the new type cannot hold is an error: an infinity among
//! the weights would spoil every result in silence.

use std::borrow::Cow;

use rayon::prelude::*;

use super::{Dtype, TensorView, WeightsError, blocks};

/// Elements widened at a time; a multiple of every block size.
const PIECE: usize = 1 << 14;
/// The least magnitude that rounds to infinity in f16: half way from the largest number to the next power of two.
const F16_LIMIT: f32 = 65_520.0;
/// The same in bf16.
const BF16_LIMIT: f32 = f32::from_bits(0x7f7f_8000);

impl Dtype {
    /// Whether [`Dtype::quantize`] writes the type.
    pub const fn is_quantizable(self) -> bool {
        matches!(self, Dtype::Q8_0 | Dtype::Q4_0)
    }

    /// Writes f32 values as blocks of this type, as ggml's reference quantisation does. Values are finite, and
    /// small enough for an f16 scale; see [`TensorView::cast`] for the check.
    ///
    /// # Errors
    /// [`WeightsError::WidenLength`] if `out` is not exactly as long as the elements take, and
    /// [`WeightsError::NotNarrowable`] for types other than Q8_0 and Q4_0.
    pub fn quantize(self, values: &[f32], out: &mut [u8]) -> Result<(), WeightsError> {
        self.check_length(values.len(), out.len())?;
        match self {
            Dtype::Q8_0 => blocks::quantize_q8_0(values, out),
            Dtype::Q4_0 => blocks::quantize_q4_0(values, out),
            _ => return Err(WeightsError::NotNarrowable { dtype: self }),
        }
        Ok(())
    }

    /// Whether `x` has a counterpart in this type. An infinity or NaN keeps its own in the plain types.
    fn holds(self, x: f32) -> bool {
        match self {
            Dtype::F16 => !x.is_finite() | (x.abs() < F16_LIMIT),
            Dtype::BF16 => !x.is_finite() | (x.abs() < BF16_LIMIT),
            // Their scales are f16.
            Dtype::Q8_0 => x.abs() < F16_LIMIT * 127.0,
            Dtype::Q4_0 => x.abs() < F16_LIMIT * 8.0,
            _ => true,
        }
    }
}

impl<'a> TensorView<'a> {
    /// The bytes of the tensor in type `to`: its own if that is its type.
    ///
    /// # Errors
    /// [`WeightsError::NotNarrowable`] for a type that is not written, [`WeightsError::NotWidenable`] for one that is
    /// not read, [`WeightsError::OutOfRange`] for a value that would become infinite or, in a block format, is not
    /// finite, and [`WeightsError::NotWholeBlocks`] if the rows do not fit the blocks of `to`.
    pub fn cast(self, to: Dtype) -> Result<Cow<'a, [u8]>, WeightsError> {
        let from = self.info.dtype;
        if from == to {
            return Ok(self.data);
        }
        if !to.is_narrowable() && !to.is_quantizable() {
            return Err(WeightsError::NotNarrowable { dtype: to });
        }
        let whole_blocks = self.info.shape.last().copied().unwrap_or(1).is_multiple_of(to.block_size());
        let Some(length) = to.bytes_for(self.info.elements()).filter(|_| whole_blocks) else {
            let (tensor, shape) = (self.info.name.clone(), self.info.shape.clone());
            return Err(WeightsError::NotWholeBlocks { tensor, dtype: to, shape });
        };
        from.check_length(self.info.elements(), self.data.len())?;
        let bytes_of = |dtype: Dtype| PIECE / dtype.block_size() * dtype.block_bytes();
        let mut out = vec![0; length];
        out.par_chunks_mut(bytes_of(to))
            .zip(self.data.par_chunks(bytes_of(from)))
            .enumerate()
            .try_for_each_init(
                || vec![0.0f32; PIECE],
                |buffer, (piece, (out, data))| {
                    let count = PIECE.min(out.len() / to.block_bytes() * to.block_size());
                    let values = &mut buffer[..count];
                    from.widen(data, values)?;
                    // The loop without a branch runs at the speed of memory; almost no piece needs the search.
                    if !values.iter().fold(true, |all, &x| all & to.holds(x)) {
                        let place =
                            values.iter().position(|&x| !to.holds(x)).expect("one of them is not held");
                        return Err(WeightsError::OutOfRange {
                            tensor: self.info.name.clone(),
                            dtype: to,
                            element: piece * PIECE + place,
                            found: values[place],
                        });
                    }
                    if to.is_quantizable() { to.quantize(values, out) } else { to.narrow(values, out) }
                },
            )?;
        Ok(Cow::Owned(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::TensorInfo;

    fn cast(from: Dtype, shape: &[usize], data: Vec<u8>, to: Dtype) -> Result<Vec<u8>, WeightsError> {
        let info = TensorInfo { name: "w".into(), dtype: from, shape: shape.to_vec() };
        TensorView { info: &info, data: Cow::Owned(data) }.cast(to).map(Cow::into_owned)
    }

    fn f32s(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    #[test]
    fn pieces_are_put_together_in_order() {
        let columns = 3 * 256;
        let rows = 2 * PIECE / columns + 5;
        let values: Vec<f32> = (0..rows * columns).map(|i| (i % 2048) as f32).collect();
        let half = cast(Dtype::F32, &[rows, columns], f32s(&values), Dtype::F16).unwrap();
        assert_eq!(cast(Dtype::F16, &[rows, columns], half.clone(), Dtype::F32).unwrap(), f32s(&values));
        assert_eq!(cast(Dtype::F16, &[rows, columns], half.clone(), Dtype::F16).unwrap(), half);
        for to in [Dtype::Q8_0, Dtype::Q4_0] {
            let blocks = cast(Dtype::F16, &[rows, columns], half.clone(), to).unwrap();
            let mut whole = vec![0; to.bytes_for(values.len()).unwrap()];
            to.quantize(&values, &mut whole).unwrap();
            assert_eq!(blocks, whole, "{to}");
            let mut expected = vec![0.0; values.len()];
            to.widen(&whole, &mut expected).unwrap();
            assert_eq!(cast(to, &[rows, columns], blocks, Dtype::F32).unwrap(), f32s(&expected), "{to}");
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let mut values = vec![0.0; PIECE + 32];
        values[PIECE + 7] = 65_520.0;
        let error = |values: &[f32], to| match cast(Dtype::F32, &[values.len()], f32s(values), to) {
            Err(WeightsError::OutOfRange { element, .. }) => Some(element),
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(error(&values, Dtype::F16), Some(PIECE + 7));
        assert_eq!(error(&values, Dtype::BF16), None);
        assert_eq!(error(&values, Dtype::Q8_0), None);
        values[PIECE + 7] = f32::INFINITY;
        assert_eq!(error(&values, Dtype::F16), None);
        assert_eq!(error(&values, Dtype::Q4_0), Some(PIECE + 7));
        values[PIECE + 7] = f32::NAN;
        assert_eq!(error(&values, Dtype::Q8_0), Some(PIECE + 7));
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let error = |shape: &[usize], to| {
            let elements = shape.iter().product();
            cast(Dtype::F32, shape, f32s(&vec![0.0; elements]), to).unwrap_err().to_string()
        };
        assert!(error(&[4, 16], Dtype::Q8_0).contains("shape [4, 16]: expected rows of whole Q8_0 blocks"));
        assert!(error(&[32], Dtype::Q4K).contains("Q4_K tensors are not written"));
        assert!(cast(Dtype::I64, &[1], vec![0; 8], Dtype::F32).is_err());
        assert!(Dtype::Q8_0.quantize(&[0.0; 31], &mut [0; 34]).is_err());
        assert!(Dtype::Q8_0.quantize(&[0.0; 32], &mut [0; 33]).is_err());
        assert!(Dtype::F16.quantize(&[0.0], &mut [0; 2]).is_err());
    }
}
