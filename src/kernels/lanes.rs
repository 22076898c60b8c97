//! The few vector operations that tiles are made of, once for each instruction set.
//!
//! Tiles are written once, over [`Lanes`]; an instruction set says what a vector of it is. All of these functions are
//! `unsafe` for one reason: the processor must have the instruction set, which [`Isa`](super::Isa) has asked it.

#![allow(unsafe_code)]

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
}

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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

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
    }
}
