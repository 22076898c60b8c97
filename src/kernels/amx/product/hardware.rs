//! The walk over tiles in assembly, since stable Rust has no tile registers.

#![allow(unsafe_code)]

use std::arch::asm;

mod configuration;

use configuration::{FEW_OF_FOUR, FEW_OF_TWO, WHOLE_TILES};

use super::{FEW, PanelArgs, Parts, ROWS, STEP};

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

/// What is needed once for each tile or pair of tiles, and has no register of its own.
#[repr(C)]
struct Outer {
    panel: *const u32,
    steps: usize,
    resume: usize,
    /// Bytes from behind the last step of a tile to the next tile.
    gap: usize,
}

impl Outer {
    fn of(args: &PanelArgs) -> Self {
        let gap = (args.a_stride - args.of_tile()) * size_of::<u16>();
        Self { panel: args.b, steps: args.steps, resume: usize::from(args.resume), gap }
    }
}

/// Asks for so many lines from `$next` on: for the first cache, or for the second where the first one holds what is multiplied.
macro_rules! ahead {
    ($next:literal, $lines:literal) => {
        ahead!("prefetcht1", $next, $lines)
    };
    ($instruction:literal, $next:literal, $lines:literal) => {
        concat!(".rept ", $lines, "\n", $instruction, " [{", $next, "}]\nadd {", $next, "}, 64\n.endr\n")
    };
}

/// Asks for so many rows of the sums that are read or written next, two or four lines each.
macro_rules! sums_ahead {
    ($rows:literal, 2) => {
        concat!(".rept ", $rows, "\nprefetcht0 [{sums}]\nprefetcht0 [{sums} + 64]\nadd {sums}, {sums_line}\n.endr\n")
    };
    ($rows:literal, 4) => {
        concat!(
            ".rept ",
            $rows,
            "\nprefetcht0 [{sums}]\nprefetcht0 [{sums} + 64]\nprefetcht0 [{sums} + 128]\nprefetcht0 [{sums} + 192]\n",
            "add {sums}, {sums_line}\n.endr\n"
        )
    };
}

/// Where rows are few, weights come from memory once, one step and panel behind the other, and as fast as they come: the tile of
/// columns that is read a step later is asked for before each one.
macro_rules! stream {
    () => {
        ahead!("prefetcht0", "next_b", 16)
    };
}

/// Tile `$at` of the columns of part `$q`, of panels `$tiles` wide, in register `$to`.
macro_rules! column {
    (2, $q:literal, $at:literal, $to:literal) => {
        concat!("tileloadd ", $to, ", [{b} + {row}*2 + 2048*", $q, " + 64*", $at, "]\n")
    };
    (4, $q:literal, $at:literal, $to:literal) => {
        concat!("tileloadd ", $to, ", [{b} + {row}*4 + 4096*", $q, " + 64*", $at, "]\n")
    };
}

/// A tile of rows, part `$p`, in register `$to`.
macro_rules! rows {
    ($a:literal, $p:literal, $to:literal) => {
        concat!("tileloadd ", $to, ", [{", $a, "} + {row}*1 + 1024*", $p, "]\n")
    };
}

/// The products of a part of two tiles of rows, or of one, with two tiles of columns.
macro_rules! products {
    (pair, $p:literal) => {
        concat!(
            rows!("a", $p, "tmm4"),
            rows!("a2", $p, "tmm5"),
            "tdpbf16ps tmm0, tmm4, tmm6\n",
            "tdpbf16ps tmm1, tmm4, tmm7\n",
            "tdpbf16ps tmm2, tmm5, tmm6\n",
            "tdpbf16ps tmm3, tmm5, tmm7\n",
        )
    };
    (one, $p:literal) => {
        concat!(rows!("a", $p, "tmm4"), "tdpbf16ps tmm0, tmm4, tmm6\n", "tdpbf16ps tmm1, tmm4, tmm7\n",)
    };
}

macro_rules! columns {
    ($q:literal) => {
        concat!(column!(2, $q, 0, "tmm6"), column!(2, $q, 1, "tmm7"))
    };
}

/// A step of each number of parts.
macro_rules! step {
    ($form:ident, OneByOne) => {
        concat!(columns!(0), products!($form, 0))
    };
    ($form:ident, ThreeByTwo) => {
        concat!(
            columns!(0),
            products!($form, 0),
            products!($form, 1),
            products!($form, 2),
            columns!(1),
            products!($form, 0),
            products!($form, 1)
        )
    };
    ($form:ident, ThreeByThree) => {
        concat!(
            columns!(0),
            products!($form, 0),
            products!($form, 1),
            products!($form, 2),
            columns!(1),
            products!($form, 0),
            products!($form, 1),
            columns!(2),
            products!($form, 0)
        )
    };
}

/// Three parts of a tile of rows, tmm4 to tmm6, times tile `$at` of the columns.
macro_rules! three {
    ($at:literal) => {
        concat!(
            column!(4, 0, $at, "tmm7"),
            "tdpbf16ps tmm",
            $at,
            ", tmm4, tmm7\ntdpbf16ps tmm",
            $at,
            ", tmm5, tmm7\ntdpbf16ps tmm",
            $at,
            ", tmm6, tmm7\n",
        )
    };
}

/// A function for 1 × 4 tiles of sums, three parts of rows and one of columns, which asks for weights with `$begin` in each
/// step and `$ahead` in each tile of columns, and for so many rows of sums there.
macro_rules! wide {
    ($name:ident, $begin:literal, $ahead:expr, $of_sums:literal) => {
        /// # Safety
        /// As [`panel`](super::panel), for three parts by one.
        unsafe fn $name(args: PanelArgs) {
            let outer = Outer::of(&args);
            // SAFETY: the caller vouches for tiles and for the memory that is read and written; all tile registers are named as
            // changed, and the code leaves the stack alone. The configuration holds for this piece of code alone.
            unsafe {
                asm!(
                    "ldtilecfg [{b}]",
                    "2:",
                    "mov {b}, [{outer}]",
                    "cmp qword ptr [{outer} + 16], 0",
                    "jne 3f",
                    "tilezero tmm0\ntilezero tmm1\ntilezero tmm2\ntilezero tmm3",
                    "jmp 4f",
                    "3:",
                    "tileloadd tmm0, [{c} + {c_line}*1]\ntileloadd tmm1, [{c} + {c_line}*1 + 64]",
                    "tileloadd tmm2, [{c} + {c_line}*1 + 128]\ntileloadd tmm3, [{c} + {c_line}*1 + 192]",
                    "4:",
                    "mov {n}, [{outer} + 8]",
                    "5:",
                    $begin,
                    $ahead,
                    sums_ahead!($of_sums, 4),
                    rows!("a", 0, "tmm4"),
                    column!(4, 0, 0, "tmm7"),
                    "tdpbf16ps tmm0, tmm4, tmm7",
                    rows!("a", 1, "tmm5"),
                    "tdpbf16ps tmm0, tmm5, tmm7",
                    rows!("a", 2, "tmm6"),
                    "tdpbf16ps tmm0, tmm6, tmm7",
                    ahead!("next_a", 3),
                    $ahead,
                    sums_ahead!($of_sums, 4),
                    three!(1),
                    $ahead,
                    sums_ahead!($of_sums, 4),
                    three!(2),
                    $ahead,
                    sums_ahead!($of_sums, 4),
                    three!(3),
                    "add {a}, 3072",
                    "add {b}, 4096",
                    "dec {n}",
                    "jnz 5b",
                    "tilestored [{c} + {c_line}*1], tmm0\ntilestored [{c} + {c_line}*1 + 64], tmm1",
                    "tilestored [{c} + {c_line}*1 + 128], tmm2\ntilestored [{c} + {c_line}*1 + 192], tmm3",
                    "lea {c}, [{c} + {c_line}*8]\nlea {c}, [{c} + {c_line}*8]",
                    "add {a}, [{outer} + 24]",
                    "dec {tiles}",
                    "jnz 2b",
                    "tilerelease",
                    a = inout(reg) args.a => _,
                    b = inout(reg) &raw const FEW_OF_FOUR[args.rows.min(ROWS) - 1] => _,
                    c = inout(reg) args.c => _,
                    tiles = inout(reg) args.tiles() => _,
                    n = out(reg) _,
                    outer = in(reg) &raw const outer,
                    row = in(reg) STEP * size_of::<u16>(),
                    c_line = in(reg) args.c_stride * size_of::<f32>(),
                    next_a = inout(reg) args.next[0] => _,
                    next_b = inout(reg) args.next[1] => _,
                    sums = inout(reg) args.sums.first => _,
                    sums_line = in(reg) args.sums.stride * size_of::<f32>(),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                )
            }
        }
    };
}

wide!(three_by_one_of_few, "lea {next_b}, [{b} + 4096]", stream!(), 0);
wide!(three_by_one, "", ahead!("next_b", 2), 1);

/// A function for pairs of tiles of rows and panels of two tiles, which asks for so many lines of activations and of weights and
/// so many rows of sums in a step.
macro_rules! pairs {
    ($name:ident, $parts:ident, [$a:literal, $b:literal, $of_sums:literal], $of_a:literal, $of_b:literal) => {
        /// # Safety
        /// As [`panel`](super::panel), for these parts and an even number of tiles.
        unsafe fn $name(args: PanelArgs) {
            let outer = Outer::of(&args);
            // SAFETY: as above.
            unsafe {
                asm!(
                    "ldtilecfg [{b}]",
                    "2:",
                    "mov {b}, [{outer}]",
                    "lea {n}, [{c} + {c_line}*8]\nlea {n}, [{n} + {c_line}*8]",
                    "cmp qword ptr [{outer} + 16], 0",
                    "jne 3f",
                    "tilezero tmm0\ntilezero tmm1\ntilezero tmm2\ntilezero tmm3",
                    "jmp 4f",
                    "3:",
                    "tileloadd tmm0, [{c} + {c_line}*1]\ntileloadd tmm1, [{c} + {c_line}*1 + 64]",
                    "tileloadd tmm2, [{n} + {c_line}*1]\ntileloadd tmm3, [{n} + {c_line}*1 + 64]",
                    "4:",
                    "mov {n}, [{outer} + 8]",
                    "5:",
                    ahead!("next_a", $a),
                    step!(pair, $parts),
                    ahead!("next_b", $b),
                    sums_ahead!($of_sums, 2),
                    concat!("add {a}, 1024*", $of_a, "\nadd {a2}, 1024*", $of_a),
                    concat!("add {b}, 2048*", $of_b),
                    "dec {n}",
                    "jnz 5b",
                    "lea {n}, [{c} + {c_line}*8]\nlea {n}, [{n} + {c_line}*8]",
                    "tilestored [{c} + {c_line}*1], tmm0\ntilestored [{c} + {c_line}*1 + 64], tmm1",
                    "tilestored [{n} + {c_line}*1], tmm2\ntilestored [{n} + {c_line}*1 + 64], tmm3",
                    "lea {c}, [{n} + {c_line}*8]\nlea {c}, [{c} + {c_line}*8]",
                    // The next pair: `a` and `a2` are behind the steps of their tiles.
                    "xchg {a}, {a2}\nneg {a2}\nlea {a2}, [{a2} + {a}*2]",
                    "add {a}, [{outer} + 24]\nadd {a2}, [{outer} + 24]",
                    "dec {pairs}",
                    "jnz 2b",
                    "tilerelease",
                    a = inout(reg) args.a => _,
                    a2 = inout(reg) args.a.wrapping_add(args.a_stride) => _,
                    b = inout(reg) &raw const WHOLE_TILES => _,
                    c = inout(reg) args.c => _,
                    pairs = inout(reg) args.tiles() / 2 => _,
                    n = out(reg) _,
                    outer = in(reg) &raw const outer,
                    row = in(reg) STEP * size_of::<u16>(),
                    c_line = in(reg) args.c_stride * size_of::<f32>(),
                    next_a = inout(reg) args.next[0] => _,
                    next_b = inout(reg) args.next[1] => _,
                    sums = inout(reg) args.sums.first => _,
                    sums_line = in(reg) args.sums.stride * size_of::<f32>(),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                )
            }
        }
    };
}

pairs!(one_by_one_pairs, OneByOne, [2, 4, 0], 1, 1);
pairs!(one_by_one_pairs_and_sums, OneByOne, [2, 4, 4], 1, 1);
pairs!(three_by_two_pairs, ThreeByTwo, [6, 2, 8], 3, 2);
pairs!(three_by_three_pairs, ThreeByThree, [6, 4, 8], 3, 3);

/// The same for one tile of rows, which asks for weights alone.
macro_rules! one {
    ($name:ident, $parts:ident, $begin:literal, $ahead:expr, $of_a:literal, $of_b:literal) => {
        /// # Safety
        /// As [`panel`](super::panel), for these parts and one tile.
        unsafe fn $name(args: PanelArgs) {
            // SAFETY: as above.
            unsafe {
                asm!(
                    "ldtilecfg [{configuration}]",
                    "test {resume}, {resume}",
                    "jnz 3f",
                    "tilezero tmm0\ntilezero tmm1",
                    "jmp 4f",
                    "3:",
                    "tileloadd tmm0, [{c} + {c_line}*1]\ntileloadd tmm1, [{c} + {c_line}*1 + 64]",
                    "4:",
                    "5:",
                    $begin,
                    $ahead,
                    step!(one, $parts),
                    concat!("add {a}, 1024*", $of_a),
                    concat!("add {b}, 2048*", $of_b),
                    "dec {n}",
                    "jnz 5b",
                    "tilestored [{c} + {c_line}*1], tmm0\ntilestored [{c} + {c_line}*1 + 64], tmm1",
                    "tilerelease",
                    configuration = in(reg) &raw const FEW_OF_TWO[args.rows - 1],
                    a = inout(reg) args.a => _,
                    b = inout(reg) args.b => _,
                    c = in(reg) args.c,
                    n = inout(reg) args.steps => _,
                    resume = in(reg) u64::from(args.resume),
                    row = in(reg) STEP * size_of::<u16>(),
                    c_line = in(reg) args.c_stride * size_of::<f32>(),
                    next_b = inout(reg) args.next[1] => _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                )
            }
        }
    };
}

one!(one_by_one, OneByOne, "lea {next_b}, [{b} + 4096]", concat!(stream!(), stream!()), 1, 1);
one!(three_by_two, ThreeByTwo, "", ahead!("prefetcht0", "next_b", 16), 3, 2);
one!(three_by_three, ThreeByThree, "", ahead!("prefetcht0", "next_b", 32), 3, 3);

// Behind the macros that it uses.
mod two;

pub(super) use two::two_panels;

/// A function for some parts.
type PanelFn = unsafe fn(PanelArgs);

/// # Safety
/// As [`panel`](super::panel).
pub(super) unsafe fn panel(args: PanelArgs) {
    let (tiles, of_tile) = (args.tiles(), args.of_tile());
    assert!(tiles > 0 && args.steps > 0, "a product of something");
    // SAFETY: as the caller says; tiles that are no pair stand behind the pairs, or by themselves.
    unsafe {
        assert!(args.a_stride >= of_tile, "tiles beside each other");
        let (pairs, one): (PanelFn, PanelFn) = match args.parts {
            Parts::ThreeByOne => {
                return match tiles {
                    1..=FEW => three_by_one_of_few(args),
                    _ => three_by_one(args),
                };
            }
            Parts::OneByOne if args.sums.first.is_null() => (one_by_one_pairs, one_by_one),
            Parts::OneByOne => (one_by_one_pairs_and_sums, one_by_one),
            Parts::ThreeByTwo => (three_by_two_pairs, three_by_two),
            Parts::ThreeByThree => (three_by_three_pairs, three_by_three),
        };
        // A few tiles that do not follow each other are taken one at a time: what they wait for are weights from memory.
        let in_pairs = args.a_stride == of_tile || tiles > FEW;
        let even = if in_pairs { tiles / 2 * 2 } else { 0 };
        if even > 0 {
            pairs(PanelArgs { rows: even * ROWS, ..args });
        }
        for tile in even..tiles {
            let (a, c) = (args.a.add(tile * args.a_stride), args.c.add(tile * ROWS * args.c_stride));
            one(PanelArgs { rows: ROWS.min(args.rows - tile * ROWS), a, c, ..args });
        }
    }
}
