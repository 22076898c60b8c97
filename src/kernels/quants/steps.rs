//! How the integers of blocks become weights, a few columns at a time.

#![allow(unsafe_code)]

use crate::kernels::lanes::{ABOVE, Quantised};

/// What two vectors of rows have in common in a block.
pub(super) type Heads<V> = [[V; 2]; 2];

/// How the integers of some columns become weights, of the two vectors of rows of a panel.
pub(super) trait Step<V: Quantised> {
    /// Numbers of f16 that stand before the integers.
    const HEADS: usize;
    /// Columns of a step.
    const COLUMNS: usize;
    /// Bytes of a row in a step.
    const BYTES: usize;
    /// A vector's integers of a step.
    type Integers: Copy;

    /// # Safety
    /// The processor has the instruction set of `V`; so for the other functions.
    unsafe fn heads(stored: Heads<V>) -> Heads<V>;

    /// # Safety
    /// As above, and `from` is valid for the bytes of a vector of rows in a step.
    unsafe fn load(from: *const u8) -> Self::Integers;

    /// Column number `AT` of a step.
    ///
    /// # Safety
    /// As above.
    unsafe fn column<const AT: usize>(heads: Heads<V>, integers: [Self::Integers; 2]) -> [V; 2];
}

/// Signed bytes.
pub(super) struct Bytes;

impl<V: Quantised> Step<V> for Bytes {
    const HEADS: usize = 1;
    const COLUMNS: usize = 1;
    const BYTES: usize = 1;
    type Integers = V;

    #[inline(always)]
    unsafe fn heads(stored: Heads<V>) -> Heads<V> {
        stored
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> V {
        // SAFETY: as the caller says.
        unsafe { V::load_i8(from) }
    }

    #[inline(always)]
    unsafe fn column<const AT: usize>([scale, _]: Heads<V>, [left, right]: [V; 2]) -> [V; 2] {
        // SAFETY: as the caller says.
        unsafe { [left.mul(scale[0]), right.mul(scale[1])] }
    }
}

/// How nibbles become weights.
pub(super) trait Nibbles<V: Quantised> {
    /// Numbers of f16 that stand before the nibbles.
    const HEADS: usize;

    /// What is added to products.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`.
    unsafe fn base(scale: V, minimum: V) -> V;

    /// The weight of a nibble with [`ABOVE`] added.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    unsafe fn weight(above: V, scale: V, base: V) -> V {
        // SAFETY: as the caller says.
        unsafe { above.mul_add(scale, base) }
    }
}

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q4_1Apart;

impl<V: Quantised> Nibbles<V> for Q4_0 {
    const HEADS: usize = 1;

    #[inline(always)]
    unsafe fn base(scale: V, _: V) -> V {
        // SAFETY: as the caller says.
        unsafe { scale.mul(V::splat(-8.0 - ABOVE)) }
    }
}

impl<V: Quantised> Nibbles<V> for Q4_1 {
    const HEADS: usize = 2;

    #[inline(always)]
    unsafe fn base(scale: V, minimum: V) -> V {
        // SAFETY: as the caller says.
        unsafe { scale.mul_add(V::splat(-ABOVE), minimum) }
    }
}

impl<V: Quantised> Nibbles<V> for Q4_1Apart {
    const HEADS: usize = 2;

    #[inline(always)]
    unsafe fn base(_: V, minimum: V) -> V {
        minimum
    }

    #[inline(always)]
    unsafe fn weight(above: V, scale: V, minimum: V) -> V {
        // SAFETY: as the caller says.
        unsafe { above.add(V::splat(-ABOVE)).mul_add(scale, minimum) }
    }
}

/// Nibbles, eight columns at a time.
pub(super) struct Eight<N>(std::marker::PhantomData<N>);

impl<V: Quantised, N: Nibbles<V>> Step<V> for Eight<N> {
    const HEADS: usize = N::HEADS;
    const COLUMNS: usize = 8;
    const BYTES: usize = 4;
    type Integers = V::Nibbles;

    #[inline(always)]
    unsafe fn heads([scale, minimum]: Heads<V>) -> Heads<V> {
        // SAFETY: as the caller says.
        unsafe { [scale, [N::base(scale[0], minimum[0]), N::base(scale[1], minimum[1])]] }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> V::Nibbles {
        // SAFETY: as the caller says.
        unsafe { V::load_nibbles(from) }
    }

    #[inline(always)]
    unsafe fn column<const AT: usize>([scale, base]: Heads<V>, [left, right]: [V::Nibbles; 2]) -> [V; 2] {
        // SAFETY: as the caller says.
        unsafe {
            [
                N::weight(V::nibble::<AT>(left), scale[0], base[0]),
                N::weight(V::nibble::<AT>(right), scale[1], base[1]),
            ]
        }
    }
}
