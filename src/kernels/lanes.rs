//! The few vector operations that tiles are made of, once for each instruction set.
//!
//! Tiles are written once, over [`Lanes`]; an instruction set says what a vector of it is. All of these functions are
//! `unsafe` for one reason: the processor must have the instruction set, which [`Isa`](super::Isa) has asked it.

#![allow(unsafe_code)]

use half::f16;

/// A vector of f32.
///
/// # Safety
/// Of every function: the processor has the instruction set of the type, and pointers are valid for [`WIDTH`](Self::WIDTH)
/// numbers. Alignment is not needed.
pub trait Lanes: Copy {
    /// Numbers in a vector.
    const WIDTH: usize;
    /// All zero.
    unsafe fn zero() -> Self;
    /// The numbers from `from` on.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes the numbers from `to` on.
    unsafe fn store(self, to: *mut f32);
    /// `number` in every lane.
    unsafe fn splat(number: f32) -> Self;
    /// `self * factor + sum`, rounded once where the instruction set can.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// Asks for the cache line at an address that is read soon; it need not be valid.
    #[inline(always)]
    fn prefetch(_at: *const u8) {}
}

/// Vectors that numbers of 16 bits are widened into.
///
/// # Safety
/// As that of [`Lanes`]; pointers are valid for as many numbers of 16 bits as are loaded.
pub trait Widen: Lanes {
    /// The numbers of IEEE's 16 bits from `from` on.
    unsafe fn load_f16(from: *const u16) -> Self;
    /// Two vectors, of whose numbers the upper 16 bits are stored, woven into each other: one of the first, one of the second.
    unsafe fn load_bf16_pairs(from: *const u16) -> [Self; 2];
}

/// Vectors that small integers are widened into.
///
/// # Safety
/// As that of [`Lanes`]; pointers are valid for the bytes of [`WIDTH`](Lanes::WIDTH) lanes.
pub trait Quantised: Widen {
    /// Eight nibbles in every lane.
    type Nibbles: Copy;
    /// Signed bytes.
    unsafe fn load_i8(from: *const u8) -> Self;
    /// Four bytes in every lane, the lowest nibble first.
    unsafe fn load_nibbles(from: *const u8) -> Self::Nibbles;
    /// Nibble number `AT`, below 8, of every lane, with [`ABOVE`] added.
    unsafe fn nibble<const AT: usize>(nibbles: Self::Nibbles) -> Self;
    /// `self * factor`, rounded.
    unsafe fn mul(self, factor: Self) -> Self;
    /// `self + term`, rounded.
    unsafe fn add(self, term: Self) -> Self;
}

/// What is added to a nibble: 16 + n is made of the bits of n without arithmetic, since they are the upper ones of its fraction.
pub const ABOVE: f32 = 16.0;
/// Where a nibble stands in such a number.
const FRACTION: i32 = 19;

/// Plain Rust, for every processor; a product and a sum are rounded each.
#[derive(Clone, Copy)]
pub struct Plain([f32; 8]);

impl Lanes for Plain {
    const WIDTH: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for eight numbers.
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's pointer is valid for eight numbers.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        Self([number; 8])
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        let mut out = sum;
        for ((out, a), b) in out.0.iter_mut().zip(self.0).zip(factor.0) {
            *out += a * b;
        }
        out
    }
}

impl Widen for Plain {
    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: the caller's pointer is valid for eight numbers.
        let halves = unsafe { from.cast::<[u16; 8]>().read_unaligned() };
        Self(halves.map(|half| f16::from_bits(half).to_f32()))
    }

    #[inline(always)]
    unsafe fn load_bf16_pairs(from: *const u16) -> [Self; 2] {
        // SAFETY: the caller's pointer is valid for sixteen numbers.
        let pairs = unsafe { from.cast::<[[u16; 2]; 8]>().read_unaligned() };
        [0, 1].map(|of| Self(pairs.map(|pair| f32::from_bits(u32::from(pair[of]) << 16))))
    }
}

impl Quantised for Plain {
    type Nibbles = [u32; 8];

    #[inline(always)]
    unsafe fn load_i8(from: *const u8) -> Self {
        // SAFETY: the caller's pointer is valid for eight bytes.
        let bytes = unsafe { from.cast::<[i8; 8]>().read_unaligned() };
        Self(bytes.map(f32::from))
    }

    #[inline(always)]
    unsafe fn load_nibbles(from: *const u8) -> [u32; 8] {
        // SAFETY: the caller's pointer is valid for eight times four bytes.
        unsafe { from.cast::<[[u8; 4]; 8]>().read_unaligned() }.map(u32::from_le_bytes)
    }

    #[inline(always)]
    unsafe fn nibble<const AT: usize>(nibbles: [u32; 8]) -> Self {
        Self(nibbles.map(|lane| ABOVE + (lane >> (4 * AT) & 15) as f32))
    }

    #[inline(always)]
    unsafe fn mul(self, factor: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] * factor.0[lane]))
    }

    #[inline(always)]
    unsafe fn add(self, term: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + term.0[lane]))
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::Bf16Pairs;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{ABOVE, FRACTION, Lanes, Quantised, Widen};

    impl Lanes for __m256 {
        const WIDTH: usize = 8;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: AVX, by the contract of the trait; so in all functions below.
            unsafe { _mm256_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above, and the pointer is valid for eight numbers.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above, and the pointer is valid for eight numbers.
            unsafe { _mm256_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn splat(number: f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_set1_ps(number) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: FMA, by the contract of the trait.
            unsafe { _mm256_fmadd_ps(self, factor, sum) }
        }

        #[inline(always)]
        fn prefetch(at: *const u8) {
            // SAFETY: SSE, which every processor of this architecture has; no address is too bad for it.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }
    }

    impl Widen for __m256 {
        #[inline(always)]
        unsafe fn load_f16(from: *const u16) -> Self {
            // SAFETY: F16C, by the contract of the trait, and the pointer is valid for eight numbers of 16 bits.
            unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
        }

        #[inline(always)]
        unsafe fn load_bf16_pairs(from: *const u16) -> [Self; 2] {
            // SAFETY: AVX2, by the contract of the trait, and the pointer is valid for sixteen numbers of 16 bits.
            unsafe {
                let pairs = _mm256_loadu_si256(from.cast());
                let upper = _mm256_and_si256(pairs, _mm256_set1_epi32(!0xffff));
                [_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)), _mm256_castsi256_ps(upper)]
            }
        }
    }

    impl Lanes for __m512 {
        const WIDTH: usize = 16;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: AVX-512F, by the contract of the trait; so in all functions below.
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above, and the pointer is valid for sixteen numbers.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above, and the pointer is valid for sixteen numbers.
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn splat(number: f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_set1_ps(number) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_fmadd_ps(self, factor, sum) }
        }

        #[inline(always)]
        fn prefetch(at: *const u8) {
            // SAFETY: SSE, which every processor of this architecture has; no address is too bad for it.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }
    }

    impl Widen for __m512 {
        #[inline(always)]
        unsafe fn load_f16(from: *const u16) -> Self {
            // SAFETY: as above, and the pointer is valid for sixteen numbers of 16 bits.
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
        }

        #[inline(always)]
        unsafe fn load_bf16_pairs(from: *const u16) -> [Self; 2] {
            // SAFETY: as above, and the pointer is valid for thirty-two numbers of 16 bits.
            unsafe {
                let pairs = _mm512_loadu_si512(from.cast());
                let upper = _mm512_and_si512(pairs, _mm512_set1_epi32(!0xffff));
                [_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)), _mm512_castsi512_ps(upper)]
            }
        }
    }

    /// How far nibble number `at` is from its place in a number, to the left and to the right.
    const fn shifts(at: usize) -> (i32, i32) {
        let left = FRACTION - 4 * at as i32;
        if left > 0 { (left, 0) } else { (0, -left) }
    }

    impl Quantised for __m256 {
        type Nibbles = __m256i;

        #[inline(always)]
        unsafe fn load_i8(from: *const u8) -> Self {
            // SAFETY: AVX2, by the contract of the trait, and the pointer is valid for eight bytes.
            unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
        }

        #[inline(always)]
        unsafe fn load_nibbles(from: *const u8) -> __m256i {
            // SAFETY: AVX, by the contract of the trait, and the pointer is valid for eight times four bytes.
            unsafe { _mm256_loadu_si256(from.cast()) }
        }

        #[inline(always)]
        unsafe fn nibble<const AT: usize>(nibbles: __m256i) -> Self {
            let (left, right) = shifts(AT);
            // SAFETY: AVX2, by the contract of the trait. The counts are known when this is compiled.
            unsafe {
                let above = _mm256_castps_si256(_mm256_set1_ps(ABOVE));
                let moved = match left {
                    0 => _mm256_srl_epi32(nibbles, _mm_cvtsi32_si128(right)),
                    _ => _mm256_sll_epi32(nibbles, _mm_cvtsi32_si128(left)),
                };
                let own = _mm256_and_si256(moved, _mm256_set1_epi32(15 << FRACTION));
                _mm256_castsi256_ps(_mm256_or_si256(own, above))
            }
        }

        #[inline(always)]
        unsafe fn mul(self, factor: Self) -> Self {
            // SAFETY: AVX, by the contract of the trait.
            unsafe { _mm256_mul_ps(self, factor) }
        }

        #[inline(always)]
        unsafe fn add(self, term: Self) -> Self {
            // SAFETY: AVX, by the contract of the trait.
            unsafe { _mm256_add_ps(self, term) }
        }
    }

    impl Quantised for __m512 {
        type Nibbles = __m512i;

        #[inline(always)]
        unsafe fn load_i8(from: *const u8) -> Self {
            // SAFETY: AVX-512F, by the contract of the trait, and the pointer is valid for sixteen bytes.
            unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
        }

        #[inline(always)]
        unsafe fn load_nibbles(from: *const u8) -> __m512i {
            // SAFETY: as above, and the pointer is valid for sixteen times four bytes.
            unsafe { _mm512_loadu_si512(from.cast()) }
        }

        #[inline(always)]
        unsafe fn nibble<const AT: usize>(nibbles: __m512i) -> Self {
            /// `a & b | c` as the table of an operation of three.
            const SELECT: i32 = 0xea;
            let (left, right) = shifts(AT);
            // SAFETY: AVX-512F, by the contract of the trait. The counts are known when this is compiled.
            unsafe {
                let above = _mm512_castps_si512(_mm512_set1_ps(ABOVE));
                let moved = match left {
                    0 => _mm512_srl_epi32(nibbles, _mm_cvtsi32_si128(right)),
                    _ => _mm512_sll_epi32(nibbles, _mm_cvtsi32_si128(left)),
                };
                let own = _mm512_set1_epi32(15 << FRACTION);
                _mm512_castsi512_ps(_mm512_ternarylogic_epi32::<SELECT>(moved, own, above))
            }
        }

        #[inline(always)]
        unsafe fn mul(self, factor: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_mul_ps(self, factor) }
        }

        #[inline(always)]
        unsafe fn add(self, term: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_add_ps(self, term) }
        }
    }

    /// Sixteen sums of f32. As a factor, a lane holds the bits of two bf16 numbers, whose products are both added.
    #[derive(Clone, Copy)]
    pub struct Bf16Pairs(__m512);

    impl Lanes for Bf16Pairs {
        const WIDTH: usize = 16;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: AVX-512F, by the contract of the trait; so in all functions below.
            Self(unsafe { __m512::zero() })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above, and the pointer is valid for sixteen numbers.
            Self(unsafe { __m512::load(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above, and the pointer is valid for sixteen numbers.
            unsafe { self.0.store(to) }
        }

        #[inline(always)]
        unsafe fn splat(number: f32) -> Self {
            // SAFETY: as above.
            Self(unsafe { __m512::splat(number) })
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: AVX-512 BF16, by the contract of the trait; both types are 64 bytes of any bits.
            unsafe {
                let [left, right] =
                    [self.0, factor.0].map(|bits| std::mem::transmute::<__m512, __m512bh>(bits));
                Self(_mm512_dpbf16_ps(sum.0, left, right))
            }
        }

        #[inline(always)]
        fn prefetch(at: *const u8) {
            __m512::prefetch(at);
        }
    }
}
