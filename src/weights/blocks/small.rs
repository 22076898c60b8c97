//! Blocks of 32 elements: Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0.
//!
//! Four-bit parts are stored in 16 bytes: the low nibbles are elements 0–15, the high nibbles 16–31.
//! Fifth bits are one little-endian `u32`, bit `i` for element `i`.

use super::{SMALL, half};

pub(in crate::weights) const Q4_0_BYTES: usize = 2 + 16;
pub(in crate::weights) const Q4_1_BYTES: usize = 2 + 2 + 16;
pub(in crate::weights) const Q5_0_BYTES: usize = 2 + 4 + 16;
pub(in crate::weights) const Q5_1_BYTES: usize = 2 + 2 + 4 + 16;
pub(in crate::weights) const Q8_0_BYTES: usize = 2 + 32;

/// Calls `widen` for each pair of a block of `N` bytes and its 32 elements.
#[inline]
fn each<const N: usize>(bytes: &[u8], out: &mut [f32], widen: impl Fn(&[u8; N], &mut [f32; SMALL])) {
    let (blocks, _) = bytes.as_chunks::<N>();
    let (elements, _) = out.as_chunks_mut::<SMALL>();
    for (block, y) in blocks.iter().zip(elements) {
        widen(block, y);
    }
}

/// `d · q`, q in −128..127.
pub(in crate::weights) fn q8_0(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, |block: &[u8; Q8_0_BYTES], y| {
        let d = half(block, 0);
        for (y, &q) in y.iter_mut().zip(&block[2..]) {
            *y = f32::from(q as i8) * d;
        }
    });
}

/// `d · (q − 8)`, q in 0..15.
pub(in crate::weights) fn q4_0(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, |block: &[u8; Q4_0_BYTES], y| {
        let d = half(block, 0);
        nibbles(&block[2..], y, |_, q| f32::from(q as i8 - 8) * d);
    });
}

/// `d · q + m`, q in 0..15.
pub(in crate::weights) fn q4_1(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, |block: &[u8; Q4_1_BYTES], y| {
        let (d, m) = (half(block, 0), half(block, 2));
        nibbles(&block[4..], y, |_, q| f32::from(q) * d + m);
    });
}

/// `d · (q − 16)`, q in 0..31.
pub(in crate::weights) fn q5_0(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, |block: &[u8; Q5_0_BYTES], y| {
        let d = half(block, 0);
        let fifth = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
        nibbles(&block[6..], y, |i, q| f32::from((q | fifth_bit(fifth, i)) as i8 - 16) * d);
    });
}

/// `d · q + m`, q in 0..31.
pub(in crate::weights) fn q5_1(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, |block: &[u8; Q5_1_BYTES], y| {
        let (d, m) = (half(block, 0), half(block, 2));
        let fifth = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
        nibbles(&block[8..], y, |i, q| f32::from(q | fifth_bit(fifth, i)) * d + m);
    });
}

#[inline]
fn nibbles(packed: &[u8], y: &mut [f32; SMALL], value: impl Fn(usize, u8) -> f32) {
    let (low, high) = y.split_at_mut(SMALL / 2);
    for (i, ((low, high), &byte)) in low.iter_mut().zip(high).zip(packed).enumerate() {
        *low = value(i, byte & 15);
        *high = value(i + SMALL / 2, byte >> 4);
    }
}

#[inline]
fn fifth_bit(bits: u32, element: usize) -> u8 {
    (((bits >> element) & 1) << 4) as u8
}
