//! One panel of columns times all rows of a block: the walk over tiles, on the processor or in plain Rust.
//!
//! Four of the eight registers are tiles of sums, which stay where they are for all of K that the call covers. Of what a tile of
//! rows has in three parts there is three times as much to bring as of columns, so with columns of one part sums are 1 × 4 tiles:
//! all parts of a tile of rows meet a tile of columns as soon as it is there. Else they are 2 × 2 tiles, or 1 × 2 for the last rows.
//!
//! Memory is as busy as tiles are: what is read next, and the places of sums that come next, are asked for line by line meanwhile.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod hardware;

use super::software::{WORDS, add_product};
use super::{ROWS, STEP, Unit};
use crate::weights::Dtype;

/// So many tiles of rows are few: what takes time is to bring weights, not to multiply them, so tiles are taken one at a time.
pub(super) const FEW: usize = 4;

/// Of how many parts the numbers on both sides are the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    /// Both are numbers of bf16.
    OneByOne,
    /// Activations of f32, weights of bf16: three products.
    ThreeByOne,
    /// Activations of f32, weights of f16, or of f32 that have no third part: five products.
    ThreeByTwo,
    /// Both of f32: six products.
    ThreeByThree,
}

impl Parts {
    /// Parts of activations and of weights.
    pub(super) const fn counts(self) -> [usize; 2] {
        match self {
            Parts::OneByOne => [1, 1],
            Parts::ThreeByOne => [3, 1],
            Parts::ThreeByTwo => [3, 2],
            Parts::ThreeByThree => [3, 3],
        }
    }

    /// Those of activations of f32 and weights of a type, all exact.
    pub(super) const fn exact(weights: Dtype) -> Self {
        match weights {
            Dtype::BF16 => Parts::ThreeByOne,
            Dtype::F16 => Parts::ThreeByTwo,
            _ => Parts::ThreeByThree,
        }
    }

    /// Columns of a panel.
    pub(super) const fn width(self) -> usize {
        match self {
            Parts::ThreeByOne => 4 * ROWS,
            _ => 2 * ROWS,
        }
    }

    /// Rows whose sums are in registers at the same time, where rows are many.
    pub(super) const fn rows_together(self) -> usize {
        match self {
            Parts::ThreeByOne => ROWS,
            _ => 2 * ROWS,
        }
    }

    /// Products of tiles for one of the numbers themselves.
    pub(super) const fn products(self) -> usize {
        match self {
            Parts::OneByOne => 1,
            Parts::ThreeByOne => 3,
            Parts::ThreeByTwo => 5,
            Parts::ThreeByThree => 6,
        }
    }
}

/// Where the operands of one panel lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct PanelArgs {
    /// Of how many parts they are.
    pub parts: Parts,
    /// Rows that count, at least one; what the sums of others of their tiles are afterwards is anything.
    pub rows: usize,
    /// Steps of 32 numbers over K, at least one.
    pub steps: usize,
    /// Activations, in tiles of 16 rows `[step][part][16][32]`.
    pub a: *const u16,
    /// From one tile to the next, at least what its steps have.
    pub a_stride: usize,
    /// Weights `[step][part][16 pairs][width]`.
    pub b: *const u32,
    /// Sums `[rows in whole tiles][width]`.
    pub c: *mut f32,
    /// From one row of `c` to the next.
    pub c_stride: usize,
    /// Whether sums go on from what `c` holds; else they begin at 0.
    pub resume: bool,
    /// Activations and weights that are read after these; any address.
    pub next: [*const u8; 2],
    /// Where sums are read or written after the first tiles' are, row by row; any address.
    pub sums: Ahead,
}

/// Rows of as many numbers as a panel has columns, which are asked for while others are multiplied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// The first row; null if nothing need be asked for.
    pub first: *const f32,
    /// From one row to the next.
    pub stride: usize,
}

impl Ahead {
    pub(super) const NOTHING: Self = Self { first: std::ptr::null(), stride: 0 };
}

impl PanelArgs {
    /// Tiles of rows.
    fn tiles(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// Numbers of `a` that are read in a tile.
    fn of_tile(&self) -> usize {
        self.steps * self.parts.counts()[0] * ROWS * STEP
    }
}

/// Computes all rows of one panel.
///
/// # Safety
/// Tiles are [here](super::detect::has_tiles) if the unit is the processor; every pointer is valid for the shape at its field,
/// and `c` overlaps neither of the others.
pub(super) unsafe fn panel(unit: Unit, args: PanelArgs) {
    // SAFETY: as the caller says.
    unsafe {
        match unit {
            #[cfg(target_arch = "x86_64")]
            Unit::Hardware => hardware::panel(args),
            #[cfg(not(target_arch = "x86_64"))]
            Unit::Hardware => unreachable!("no processor of this kind has tiles"),
            Unit::Software => software(args),
        }
    }
}

/// The same of one or two panels, whose weights and whose sums follow each other, and a few tiles of rows: of three parts of rows, and
/// of weights of two or three.
///
/// # Safety
/// As [`panel`], for each of the panels.
pub(super) unsafe fn few_rows(unit: Unit, args: PanelArgs, panels: usize) {
    let of_weights = args.steps * args.parts.counts()[1] * WORDS * args.parts.width();
    let of_sums = args.tiles() * ROWS * args.c_stride;
    // SAFETY: as the caller says.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if let (Unit::Hardware, 2) = (unit, panels) {
            return hardware::two_panels(args, of_weights, of_sums);
        }
        for at in 0..panels {
            panel(unit, PanelArgs { b: args.b.add(at * of_weights), c: args.c.add(at * of_sums), ..args });
        }
    }
}

/// The same walk over tiles in plain Rust.
///
/// # Safety
/// As [`panel`].
unsafe fn software(args: PanelArgs) {
    let PanelArgs { parts, rows, steps, .. } = args;
    let ([of_a, of_b], width) = (parts.counts(), parts.width());
    let (tile, panel) = (ROWS * WORDS, WORDS * width);
    // SAFETY: the shapes that the caller vouches for, in pairs; pairs of activations are read one number after the other, so that
    // they need not be aligned as words.
    unsafe {
        let b = std::slice::from_raw_parts(args.b, steps * of_b * panel);
        let mut words = vec![0; steps * of_a * tile];
        for first in (0..rows).step_by(ROWS) {
            let from = args.a.add(first / ROWS * args.a_stride);
            for (at, word) in words.iter_mut().enumerate() {
                *word = u32::from(*from.add(2 * at)) | u32::from(*from.add(2 * at + 1)) << 16;
            }
            for columns in (0..width).step_by(WORDS) {
                let c = args.c.wrapping_add(first * args.c_stride + columns);
                let mut sums = [[0.0; WORDS]; ROWS];
                let sums = &mut sums[..(rows - first).min(ROWS)];
                if args.resume {
                    for (line, sums) in sums.iter_mut().enumerate() {
                        sums.copy_from_slice(std::slice::from_raw_parts(c.add(line * args.c_stride), WORDS));
                    }
                }
                for step in 0..steps {
                    for q in 0..of_b {
                        let b = &b[(step * of_b + q) * panel + columns..];
                        for p in 0..of_a.min(super::split::PARTS - q) {
                            let a = &words[(step * of_a + p) * tile..][..sums.len() * WORDS];
                            add_product(sums, a, b, width);
                        }
                    }
                }
                for (line, sums) in sums.iter().enumerate() {
                    std::slice::from_raw_parts_mut(c.add(line * args.c_stride), WORDS).copy_from_slice(sums);
                }
            }
        }
    }
}

/// Four products of tiles for each of `rounds`, of which nobody reads the sums; returns the number of operations.
#[cfg(target_arch = "x86_64")]
pub(in super::super) fn busy(rounds: u64) -> u64 {
    assert!(super::detect::has_tiles(), "a processor with tiles");
    if rounds > 0 {
        // SAFETY: there are tiles, as was just asserted.
        unsafe { hardware::busy(rounds) };
    }
    rounds * 4 * (2 * ROWS * ROWS * STEP) as u64
}
