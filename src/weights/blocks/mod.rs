//! ggml's block formats: groups of small integers with shared scales, widened to f32.
//!
//! A weight is `scale · integer` or `scale · integer − minimum`. Every function takes whole blocks
//! (`bytes.len() / BYTES == out.len() / block size`; a rest is ignored) and computes in f32 in the order of ggml's
//! reference `dequantize_row_*`, without fused multiply–add, so results agree bit for bit.
//! Source: the struct comments of `ggml-common.h` and the `gguf` Python package, which is the oracle of the tests.

mod quantize;
mod small;
mod superblocks;

pub(super) use quantize::{quantize_q4_0, quantize_q8_0};
pub(super) use small::{
    Q4_0_BYTES, Q4_1_BYTES, Q5_0_BYTES, Q5_1_BYTES, Q8_0_BYTES, q4_0, q4_1, q5_0, q5_1, q8_0,
};
pub(super) use superblocks::{
    Q2_K_BYTES, Q3_K_BYTES, Q4_K_BYTES, Q5_K_BYTES, Q6_K_BYTES, q2_k, q3_k, q4_k, q5_k, q6_k,
};

/// Elements of a small block.
pub(super) const SMALL: usize = 32;
/// Elements of a super-block (ggml's `QK_K`).
pub(super) const SUPER: usize = 256;

/// The f16 at `at` of a block, widened. Positions are constants of the formats, inside every block.
#[inline]
fn half<const N: usize>(block: &[u8; N], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}
