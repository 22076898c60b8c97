//! Element types of stored tensors, their sizes, and widening to f32.

use super::WeightsError;

/// How a tensor's elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
}

impl Dtype {
    /// Widens `bytes` (row-major, little-endian) to f32; `out.len()` is the number of elements.
    pub fn widen(self, bytes: &[u8], out: &mut [f32]) -> Result<(), WeightsError> {
        let _ = (bytes, out);
        Ok(())
    }
}
