//! Super-blocks of 256 elements ("K-quants"): Q2_K, Q3_K, Q4_K, Q5_K and Q6_K.
//!
//! A super-block has one or two f16 scales and a small integer scale (and minimum) for each of its 16 or
//! 8 sub-blocks. Source: the struct comments of `ggml-common.h`.

use super::{SUPER, half};

pub(in crate::weights) const Q2_K_BYTES: usize = 16 + 64 + 2 + 2;
pub(in crate::weights) const Q3_K_BYTES: usize = 32 + 64 + 12 + 2;
pub(in crate::weights) const Q4_K_BYTES: usize = 2 + 2 + 12 + 128;
pub(in crate::weights) const Q5_K_BYTES: usize = 2 + 2 + 12 + 32 + 128;
pub(in crate::weights) const Q6_K_BYTES: usize = 128 + 64 + 16 + 2;

/// Calls `widen` for each pair of a super-block of `N` bytes and its 256 elements.
#[inline]
fn each<const N: usize>(bytes: &[u8], out: &mut [f32], widen: impl Fn(&[u8; N], &mut [f32; SUPER])) {
    let (blocks, _) = bytes.as_chunks::<N>();
    let (elements, _) = out.as_chunks_mut::<SUPER>();
    for (block, y) in blocks.iter().zip(elements) {
        widen(block, y);
    }
}

/// `d·s · q − dmin·m`: s and m are the low and high nibble of a byte per 16 elements.
///
/// 16 scale bytes, 64 bytes of four 2-bit integers, d, dmin. Each half (128 elements) has 32 bytes; bits
/// `2j..2j+2` of its byte `l` are element `32j + l` of the half.
pub(in crate::weights) fn q2_k(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, |block: &[u8; Q2_K_BYTES], y| {
        let (scales, packed) = (&block[..16], &block[16..80]);
        let (d, dmin) = (half(block, 80), half(block, 82));
        for (group, (y, scale)) in y.chunks_exact_mut(16).zip(scales).enumerate() {
            let (s, m) = (d * f32::from(scale & 15), dmin * f32::from(scale >> 4));
            let (start, shift) = two_bit_place(group);
            for (y, &q) in y.iter_mut().zip(&packed[start..start + 16]) {
                *y = s * f32::from((q >> shift) & 3) - m;
            }
        }
    });
}

/// `d·(s − 32) · (q − 4)`, where the third bit of q comes from the mask.
///
/// 32 mask bytes (bit `j` of byte `l` belongs to element `32j + l`), 64 bytes as in Q2_K, 12 scale bytes, d.
pub(in crate::weights) fn q3_k(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, |block: &[u8; Q3_K_BYTES], y| {
        let (mask, packed, scales) = (&block[..32], &block[32..96], &block[96..108]);
        let d = half(block, 108);
        for (group, y) in y.chunks_exact_mut(16).enumerate() {
            // Low four bits: nibble `group / 8` of byte `group % 8`. High two: bits of byte `8 + group % 4`.
            let low = (scales[group % 8] >> (4 * (group / 8))) & 15;
            let high = (scales[8 + group % 4] >> (2 * (group / 4))) & 3;
            let s = d * f32::from((low | (high << 4)) as i8 - 32);
            let (start, shift) = two_bit_place(group);
            let packed = &packed[start..start + 16];
            let mask = &mask[16 * (group % 2)..][..16];
            let bit = group / 2;
            for ((y, &q), &m) in y.iter_mut().zip(packed).zip(mask) {
                let third = ((m >> bit) & 1) << 2;
                *y = s * f32::from(((q >> shift) & 3 | third) as i8 - 4);
            }
        }
    });
}

/// `d·s · q − dmin·m` with 6-bit s and m per 32 elements, q in 0..15.
///
/// d, dmin, 12 scale bytes, 128 bytes. Each 64 elements have 32 bytes: low nibbles first, then high.
pub(in crate::weights) fn q4_k(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, |block: &[u8; Q4_K_BYTES], y| {
        let (d, dmin) = (half(block, 0), half(block, 2));
        let (scales, packed) = (&block[4..16], &block[16..144]);
        for (group, y) in y.chunks_exact_mut(32).enumerate() {
            let (s, m) = six_bit_pair(scales, group);
            let (s, m) = (d * f32::from(s), dmin * f32::from(m));
            let shift = 4 * (group % 2);
            for (y, &q) in y.iter_mut().zip(&packed[32 * (group / 2)..][..32]) {
                *y = s * f32::from((q >> shift) & 15) - m;
            }
        }
    });
}

/// As Q4_K with a fifth bit: bit `j` of byte `l` of 32 further bytes belongs to element `32j + l`.
pub(in crate::weights) fn q5_k(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, |block: &[u8; Q5_K_BYTES], y| {
        let (d, dmin) = (half(block, 0), half(block, 2));
        let (scales, fifth, packed) = (&block[4..16], &block[16..48], &block[48..176]);
        for (group, y) in y.chunks_exact_mut(32).enumerate() {
            let (s, m) = six_bit_pair(scales, group);
            let (s, m) = (d * f32::from(s), dmin * f32::from(m));
            let shift = 4 * (group % 2);
            let packed = &packed[32 * (group / 2)..][..32];
            for ((y, &q), &h) in y.iter_mut().zip(packed).zip(fifth) {
                *y = s * f32::from((q >> shift) & 15 | ((h >> group) & 1) << 4) - m;
            }
        }
    });
}

/// `d·s · (q − 32)` with 8-bit signed s per 16 elements, q in 0..63.
///
/// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 scales, d. Each half (128 elements) has 64 and 32
/// bytes: its quarter `j` takes nibble `j / 2` of bytes `32·(j % 2)..` and bits `2j..2j+2` of the pairs.
pub(in crate::weights) fn q6_k(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, |block: &[u8; Q6_K_BYTES], y| {
        let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
        let d = half(block, 208);
        for (group, (y, &scale)) in y.chunks_exact_mut(16).zip(scales).enumerate() {
            let s = d * f32::from(scale as i8);
            let (start, pair) = two_bit_place(group);
            let (of_half, quarter, part) = (group / 8, group % 8 / 2, group % 2);
            let low = &low[64 * of_half + 32 * (quarter % 2) + 16 * part..][..16];
            let nibble = 4 * (quarter / 2);
            for ((y, &l), &h) in y.iter_mut().zip(low).zip(&high[start..start + 16]) {
                let q = (l >> nibble) & 15 | ((h >> pair) & 3) << 4;
                *y = s * f32::from(q as i8 - 32);
            }
        }
    });
}

/// First byte and shift of 16 elements in 64 bytes of bit pairs (two halves of 32 bytes, four pairs each).
#[inline]
fn two_bit_place(group: usize) -> (usize, usize) {
    (32 * (group / 8) + 16 * (group % 2), 2 * (group % 8 / 2))
}

/// Scale and minimum of sub-block `group` (0..8) out of 12 bytes.
///
/// Sub-blocks 0–3 use the low six bits of bytes 0–3 and 4–7; the upper two bits of these bytes and the
/// nibbles of bytes 8–11 make sub-blocks 4–7.
#[inline]
fn six_bit_pair(scales: &[u8], group: usize) -> (u8, u8) {
    let (s, m) = (scales[group % 4], scales[4 + group % 4]);
    if group < 4 {
        (s & 63, m & 63)
    } else {
        let low = scales[4 + group];
        (low & 15 | (s >> 6) << 4, low >> 4 | (m >> 6) << 4)
    }
}
