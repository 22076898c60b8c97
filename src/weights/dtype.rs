//! Element types of stored tensors, their sizes, and widening to f32.
//!
//! Plain types follow the safetensors header (`F16`, `I64`, …), block formats ggml's names (`Q4_K`, …).
//! Widening is exact for every type but `F64`, which is rounded to the nearest f32; 32- and 64-bit
//! integers are carried but not widened, since no weight of this family is stored so.

use std::fmt;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use super::{WeightsError, blocks};
use crate::base::names::name_of;

/// How a tensor's elements are stored, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    BF16,
    /// Signed, 64 bits.
    I64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 16 bits.
    I16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 64 bits.
    U64,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 8 bits.
    U8,
    /// One byte, 0 or 1.
    Bool,
    /// Blocks of 32: f16 scale, 8-bit integers.
    Q8_0,
    /// Blocks of 32: f16 scale, 4-bit integers around 8.
    Q4_0,
    /// Blocks of 32: f16 scale and minimum, 4-bit integers.
    Q4_1,
    /// Blocks of 32: f16 scale, 5-bit integers around 16.
    Q5_0,
    /// Blocks of 32: f16 scale and minimum, 5-bit integers.
    Q5_1,
    /// Blocks of 256: 2-bit integers, 4-bit scales and minima per 16.
    #[serde(rename = "Q2_K")]
    Q2K,
    /// Blocks of 256: 3-bit integers, 6-bit scales per 16.
    #[serde(rename = "Q3_K")]
    Q3K,
    /// Blocks of 256: 4-bit integers, 6-bit scales and minima per 32.
    #[serde(rename = "Q4_K")]
    Q4K,
    /// Blocks of 256: 5-bit integers, 6-bit scales and minima per 32.
    #[serde(rename = "Q5_K")]
    Q5K,
    /// Blocks of 256: 6-bit integers, 8-bit scales per 16.
    #[serde(rename = "Q6_K")]
    Q6K,
}

impl Dtype {
    /// All types.
    pub const ALL: [Dtype; 23] = [
        Dtype::F64,
        Dtype::F32,
        Dtype::F16,
        Dtype::BF16,
        Dtype::I64,
        Dtype::I32,
        Dtype::I16,
        Dtype::I8,
        Dtype::U64,
        Dtype::U32,
        Dtype::U16,
        Dtype::U8,
        Dtype::Bool,
        Dtype::Q8_0,
        Dtype::Q4_0,
        Dtype::Q4_1,
        Dtype::Q5_0,
        Dtype::Q5_1,
        Dtype::Q2K,
        Dtype::Q3K,
        Dtype::Q4K,
        Dtype::Q5K,
        Dtype::Q6K,
    ];

    /// Elements per block; 1 for plain types. Blocks run along the innermost axis.
    pub const fn block_size(self) -> usize {
        match self {
            Dtype::Q8_0 | Dtype::Q4_0 | Dtype::Q4_1 | Dtype::Q5_0 | Dtype::Q5_1 => blocks::SMALL,
            Dtype::Q2K | Dtype::Q3K | Dtype::Q4K | Dtype::Q5K | Dtype::Q6K => blocks::SUPER,
            _ => 1,
        }
    }

    /// Bytes per block; the size of one element for plain types.
    pub const fn block_bytes(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
            Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
            Dtype::F16 | Dtype::BF16 | Dtype::I16 | Dtype::U16 => 2,
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
            Dtype::Q8_0 => blocks::Q8_0_BYTES,
            Dtype::Q4_0 => blocks::Q4_0_BYTES,
            Dtype::Q4_1 => blocks::Q4_1_BYTES,
            Dtype::Q5_0 => blocks::Q5_0_BYTES,
            Dtype::Q5_1 => blocks::Q5_1_BYTES,
            Dtype::Q2K => blocks::Q2_K_BYTES,
            Dtype::Q3K => blocks::Q3_K_BYTES,
            Dtype::Q4K => blocks::Q4_K_BYTES,
            Dtype::Q5K => blocks::Q5_K_BYTES,
            Dtype::Q6K => blocks::Q6_K_BYTES,
        }
    }

    /// Bytes that `elements` take; `None` if they are not whole blocks or the size overflows.
    pub const fn bytes_for(self, elements: usize) -> Option<usize> {
        if !elements.is_multiple_of(self.block_size()) {
            return None;
        }
        (elements / self.block_size()).checked_mul(self.block_bytes())
    }

    /// That so many elements take `found` bytes.
    pub(super) fn check_length(self, elements: usize, found: usize) -> Result<(), WeightsError> {
        let expected = match self.bytes_for(elements) {
            Some(bytes) if bytes == found => return Ok(()),
            Some(bytes) => format!("{bytes} bytes"),
            None => format!("a multiple of {} elements", self.block_size()),
        };
        Err(WeightsError::WidenLength { dtype: self, elements, expected, found })
    }

    /// Whether values are whole numbers: counts, flags, or the quants of a matrix whose scales are elsewhere.
    pub const fn is_integer(self) -> bool {
        matches!(
            self,
            Dtype::I64
                | Dtype::I32
                | Dtype::I16
                | Dtype::I8
                | Dtype::U64
                | Dtype::U32
                | Dtype::U16
                | Dtype::U8
                | Dtype::Bool
        )
    }

    /// Whether [`Dtype::widen`] accepts the type.
    pub const fn is_widenable(self) -> bool {
        !matches!(self, Dtype::I64 | Dtype::I32 | Dtype::U64 | Dtype::U32)
    }

    /// Widens `bytes` (row-major, little-endian) to f32; `out.len()` is the number of elements.
    ///
    /// Any run of whole blocks can be widened by itself: a tensor, a row, a part of a row.
    ///
    /// # Errors
    /// [`WeightsError::WidenLength`] if `bytes` is not exactly as long as the elements take, and
    /// [`WeightsError::NotWidenable`] for 32- and 64-bit integers.
    pub fn widen(self, bytes: &[u8], out: &mut [f32]) -> Result<(), WeightsError> {
        self.check_length(out.len(), bytes.len())?;
        match self {
            Dtype::F32 => each(bytes, out, f32::from_le_bytes),
            Dtype::F16 => widen_f16(bytes, out),
            Dtype::BF16 => each(bytes, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
            Dtype::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
            Dtype::I16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
            Dtype::U16 => each(bytes, out, |b| f32::from(u16::from_le_bytes(b))),
            Dtype::I8 => each(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
            Dtype::U8 => each(bytes, out, |[b]| f32::from(b)),
            Dtype::Bool => each(bytes, out, |[b]| f32::from(u8::from(b != 0))),
            Dtype::Q8_0 => blocks::q8_0(bytes, out),
            Dtype::Q4_0 => blocks::q4_0(bytes, out),
            Dtype::Q4_1 => blocks::q4_1(bytes, out),
            Dtype::Q5_0 => blocks::q5_0(bytes, out),
            Dtype::Q5_1 => blocks::q5_1(bytes, out),
            Dtype::Q2K => blocks::q2_k(bytes, out),
            Dtype::Q3K => blocks::q3_k(bytes, out),
            Dtype::Q4K => blocks::q4_k(bytes, out),
            Dtype::Q5K => blocks::q5_k(bytes, out),
            Dtype::Q6K => blocks::q6_k(bytes, out),
            Dtype::I64 | Dtype::I32 | Dtype::U64 | Dtype::U32 => {
                return Err(WeightsError::NotWidenable { dtype: self });
            }
        }
        Ok(())
    }

    /// Whether [`Dtype::narrow`] writes the type.
    pub const fn is_narrowable(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }

    /// Rounds f32 values to this type, to nearest with ties to even, as little-endian bytes.
    ///
    /// # Errors
    /// [`WeightsError::WidenLength`] if `out` is not exactly as long as the elements take, and
    /// [`WeightsError::NotNarrowable`] for types other than F32, F16 and BF16.
    pub fn narrow(self, values: &[f32], out: &mut [u8]) -> Result<(), WeightsError> {
        self.check_length(values.len(), out.len())?;
        match self {
            Dtype::F32 => each_narrowed(values, out, f32::to_le_bytes),
            Dtype::F16 => narrow_f16(values, out),
            Dtype::BF16 => each_narrowed(values, out, |x| bf16::from_f32(x).to_le_bytes()),
            _ => return Err(WeightsError::NotNarrowable { dtype: self }),
        }
        Ok(())
    }

    /// What PyTorch and `config.json` call the type; `None` for types that no plain weights have.
    pub const fn torch_name(self) -> Option<&'static str> {
        match self {
            Dtype::F32 => Some("float32"),
            Dtype::F16 => Some("float16"),
            Dtype::BF16 => Some("bfloat16"),
            _ => None,
        }
    }

    /// The name used in a safetensors header and, for block formats, by ggml.
    pub fn name(self) -> &'static str {
        name_of(&self)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], widen: impl Fn([u8; N]) -> f32) {
    let (elements, _) = bytes.as_chunks::<N>();
    for (y, &x) in out.iter_mut().zip(elements) {
        *y = widen(x);
    }
}

fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    /// Elements converted at a time, so that the processor's conversion instructions are used.
    const BATCH: usize = 256;
    let (elements, _) = bytes.as_chunks::<2>();
    let mut batch = [f16::ZERO; BATCH];
    for (ys, xs) in out.chunks_mut(BATCH).zip(elements.chunks(BATCH)) {
        for (x, &bytes) in batch.iter_mut().zip(xs) {
            *x = f16::from_le_bytes(bytes);
        }
        batch[..ys.len()].convert_to_f32_slice(ys);
    }
}

fn each_narrowed<const N: usize>(values: &[f32], out: &mut [u8], narrow: impl Fn(f32) -> [u8; N]) {
    let (elements, _) = out.as_chunks_mut::<N>();
    for (y, &x) in elements.iter_mut().zip(values) {
        *y = narrow(x);
    }
}

fn narrow_f16(values: &[f32], out: &mut [u8]) {
    /// Elements converted at a time, so that the processor's conversion instructions are used.
    const BATCH: usize = 256;
    let (elements, _) = out.as_chunks_mut::<2>();
    let mut batch = [f16::ZERO; BATCH];
    for (ys, xs) in elements.chunks_mut(BATCH).zip(values.chunks(BATCH)) {
        batch[..xs.len()].convert_from_f32_slice(xs);
        for (y, x) in ys.iter_mut().zip(batch) {
            *y = x.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widened(dtype: Dtype, bytes: &[u8], elements: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; elements];
        dtype.widen(bytes, &mut out).unwrap();
        out
    }

    #[test]
    fn plain_types_widen_exactly() {
        assert_eq!(widened(Dtype::F32, &1.5f32.to_le_bytes(), 1), [1.5]);
        assert_eq!(widened(Dtype::BF16, &[0x80, 0xbf], 1), [-1.0]);
        assert_eq!(widened(Dtype::F64, &0.1f64.to_le_bytes(), 1), [0.1f32]);
        assert_eq!(widened(Dtype::I8, &[0x80, 0x7f], 2), [-128.0, 127.0]);
        assert_eq!(widened(Dtype::U8, &[0x80, 0xff], 2), [128.0, 255.0]);
        assert_eq!(widened(Dtype::I16, &(-32768i16).to_le_bytes(), 1), [-32768.0]);
        assert_eq!(widened(Dtype::U16, &65535u16.to_le_bytes(), 1), [65535.0]);
        assert_eq!(widened(Dtype::Bool, &[0, 1], 2), [0.0, 1.0]);
    }

    #[test]
    fn every_f16_widens_to_its_own_value() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let out = widened(Dtype::F16, &bytes, 65536);
        for (bits, y) in (0..=u16::MAX).zip(out) {
            let (sign, exponent, fraction) = (bits >> 15, (bits >> 10) & 31, f64::from(bits & 1023));
            let magnitude = match exponent {
                31 if fraction == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                0 => fraction * 2f64.powi(-24),
                e => (1024.0 + fraction) * 2f64.powi(i32::from(e) - 25),
            };
            let expected = if sign == 1 { -magnitude } else { magnitude } as f32;
            assert!(
                y.to_bits() == expected.to_bits() || (y.is_nan() && expected.is_nan()),
                "{bits:#06x}: expected {expected}, found {y}"
            );
        }
    }

    #[test]
    fn narrowing_rounds_to_nearest_even_and_undoes_widening() {
        let mut bytes = [0; 4];
        // Half way between two f16 (1 and 1 + 2^-10, then 1 + 2^-10 and 1 + 2^-9): the even one wins.
        Dtype::F16.narrow(&[1.0 + 2f32.powi(-11), 1.0 + 3.0 * 2f32.powi(-11)], &mut bytes).unwrap();
        assert_eq!(widened(Dtype::F16, &bytes, 2), [1.0, 1.0 + 2f32.powi(-9)]);
        Dtype::BF16.narrow(&[1.0 + 2f32.powi(-8), 1.0 + 3.0 * 2f32.powi(-8)], &mut bytes).unwrap();
        assert_eq!(widened(Dtype::BF16, &bytes, 2), [1.0, 1.0 + 2f32.powi(-6)]);
        for dtype in [Dtype::F16, Dtype::BF16] {
            let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
            let values = widened(dtype, &all, 1 << 16);
            let mut back = vec![0; all.len()];
            dtype.narrow(&values, &mut back).unwrap();
            let again = widened(dtype, &back, 1 << 16);
            let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            assert!(values.iter().zip(&again).all(same), "{dtype}");
        }
        assert!(Dtype::Q8_0.narrow(&[0.0; 32], &mut [0; 34]).is_err());
        assert!(Dtype::F16.narrow(&[0.0], &mut [0; 3]).is_err());
    }

    #[test]
    fn sizes_are_checked() {
        assert_eq!(Dtype::Q6K.bytes_for(512), Some(420));
        assert_eq!(Dtype::Q6K.bytes_for(511), None);
        assert_eq!(Dtype::F64.bytes_for(usize::MAX), None);
        assert!(Dtype::F32.widen(&[0; 7], &mut [0.0; 2]).is_err());
        assert!(Dtype::Q4_0.widen(&[0; 18], &mut [0.0; 31]).is_err());
        assert!(Dtype::Q4_0.widen(&[0; 17], &mut [0.0; 32]).is_err());
        assert!(Dtype::I64.widen(&[0; 8], &mut [0.0]).is_err());
    }

    #[test]
    fn widenable_means_that_widen_accepts_it() {
        for dtype in Dtype::ALL {
            let mut out = vec![0.0; dtype.block_size()];
            let result = dtype.widen(&vec![0; dtype.block_bytes()], &mut out);
            assert_eq!(result.is_ok(), dtype.is_widenable(), "{dtype}");
        }
    }
}
