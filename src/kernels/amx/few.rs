//! The walk over tiles for one row, by vectors: the same bits, without bringing weights into tiles first.
//!
//! A product of one row takes as long as its weights take to come from memory, if little else is done with them. Here each is split
//! in registers and multiplied at once, in the order of tiles ([`software`](super::software)): even and odd products of a step apart,
//! for each pair of parts, what is below the least normal number being 0.

#![allow(unsafe_code)]

use super::rows::Parted;
use super::split::Number;
use super::{STEP, WIDTH};

/// Whether this processor has the instructions.
pub(super) fn is_here() -> bool {
    #[cfg(target_arch = "x86_64")]
    return super::split::rounds_by_itself();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether all of these numbers are split by the processor as they are everywhere.
pub(super) fn are_ordinary<T: Number>(numbers: &[u8]) -> bool {
    bytemuck::cast_slice::<u8, T>(numbers).iter().all(|number| number.is_ordinary())
}

/// Adds the products of a row with the numbers `[k, 32]` of a panel to the sums of its columns; what is behind the last one of a step
/// is 0.
///
/// # Panics
/// If the row is not in whole steps, those of the numbers, or the processor lacks the [instructions](is_here).
pub(super) fn add_products<T: Walk>(row: &[Parted], numbers: &[T], sums: &mut [f32; WIDTH]) {
    assert!(is_here(), "a processor that rounds to bf16");
    let (whole, rest) = numbers.as_chunks::<{ STEP * WIDTH }>();
    let (steps, _) = row.as_chunks::<STEP>();
    assert_eq!(steps.len(), whole.len() + usize::from(!rest.is_empty()), "steps of the row and of the panel");
    assert!(rest.len().is_multiple_of(WIDTH), "whole rows of the panel");
    let (own, last) = steps.split_at(whole.len());
    if !own.is_empty() {
        // SAFETY: the processor has the instructions, and both sides have as many steps, at least one.
        unsafe { T::walk(own, whole, sums) };
    }
    if !rest.is_empty() {
        let mut filled = [[T::zeroed(); STEP * WIDTH]];
        filled[0][..rest.len()].copy_from_slice(rest);
        // SAFETY: as before, of one step.
        unsafe { T::walk(last, &filled, sums) };
    }
}

/// Numbers of a panel that can be split and multiplied in registers.
pub(super) trait Walk: Number {
    /// Adds the products of some steps.
    ///
    /// # Safety
    /// The processor has AVX-512 with the instruction that rounds to bf16; there is a step, and as many on both sides.
    unsafe fn walk(row: &[[Parted; STEP]], numbers: &[[Self; STEP * WIDTH]], sums: &mut [f32; WIDTH]);
}

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(not(target_arch = "x86_64"))]
macro_rules! nowhere {
    ($($number:ty),*) => {
        $(impl Walk for $number {
            unsafe fn walk(_: &[[Parted; STEP]], _: &[[Self; STEP * WIDTH]], _: &mut [f32; WIDTH]) {
                unreachable!("no processor of this kind has the instructions")
            }
        })*
    };
}
#[cfg(not(target_arch = "x86_64"))]
nowhere!(f32, half::f16);
