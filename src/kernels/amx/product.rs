//! One panel of 32 columns times all rows of a block: the walk over tiles, on the processor or in plain Rust.
//!
//! A group of rows has 2 × 2 tiles of sums, or 1 × 2 where rows are few, which stay where they are for all of K that the call
//! covers; the other four registers hold two tiles of rows and two of columns.

#![allow(unsafe_code)]

use super::software::{WORDS, add_product};
use super::{ROWS, STEP, Unit, WIDTH};
use crate::weights::Dtype;

/// Of how many parts the numbers on both sides are the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    /// Both are numbers of bf16.
    OneByOne,
    /// Activations of f32, weights of bf16: three products.
    ThreeByOne,
    /// Activations of f32, weights of f16: five products.
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
    /// Tiles of a group of rows, 1 or 2.
    pub tiles: usize,
    /// Groups of rows.
    pub groups: usize,
    /// Rows that count: fewer than those of the groups if the last group is filled up. What the sums of others are afterwards is
    /// anything.
    pub rows: usize,
    /// Steps of 32 numbers over K, at least one.
    pub steps: usize,
    /// Activations, in groups `[step][part][tile][16][32]`.
    pub a: *const u16,
    /// Numbers from the end of a group's steps to those of the next group.
    pub a_gap: usize,
    /// Weights `[step][part][16 pairs][32]`.
    pub b: *const u32,
    /// Sums `[groups * tiles * 16][32]`.
    pub c: *mut f32,
    /// From one row of `c` to the next.
    pub c_stride: usize,
    /// Whether sums go on from what `c` holds; else they begin at 0.
    pub resume: bool,
}

/// Computes all groups of rows of one panel.
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

/// The same walk over tiles in plain Rust.
///
/// # Safety
/// As [`panel`].
unsafe fn software(args: PanelArgs) {
    let PanelArgs { parts, tiles, groups, rows, steps, .. } = args;
    let [of_a, of_b] = parts.counts();
    let (tile, panel) = (ROWS * WORDS, WORDS * WIDTH);
    let group = steps * of_a * tiles * tile;
    // SAFETY: the shapes that the caller vouches for, in pairs; pairs of activations are read one number after the other, so that
    // they need not be aligned as words.
    unsafe {
        let b = std::slice::from_raw_parts(args.b, steps * of_b * panel);
        let mut words = vec![0; group];
        for index in 0..groups {
            let from = args.a.add(index * (2 * group + args.a_gap));
            for (at, word) in words.iter_mut().enumerate() {
                *word = u32::from(*from.add(2 * at)) | u32::from(*from.add(2 * at + 1)) << 16;
            }
            for (row, half) in (0..tiles).flat_map(|row| [(row, 0), (row, 1)]) {
                let first = (index * tiles + row) * ROWS;
                let c = args.c.wrapping_add(first * args.c_stride + half * WORDS);
                let mut sums = [[0.0; WORDS]; ROWS];
                let sums = &mut sums[..rows.saturating_sub(first).min(ROWS)];
                if args.resume {
                    for (line, sums) in sums.iter_mut().enumerate() {
                        sums.copy_from_slice(std::slice::from_raw_parts(c.add(line * args.c_stride), WORDS));
                    }
                }
                for step in 0..steps {
                    for q in 0..of_b {
                        let b = &b[(step * of_b + q) * panel + half * WORDS..];
                        for p in 0..of_a.min(super::split::PARTS - q) {
                            let a = &words[((step * of_a + p) * tiles + row) * tile..][..sums.len() * WORDS];
                            add_product(sums, a, b);
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

#[cfg(target_arch = "x86_64")]
mod hardware {
    use std::arch::asm;

    use super::{PanelArgs, Parts, STEP, WIDTH};

    /// All eight registers are whole tiles: 16 rows of 64 bytes.
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start_row: u8,
        zero: [u8; 14],
        bytes_of_row: [u16; 16],
        rows: [u8; 16],
    }

    static WHOLE_TILES: Configuration = Configuration {
        palette: 1,
        start_row: 0,
        zero: [0; 14],
        bytes_of_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };

    /// Products of tiles of zeros, four in a round.
    ///
    /// # Safety
    /// There are tiles, and at least one round.
    pub(super) unsafe fn busy(rounds: u64) {
        // SAFETY: as below; nothing but registers is changed.
        unsafe {
            asm!(
                "ldtilecfg [{configuration}]",
                "2:",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "dec {rounds}",
                "jnz 2b",
                "tilerelease",
                configuration = in(reg) &raw const WHOLE_TILES,
                rounds = inout(reg) rounds => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly),
            )
        }
    }

    /// Two tiles of columns of a part: tmm6 and tmm7.
    macro_rules! columns {
        ($q:literal) => {
            concat!(
                "tileloadd tmm6, [{b} + {line}*1 + 2048*",
                $q,
                "]\n",
                "tileloadd tmm7, [{b} + {line}*1 + 2048*",
                $q,
                " + 64]\n",
            )
        };
    }

    /// The products of a part of the rows with those columns.
    macro_rules! products {
        (two, $p:literal) => {
            concat!(
                "tileloadd tmm4, [{a} + {row}*1 + 2048*",
                $p,
                "]\n",
                "tileloadd tmm5, [{a} + {row}*1 + 2048*",
                $p,
                " + 1024]\n",
                "tdpbf16ps tmm0, tmm4, tmm6\n",
                "tdpbf16ps tmm1, tmm4, tmm7\n",
                "tdpbf16ps tmm2, tmm5, tmm6\n",
                "tdpbf16ps tmm3, tmm5, tmm7\n",
            )
        };
        (one, $p:literal) => {
            concat!(
                "tileloadd tmm4, [{a} + {row}*1 + 1024*",
                $p,
                "]\n",
                "tdpbf16ps tmm0, tmm4, tmm6\n",
                "tdpbf16ps tmm1, tmm4, tmm7\n",
            )
        };
    }

    /// What the lines of code of a group of two tiles, or of one, have apart from the products: `{second}` is 16 rows below `{c}`.
    macro_rules! sums {
        (two, begin) => {
            "tilezero tmm0\ntilezero tmm1\ntilezero tmm2\ntilezero tmm3\n"
        };
        (one, begin) => {
            "tilezero tmm0\ntilezero tmm1\n"
        };
        (two, load) => {
            "lea {n}, [{c} + {c_line}*8]\nlea {n}, [{n} + {c_line}*8]\n\
             tileloadd tmm0, [{c} + {c_line}*1]\ntileloadd tmm1, [{c} + {c_line}*1 + 64]\n\
             tileloadd tmm2, [{n} + {c_line}*1]\ntileloadd tmm3, [{n} + {c_line}*1 + 64]\n"
        };
        (one, load) => {
            "tileloadd tmm0, [{c} + {c_line}*1]\ntileloadd tmm1, [{c} + {c_line}*1 + 64]\n"
        };
        (two, store) => {
            "lea {n}, [{c} + {c_line}*8]\nlea {n}, [{n} + {c_line}*8]\n\
             tilestored [{c} + {c_line}*1], tmm0\ntilestored [{c} + {c_line}*1 + 64], tmm1\n\
             tilestored [{n} + {c_line}*1], tmm2\ntilestored [{n} + {c_line}*1 + 64], tmm3\n\
             lea {c}, [{n} + {c_line}*8]\nlea {c}, [{c} + {c_line}*8]\n"
        };
        (one, store) => {
            "tilestored [{c} + {c_line}*1], tmm0\ntilestored [{c} + {c_line}*1 + 64], tmm1\n\
             lea {c}, [{c} + {c_line}*8]\nlea {c}, [{c} + {c_line}*8]\n"
        };
    }

    /// Weights that are read once, from memory, are asked for two pages ahead; those of more rows come back to a near cache.
    macro_rules! ahead {
        (one, 1) => {
            ".irp at, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, \
             30, 31\nprefetcht0 [{b} + 8192 + 64*\\at]\n.endr\n"
        };
        ($tiles:ident, $b:literal) => {
            ""
        };
    }

    /// A function for groups of so many tiles and so many parts, `$a` of the rows and `$b` of the columns: `$step` are the
    /// products of one step.
    macro_rules! panel {
        ($name:ident, $tiles:ident, $count:literal, $a:literal, $b:tt, $step:expr) => {
            /// # Safety
            /// As [`panel`](super::panel), for these parts and tiles.
            unsafe fn $name(args: PanelArgs) {
                let bytes = |numbers: usize| numbers * size_of::<u16>();
                // SAFETY: the caller vouches for tiles and for the memory that is read and written; all tile registers are named as
                // changed, and the code leaves the stack alone. The configuration holds for this piece of code alone.
                unsafe {
                    asm!(
                        "ldtilecfg [{b}]",
                        "2:",
                        "mov {b}, {panel}",
                        "test {resume}, {resume}",
                        "jnz 3f",
                        sums!($tiles, begin),
                        "jmp 4f",
                        "3:",
                        sums!($tiles, load),
                        "4:",
                        "mov {n}, {steps}",
                        "5:",
                        ahead!($tiles, $b),
                        $step,
                        concat!("add {a}, 1024*", $count, "*", $a),
                        concat!("add {b}, 2048*", $b),
                        "dec {n}",
                        "jnz 5b",
                        sums!($tiles, store),
                        "add {a}, {gap}",
                        "dec {groups}",
                        "jnz 2b",
                        "tilerelease",
                        a = inout(reg) args.a => _,
                        b = inout(reg) &raw const WHOLE_TILES => _,
                        c = inout(reg) args.c => _,
                        groups = inout(reg) args.groups => _,
                        n = out(reg) _,
                        panel = in(reg) args.b,
                        steps = in(reg) args.steps,
                        resume = in(reg) u64::from(args.resume),
                        gap = in(reg) bytes(args.a_gap),
                        row = in(reg) bytes(STEP),
                        line = in(reg) 2 * bytes(WIDTH),
                        c_line = in(reg) args.c_stride * size_of::<f32>(),
                        out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                        out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                        options(nostack),
                    )
                }
            }
        };
    }

    macro_rules! of_parts {
        ($tiles:ident, $count:literal, $one:ident, $three_one:ident, $three_two:ident, $three:ident) => {
            panel!($one, $tiles, $count, 1, 1, concat!(columns!(0), products!($tiles, 0)));
            panel!(
                $three_one,
                $tiles,
                $count,
                3,
                1,
                concat!(columns!(0), products!($tiles, 0), products!($tiles, 1), products!($tiles, 2))
            );
            panel!(
                $three_two,
                $tiles,
                $count,
                3,
                2,
                concat!(
                    columns!(0),
                    products!($tiles, 0),
                    products!($tiles, 1),
                    products!($tiles, 2),
                    columns!(1),
                    products!($tiles, 0),
                    products!($tiles, 1)
                )
            );
            panel!(
                $three,
                $tiles,
                $count,
                3,
                3,
                concat!(
                    columns!(0),
                    products!($tiles, 0),
                    products!($tiles, 1),
                    products!($tiles, 2),
                    columns!(1),
                    products!($tiles, 0),
                    products!($tiles, 1),
                    columns!(2),
                    products!($tiles, 0)
                )
            );
        };
    }

    of_parts!(one, 1, one_by_one, three_by_one, three_by_two, three_by_three);
    of_parts!(two, 2, one_by_one_two, three_by_one_two, three_by_two_two, three_by_three_two);

    /// # Safety
    /// As [`panel`](super::panel).
    pub(super) unsafe fn panel(args: PanelArgs) {
        assert!(args.groups > 0 && args.steps > 0, "a product of something");
        // SAFETY: as the caller says.
        unsafe {
            match (args.parts, args.tiles) {
                (Parts::OneByOne, 1) => one_by_one(args),
                (Parts::ThreeByOne, 1) => three_by_one(args),
                (Parts::ThreeByTwo, 1) => three_by_two(args),
                (Parts::ThreeByThree, 1) => three_by_three(args),
                (Parts::OneByOne, 2) => one_by_one_two(args),
                (Parts::ThreeByOne, 2) => three_by_one_two(args),
                (Parts::ThreeByTwo, 2) => three_by_two_two(args),
                (Parts::ThreeByThree, 2) => three_by_three_two(args),
                (_, tiles) => panic!("groups of one or two tiles, not {tiles}"),
            }
        }
    }
}
