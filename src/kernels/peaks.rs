//! Loops of one kind of operation and nothing else: what a processor can do at most, and kernels are measured against.
//!
//! Every accumulator is a chain of its own, and there are enough of them that none waits for its last result. What goes in
//! and what comes out is hidden from the compiler, so nothing is left out or moved.

#![allow(unsafe_code)]

use std::hint::black_box;

use super::Isa;
use super::wide::on_widest;

/// Numbers that the plain loops work on at a time.
const PLAIN: usize = 32;

/// Multiplies and adds f32 numbers `rounds` times in every accumulator; returns the number of operations, two for each
/// multiply-add.
///
/// # Panics
/// If this processor does not have `isa`.
pub fn multiply_adds(isa: Isa, rounds: u64) -> u64 {
    assert!(isa.is_here(), "this processor has no {}", isa.name());
    let numbers = match isa.vectors() {
        Isa::Plain => plain_multiply_adds(rounds),
        // SAFETY: the processor has the instruction set, as was just asserted.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { x86::multiply_adds_avx2(rounds) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => unsafe { x86::multiply_adds_avx512(rounds) },
        // Tiles have no vectors of their own; other processors have none of these.
        _ => plain_multiply_adds(rounds),
    };
    2 * numbers as u64 * rounds
}

/// Multiplies bf16 numbers and adds them in f32, in one instruction where there is one, `rounds` times in every accumulator;
/// returns the number of operations, two for each product.
///
/// # Panics
/// If this processor does not have `isa`.
pub fn bf16_products(isa: Isa, rounds: u64) -> u64 {
    if isa.vectors() != Isa::Avx512Bf16 {
        return multiply_adds(isa, rounds);
    }
    assert!(isa.is_here(), "this processor has no {}", isa.name());
    // SAFETY: the processor has AVX-512 BF16, as was just asserted.
    #[cfg(target_arch = "x86_64")]
    let numbers = unsafe { x86::bf16_products(rounds) };
    #[cfg(not(target_arch = "x86_64"))]
    let numbers = plain_multiply_adds(rounds);
    2 * numbers as u64 * rounds
}

/// Multiplies tiles of bf16 numbers that stay in their registers, `rounds` times four of them; returns the number of operations,
/// two for each product of two numbers.
///
/// # Panics
/// If this processor has no [tiles](super::has_tiles).
pub fn tile_products(isa: Isa, rounds: u64) -> u64 {
    assert!(isa == Isa::AmxBf16 && isa.is_here(), "this processor has no {}", isa.name());
    super::amx::busy(rounds)
}

/// Multiplies small integers and adds them to 32-bit sums as int8 products do, pairs of 16 bits or fours of 8, `rounds` times
/// in every accumulator; returns the number of operations, two for each product.
///
/// # Panics
/// If this processor does not have `isa`.
pub fn integer_products(isa: Isa, rounds: u64) -> u64 {
    assert!(isa.is_here(), "this processor has no {}", isa.name());
    let numbers = match isa.vectors() {
        Isa::Plain => plain_integer_products(rounds),
        // SAFETY: the processor has AVX2, as was just asserted: AVX-512 is taken only where AVX2 is.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512 => unsafe { x86::integer_products_avx2(rounds) },
        // SAFETY: the processor has AVX-512 VNNI, as was just asserted.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni | Isa::Avx512Bf16 => unsafe { x86::integer_products_vnni(rounds) },
        _ => plain_integer_products(rounds),
    };
    2 * numbers as u64 * rounds
}

/// Returns how many numbers a round works on.
fn plain_multiply_adds(rounds: u64) -> usize {
    let mut sums: [f32; PLAIN] = black_box(std::array::from_fn(|i| i as f32));
    let (factor, term) = black_box((0.5f32, 1.0f32));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = *sum * factor + term;
        }
    }
    black_box(sums);
    PLAIN
}

/// Returns how many products a round makes.
fn plain_integer_products(rounds: u64) -> usize {
    let mut sums: [i32; PLAIN] = black_box(std::array::from_fn(|i| i as i32));
    let (left, right, term) = black_box((3i16, 5i16, 7i32));
    for _ in 0..rounds {
        for sum in &mut sums {
            let (low, high) = (i32::from(*sum as i16), *sum >> 16);
            *sum = (low * i32::from(left)).wrapping_add(high * i32::from(right)).wrapping_add(term);
        }
    }
    black_box(sums);
    2 * PLAIN
}

on_widest! {
    /// The sum of all numbers, read one after the other: what reading memory takes, and hardly more.
    pub fn sum(numbers: &[u64]) -> u64 {
        let (lines, rest) = numbers.as_chunks::<64>();
        let mut sums = [0u64; 64];
        for line in lines {
            sums = std::array::from_fn(|lane| sums[lane].wrapping_add(line[lane]));
        }
        sums.iter().chain(rest).fold(0u64, |sum, number| sum.wrapping_add(*number))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// `$count` accumulators that begin with `$start` and take `$step` in every round; they become registers.
    macro_rules! chains {
        ($count:literal, $start:expr, $rounds:ident, |$sum:ident| $step:expr) => {{
            let mut sums: [_; $count] = black_box(std::array::from_fn($start));
            for _ in 0..$rounds {
                for $sum in &mut sums {
                    *$sum = $step;
                }
            }
            black_box(sums);
        }};
    }

    /// Twelve accumulators of eight numbers: two operations a cycle with a latency of up to six cycles.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn multiply_adds_avx2(rounds: u64) -> usize {
        let (factor, term) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(1.0)));
        chains!(12, |i| _mm256_set1_ps(i as f32), rounds, |sum| _mm256_fmadd_ps(*sum, factor, term));
        12 * 8
    }

    /// Twenty-four accumulators of sixteen numbers.
    #[target_feature(enable = "avx512f")]
    pub(super) fn multiply_adds_avx512(rounds: u64) -> usize {
        let (factor, term) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(1.0)));
        chains!(24, |i| _mm512_set1_ps(i as f32), rounds, |sum| _mm512_fmadd_ps(*sum, factor, term));
        24 * 16
    }

    /// Twenty-four accumulators of sixteen sums of two products.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn bf16_products(rounds: u64) -> usize {
        // SAFETY: both are 64 bytes; the bits are those of 1, twice in each 32.
        let ones =
            unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(black_box(0x3f80_3f80))) };
        chains!(24, |i| _mm512_set1_ps(i as f32), rounds, |sum| _mm512_dpbf16_ps(*sum, ones, ones));
        24 * 32
    }

    /// Twenty-four accumulators of sixteen sums of four products.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn integer_products_vnni(rounds: u64) -> usize {
        let (left, right) = (_mm512_set1_epi8(black_box(3)), _mm512_set1_epi8(black_box(-5)));
        chains!(24, |i| _mm512_set1_epi32(i as i32), rounds, |sum| _mm512_dpbusd_epi32(*sum, left, right));
        24 * 64
    }

    /// Twelve accumulators of eight sums of two products.
    #[target_feature(enable = "avx2")]
    pub(super) fn integer_products_avx2(rounds: u64) -> usize {
        let (factor, term) = (_mm256_set1_epi16(black_box(3)), _mm256_set1_epi32(black_box(7)));
        chains!(12, |i| _mm256_set1_epi32(i as i32), rounds, |sum| {
            _mm256_add_epi32(_mm256_madd_epi16(*sum, factor), term)
        });
        12 * 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_on_every_instruction_set() {
        for isa in Isa::with_stand_in() {
            let (float, integer) = match isa.vectors() {
                Isa::Plain => (2 * 32, 2 * 64),
                Isa::Avx2 => (2 * 12 * 8, 2 * 12 * 16),
                Isa::Avx512 => (2 * 24 * 16, 2 * 12 * 16),
                _ => (2 * 24 * 16, 2 * 24 * 64),
            };
            let bf16 = if isa.vectors() == Isa::Avx512Bf16 { 2 * float } else { float };
            for rounds in [0, 1, 1000] {
                assert_eq!(multiply_adds(isa, rounds), float * rounds, "{isa:?}");
                assert_eq!(integer_products(isa, rounds), integer * rounds, "{isa:?}");
                assert_eq!(bf16_products(isa, rounds), bf16 * rounds, "{isa:?}");
            }
        }
    }

    #[test]
    fn every_number_is_summed() {
        for count in [0, 1, 63, 64, 65, 1000] {
            let numbers: Vec<u64> = (0..count).collect();
            assert_eq!(sum(&numbers), count * count.saturating_sub(1) / 2);
        }
        assert_eq!(sum(&[u64::MAX, 2]), 1);
    }
}
