//! The walk over tiles in assembly, since stable Rust has no tile registers.

#![allow(unsafe_code)]

use std::arch::asm;

use super::{FEW, PanelArgs, Parts, ROWS, STEP};

/// How large the registers are, in rows of 64 bytes.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    zero: [u8; 14],
    bytes_of_row: [u16; 16],
    rows: [u8; 16],
}

impl Configuration {
    /// Registers up to number `last` of `rows` rows, those behind of 16.
    const fn new(rows: usize, last: usize) -> Self {
        let mut of_register = [0; 16];
        let mut register = 0;
        while register < 8 {
            of_register[register] = if register <= last { rows as u8 } else { ROWS as u8 };
            register += 1;
        }
        let bytes_of_row = [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0];
        Self { palette: 1, start_row: 0, zero: [0; 14], bytes_of_row, rows: of_register }
    }

    /// One for each number of rows up to 16.
    const fn of_few(last: usize) -> [Self; ROWS] {
        let mut all = [const { Self::new(ROWS, 7) }; ROWS];
        let mut rows = 1;
        while rows < ROWS {
            all[rows - 1] = Self::new(rows, last);
            rows += 1;
        }
        all
    }
}

/// All eight registers are whole tiles.
static WHOLE_TILES: Configuration = Configuration::new(ROWS, 7);
/// Sums and activations of fewer rows than a tile has, 1 × 4 tiles of sums: what is not there is neither read nor multiplied, so that
/// there is time and room for weights.
static FEW_OF_FOUR: [Configuration; ROWS] = Configuration::of_few(6);
/// The same for 1 × 2 tiles of sums.
static FEW_OF_TWO: [Configuration; ROWS] = Configuration::of_few(5);

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

/// Asks for so many lines from `$next` on: for the first cache, or for the second where the first one holds what is multiplied.
macro_rules! ahead {
    ($next:literal, $lines:literal) => {
        ahead!("prefetcht1", $next, $lines)
    };
    ($instruction:literal, $next:literal, $lines:literal) => {
        concat!(".rept ", $lines, "\n", $instruction, " [{", $next, "}]\nadd {", $next, "}, 64\n.endr\n")
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
/// step and `$ahead` in each tile of columns.
macro_rules! wide {
    ($name:ident, $begin:literal, $ahead:expr) => {
        /// # Safety
        /// As [`panel`](super::panel), for three parts by one.
        unsafe fn $name(args: PanelArgs) {
            // SAFETY: the caller vouches for tiles and for the memory that is read and written; all tile registers are named as
            // changed, and the code leaves the stack alone. The configuration holds for this piece of code alone.
            unsafe {
                asm!(
                    "ldtilecfg [{b}]",
                    "2:",
                    "mov {b}, {panel}",
                    "test {resume}, {resume}",
                    "jnz 3f",
                    "tilezero tmm0\ntilezero tmm1\ntilezero tmm2\ntilezero tmm3",
                    "jmp 4f",
                    "3:",
                    "tileloadd tmm0, [{c} + {c_line}*1]\ntileloadd tmm1, [{c} + {c_line}*1 + 64]",
                    "tileloadd tmm2, [{c} + {c_line}*1 + 128]\ntileloadd tmm3, [{c} + {c_line}*1 + 192]",
                    "4:",
                    "mov {n}, {steps}",
                    "5:",
                    $begin,
                    $ahead,
                    rows!("a", 0, "tmm4"),
                    column!(4, 0, 0, "tmm7"),
                    "tdpbf16ps tmm0, tmm4, tmm7",
                    rows!("a", 1, "tmm5"),
                    "tdpbf16ps tmm0, tmm5, tmm7",
                    rows!("a", 2, "tmm6"),
                    "tdpbf16ps tmm0, tmm6, tmm7",
                    ahead!("next_a", 3),
                    $ahead,
                    three!(1),
                    $ahead,
                    three!(2),
                    $ahead,
                    three!(3),
                    "add {a}, 3072",
                    "add {b}, 4096",
                    "dec {n}",
                    "jnz 5b",
                    "tilestored [{c} + {c_line}*1], tmm0\ntilestored [{c} + {c_line}*1 + 64], tmm1",
                    "tilestored [{c} + {c_line}*1 + 128], tmm2\ntilestored [{c} + {c_line}*1 + 192], tmm3",
                    "lea {c}, [{c} + {c_line}*8]\nlea {c}, [{c} + {c_line}*8]",
                    "add {a}, {gap}",
                    "dec {tiles}",
                    "jnz 2b",
                    "tilerelease",
                    a = inout(reg) args.a => _,
                    b = inout(reg) &raw const FEW_OF_FOUR[args.rows.min(ROWS) - 1] => _,
                    c = inout(reg) args.c => _,
                    tiles = inout(reg) args.tiles() => _,
                    n = out(reg) _,
                    panel = in(reg) args.b,
                    steps = in(reg) args.steps,
                    resume = in(reg) u64::from(args.resume),
                    gap = in(reg) (args.a_stride - args.of_tile()) * size_of::<u16>(),
                    row = in(reg) STEP * size_of::<u16>(),
                    c_line = in(reg) args.c_stride * size_of::<f32>(),
                    next_a = inout(reg) args.next[0] => _,
                    next_b = inout(reg) args.next[1] => _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                )
            }
        }
    };
}

wide!(three_by_one_of_few, "lea {next_b}, [{b} + 4096]", stream!());
wide!(three_by_one, "", ahead!("next_b", 2));

/// A function for pairs of tiles of rows and panels of two tiles, which asks for so many lines of activations and of weights in
/// a step.
macro_rules! pairs {
    ($name:ident, $parts:ident, $a:literal, $b:literal, $of_a:literal, $of_b:literal) => {
        /// # Safety
        /// As [`panel`](super::panel), for these parts and an even number of tiles that follow each other.
        unsafe fn $name(args: PanelArgs) {
            // SAFETY: as above.
            unsafe {
                asm!(
                    "ldtilecfg [{b}]",
                    "2:",
                    "mov {b}, {panel}",
                    "lea {n}, [{c} + {c_line}*8]\nlea {n}, [{n} + {c_line}*8]",
                    "test {resume}, {resume}",
                    "jnz 3f",
                    "tilezero tmm0\ntilezero tmm1\ntilezero tmm2\ntilezero tmm3",
                    "jmp 4f",
                    "3:",
                    "tileloadd tmm0, [{c} + {c_line}*1]\ntileloadd tmm1, [{c} + {c_line}*1 + 64]",
                    "tileloadd tmm2, [{n} + {c_line}*1]\ntileloadd tmm3, [{n} + {c_line}*1 + 64]",
                    "4:",
                    "mov {n}, {steps}",
                    "5:",
                    ahead!("next_a", $a),
                    step!(pair, $parts),
                    ahead!("next_b", $b),
                    concat!("add {a}, 1024*", $of_a, "\nadd {a2}, 1024*", $of_a),
                    concat!("add {b}, 2048*", $of_b),
                    "dec {n}",
                    "jnz 5b",
                    "lea {n}, [{c} + {c_line}*8]\nlea {n}, [{n} + {c_line}*8]",
                    "tilestored [{c} + {c_line}*1], tmm0\ntilestored [{c} + {c_line}*1 + 64], tmm1",
                    "tilestored [{n} + {c_line}*1], tmm2\ntilestored [{n} + {c_line}*1 + 64], tmm3",
                    "lea {c}, [{n} + {c_line}*8]\nlea {c}, [{c} + {c_line}*8]",
                    // The next pair: `a` and `a2` are at the ends of their tiles.
                    "xchg {a}, {a2}\nneg {a2}\nlea {a2}, [{a2} + {a}*2]",
                    "dec {pairs}",
                    "jnz 2b",
                    "tilerelease",
                    a = inout(reg) args.a => _,
                    a2 = inout(reg) args.a.wrapping_add(args.of_tile()) => _,
                    b = inout(reg) &raw const WHOLE_TILES => _,
                    c = inout(reg) args.c => _,
                    pairs = inout(reg) args.tiles() / 2 => _,
                    n = out(reg) _,
                    panel = in(reg) args.b,
                    steps = in(reg) args.steps,
                    resume = in(reg) u64::from(args.resume),
                    row = in(reg) STEP * size_of::<u16>(),
                    c_line = in(reg) args.c_stride * size_of::<f32>(),
                    next_a = inout(reg) args.next[0] => _,
                    next_b = inout(reg) args.next[1] => _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                )
            }
        }
    };
}

pairs!(one_by_one_pairs, OneByOne, 2, 4, 1, 1);
pairs!(three_by_two_pairs, ThreeByTwo, 6, 2, 3, 2);
pairs!(three_by_three_pairs, ThreeByThree, 6, 4, 3, 3);

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
            Parts::OneByOne => (one_by_one_pairs, one_by_one),
            Parts::ThreeByTwo => (three_by_two_pairs, three_by_two),
            Parts::ThreeByThree => (three_by_three_pairs, three_by_three),
        };
        let is_close = args.a_stride == of_tile;
        assert!(is_close || tiles <= FEW, "tiles that follow each other");
        let even = if is_close { tiles / 2 * 2 } else { 0 };
        if even > 0 {
            pairs(PanelArgs { rows: even * ROWS, ..args });
        }
        for tile in even..tiles {
            let (a, c) = (args.a.add(tile * args.a_stride), args.c.add(tile * ROWS * args.c_stride));
            one(PanelArgs { rows: ROWS.min(args.rows - tile * ROWS), a, c, ..args });
        }
    }
}
