//! The innermost products of blocks of integers.
//!
//! Two forms: products of pairs of 16 bits, which every processor can do, and of fours of 8 bits where AVX-512 VNNI is. Sums
//! inside a block are exact integers and blocks are added in the same order, so both give the same numbers but for the
//! rounding of fused operations.

#![allow(unsafe_code)]

use super::Isa;

/// Numbers with one scale.
pub(super) const BLOCK: usize = 32;

/// How operands lie side by side, and what multiplies them.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Rows of a panel of weights.
    pub panel: usize,
    /// Rows of a tile of activations.
    pub tile: usize,
    /// Neighbours in a row that stand side by side: 2, as 16 bits each in the activations, or 4, as bytes from 0 on.
    pub group: usize,
    /// The product of all rows and one panel.
    pub product: Int8Fn,
}

/// Where the operands of one panel lie.
#[derive(Clone, Copy)]
pub(super) struct Int8Args {
    /// Rows of activations and of the output.
    pub rows: usize,
    /// Blocks of a row.
    pub blocks: usize,
    /// Activations in tiles, `[blocks * 32 / group][tile][group]` each.
    pub a: *const u8,
    /// Their scales in tiles, `[blocks][tile]` each.
    pub a_scales: *const f32,
    /// Weights `[blocks * 32 / group][panel][group]`.
    pub b: *const i8,
    /// Their scales `[blocks][panel]`.
    pub b_scales: *const f32,
    /// What the sums of a block begin with, `[blocks][panel]`; read for groups of 4 alone.
    pub starts: *const i32,
    /// The output `[rows][panel]`, to which the product is added.
    pub c: *mut f32,
}

/// Adds the product of all rows and one panel.
///
/// # Safety
/// The processor has the function's instruction set, every pointer is valid for the shape at its field, that of `a` for whole
/// tiles, and `c` overlaps none of the others.
pub(super) type Int8Fn = unsafe fn(Int8Args);

impl Form {
    /// For an instruction set that the processor has.
    pub(super) fn of(isa: Isa) -> Self {
        match isa.vectors() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => Self { panel: 16, tile: 6, group: 2, product: x86::avx2 },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni | Isa::Avx512Bf16 => Self { panel: 32, tile: 6, group: 4, product: x86::vnni },
            _ => Self { panel: PLAIN_PANEL, tile: PLAIN_TILE, group: 2, product: plain },
        }
    }
}

const PLAIN_PANEL: usize = 16;
const PLAIN_TILE: usize = 2;

/// Plain Rust, pairs.
///
/// # Safety
/// As [`Int8Fn`].
unsafe fn plain(t: Int8Args) {
    const PANEL: usize = PLAIN_PANEL;
    const TILE: usize = PLAIN_TILE;
    let pairs = t.blocks * BLOCK / 2;
    let tiles = t.rows.next_multiple_of(TILE);
    // SAFETY: the shapes that the caller vouches for; activations are aligned as the numbers of 16 bits that they are.
    let (a, a_scales, b, b_scales, c) = unsafe {
        (
            std::slice::from_raw_parts(t.a.cast::<[i16; 2]>(), tiles * pairs),
            std::slice::from_raw_parts(t.a_scales, tiles * t.blocks),
            std::slice::from_raw_parts(t.b.cast::<[i8; 2]>(), pairs * PANEL),
            std::slice::from_raw_parts(t.b_scales, t.blocks * PANEL),
            std::slice::from_raw_parts_mut(t.c, t.rows * PANEL),
        )
    };
    for (row, c) in c.chunks_exact_mut(PANEL).enumerate() {
        let (tile, lane) = (row / TILE, row % TILE);
        for block in 0..t.blocks {
            let mut sums = [0i32; PANEL];
            for pair in block * BLOCK / 2..(block + 1) * BLOCK / 2 {
                let a = a[(tile * pairs + pair) * TILE + lane].map(i32::from);
                for (sum, b) in sums.iter_mut().zip(&b[pair * PANEL..]) {
                    *sum += a[0] * i32::from(b[0]) + a[1] * i32::from(b[1]);
                }
            }
            let scale = a_scales[(tile * t.blocks + block) * TILE + lane];
            for ((c, sum), b_scale) in c.iter_mut().zip(sums).zip(&b_scales[block * PANEL..]) {
                *c += sum as f32 * (scale * b_scale);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BLOCK, Int8Args};

    /// All rows in tiles of `$tile`, the last with what remains: `$rows` names the sizes that may remain.
    macro_rules! panel {
        ($t:ident, $tile:literal, $panel:literal, $function:ident, $bytes:expr, [$($rows:literal)*]) => {{
            while $t.rows >= $tile {
                $function::<$tile>($t);
                $t.a = $t.a.wrapping_add($tile * $t.blocks * BLOCK * $bytes);
                $t.a_scales = $t.a_scales.wrapping_add($tile * $t.blocks);
                $t.c = $t.c.wrapping_add($tile * $panel);
                $t.rows -= $tile;
            }
            match $t.rows {
                $($rows => $function::<$rows>($t),)*
                _ => {}
            }
        }};
    }

    /// 6 × 16: twelve integer accumulators; the sums over blocks wait in `c`.
    ///
    /// # Safety
    /// As [`Int8Fn`](super::Int8Fn).
    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) unsafe fn avx2(mut t: Int8Args) {
        // SAFETY: each tile covers rows that the caller vouches for, and no row twice.
        unsafe { panel!(t, 6, 16, pairs, size_of::<i16>(), [1 2 3 4 5]) }
    }

    /// `MR` rows. A step takes two numbers of each row: `madd` multiplies pairs and adds the two products, and
    /// 32 · 127 · 127 is far below what 32 bits hold.
    ///
    /// # Safety
    /// As [`Int8Fn`](super::Int8Fn), for `MR` rows.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn pairs<const MR: usize>(t: Int8Args) {
        const TILE: usize = 6;
        const PANEL: usize = 16;
        // SAFETY: offsets stay inside the shapes that the caller vouches for.
        unsafe {
            for block in 0..t.blocks {
                let mut sums = [[_mm256_setzero_si256(); 2]; MR];
                let mut b = t.b.add(block * BLOCK * PANEL);
                let mut a = t.a.cast::<i32>().add(block * BLOCK / 2 * TILE);
                for _ in 0..BLOCK / 2 {
                    let left = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.cast()));
                    let right = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.add(16).cast()));
                    b = b.add(2 * PANEL);
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let factor = _mm256_set1_epi32(a.add(row).read_unaligned());
                        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(factor, left));
                        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(factor, right));
                    }
                    a = a.add(TILE);
                }
                let b_scales = t.b_scales.add(block * PANEL);
                let scales = [_mm256_loadu_ps(b_scales), _mm256_loadu_ps(b_scales.add(8))];
                for (row, sums) in sums.iter().enumerate() {
                    let own = _mm256_set1_ps(*t.a_scales.add(block * TILE + row));
                    for half in 0..2 {
                        let c = t.c.add(row * PANEL + 8 * half);
                        let scale = _mm256_mul_ps(own, scales[half]);
                        let sum = _mm256_cvtepi32_ps(sums[half]);
                        _mm256_storeu_ps(c, _mm256_fmadd_ps(sum, scale, _mm256_loadu_ps(c)));
                    }
                }
            }
        }
    }

    /// 6 × 32: twelve integer accumulators and twelve of f32.
    ///
    /// # Safety
    /// As [`Int8Fn`](super::Int8Fn).
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(in super::super) unsafe fn vnni(mut t: Int8Args) {
        // SAFETY: each tile covers rows that the caller vouches for, and no row twice.
        unsafe { panel!(t, 6, 32, fours, 1, [1 2 3 4 5]) }
    }

    /// `MR` rows. A step takes four numbers of each row. The instruction multiplies bytes without a sign with bytes that have
    /// one; so activations are 128 too high, and sums begin with what that adds to them.
    ///
    /// # Safety
    /// As [`Int8Fn`](super::Int8Fn), for `MR` rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn fours<const MR: usize>(t: Int8Args) {
        const TILE: usize = 6;
        const PANEL: usize = 32;
        // SAFETY: offsets stay inside the shapes that the caller vouches for.
        unsafe {
            let mut totals = [[_mm512_setzero_ps(); 2]; MR];
            for (row, totals) in totals.iter_mut().enumerate() {
                let c = t.c.add(row * PANEL);
                *totals = [_mm512_loadu_ps(c), _mm512_loadu_ps(c.add(16))];
            }
            for block in 0..t.blocks {
                let starts = t.starts.add(block * PANEL);
                let starts = [_mm512_loadu_si512(starts.cast()), _mm512_loadu_si512(starts.add(16).cast())];
                let mut sums = [starts; MR];
                let b = t.b.add(block * BLOCK * PANEL);
                let a = t.a.cast::<i32>().add(block * BLOCK / 4 * TILE);
                for step in 0..BLOCK / 4 {
                    let (b, a) = (b.add(4 * PANEL * step), a.add(TILE * step));
                    let (left, right) = (_mm512_loadu_si512(b.cast()), _mm512_loadu_si512(b.add(64).cast()));
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let factor = _mm512_set1_epi32(a.add(row).read_unaligned());
                        sums[0] = _mm512_dpbusd_epi32(sums[0], factor, left);
                        sums[1] = _mm512_dpbusd_epi32(sums[1], factor, right);
                    }
                }
                let b_scales = t.b_scales.add(block * PANEL);
                let scales = [_mm512_loadu_ps(b_scales), _mm512_loadu_ps(b_scales.add(16))];
                for (row, (sums, totals)) in sums.iter().zip(&mut totals).enumerate() {
                    let own = _mm512_set1_ps(*t.a_scales.add(block * TILE + row));
                    for half in 0..2 {
                        let scale = _mm512_mul_ps(own, scales[half]);
                        let sum = _mm512_cvtepi32_ps(sums[half]);
                        totals[half] = _mm512_fmadd_ps(sum, scale, totals[half]);
                    }
                }
            }
            for (row, totals) in totals.iter().enumerate() {
                let c = t.c.add(row * PANEL);
                _mm512_storeu_ps(c, totals[0]);
                _mm512_storeu_ps(c.add(16), totals[1]);
            }
        }
    }
}
