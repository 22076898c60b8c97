//! A few tiles of rows with two panels at a time: four tiles of sums, so that no product waits for the one before.

#![allow(unsafe_code)]

use std::arch::asm;

use super::super::{PanelArgs, Parts, ROWS, STEP};
use super::FEW_OF_TWO;

/// A step of a panel, whose sums are two registers and whose weights are at `$b`.
macro_rules! of_panel {
    ($b:literal, $low:literal, $high:literal, [$($q:literal: $($p:literal)*),*]) => {
        concat!($(
            "tileloadd tmm6, [{", $b, "} + {row}*2 + 2048*", $q, "]\n",
            "tileloadd tmm7, [{", $b, "} + {row}*2 + 2048*", $q, " + 64]\n",
            $(
                rows!("a", $p, "tmm4"),
                "tdpbf16ps ", $low, ", tmm4, tmm6\n",
                "tdpbf16ps ", $high, ", tmm4, tmm7\n",
            )*
        )*)
    };
}

/// A function for a tile of rows and two panels.
macro_rules! two {
    ($name:ident, $of_b:literal, $products:tt) => {
        /// # Safety
        /// As [`two_panels`], for these parts and one tile.
        unsafe fn $name(args: PanelArgs, b2: *const u32, c2: *mut f32) {
            // SAFETY: as above.
            unsafe {
                asm!(
                    "ldtilecfg [{configuration}]",
                    "test {resume}, {resume}",
                    "jnz 3f",
                    "tilezero tmm0\ntilezero tmm1\ntilezero tmm2\ntilezero tmm3",
                    "jmp 4f",
                    "3:",
                    "tileloadd tmm0, [{c} + {c_line}*1]\ntileloadd tmm1, [{c} + {c_line}*1 + 64]",
                    "tileloadd tmm2, [{c2} + {c_line}*1]\ntileloadd tmm3, [{c2} + {c_line}*1 + 64]",
                    "4:",
                    of_panel!("b", "tmm0", "tmm1", $products),
                    of_panel!("b2", "tmm2", "tmm3", $products),
                    "add {a}, 1024*3",
                    concat!("add {b}, 2048*", $of_b, "\nadd {b2}, 2048*", $of_b),
                    "dec {n}",
                    "jnz 4b",
                    "tilestored [{c} + {c_line}*1], tmm0\ntilestored [{c} + {c_line}*1 + 64], tmm1",
                    "tilestored [{c2} + {c_line}*1], tmm2\ntilestored [{c2} + {c_line}*1 + 64], tmm3",
                    "tilerelease",
                    configuration = in(reg) &raw const FEW_OF_TWO[args.rows - 1],
                    a = inout(reg) args.a => _,
                    b = inout(reg) args.b => _,
                    b2 = inout(reg) b2 => _,
                    c = in(reg) args.c,
                    c2 = in(reg) c2,
                    n = inout(reg) args.steps => _,
                    resume = in(reg) u64::from(args.resume),
                    row = in(reg) STEP * size_of::<u16>(),
                    c_line = in(reg) args.c_stride * size_of::<f32>(),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                )
            }
        }
    };
}

two!(three_by_two_twice, 2, [0: 0 1 2, 1: 0 1]);
two!(three_by_three_twice, 3, [0: 0 1 2, 1: 0 1, 2: 0]);

/// # Safety
/// As [`panel`](super::super::panel), for two panels, the second so many numbers of weights and of sums behind the first.
pub(in super::super) unsafe fn two_panels(args: PanelArgs, of_weights: usize, of_sums: usize) {
    assert!(args.a_stride >= args.of_tile() && args.steps > 0, "tiles beside each other");
    let two: unsafe fn(PanelArgs, *const u32, *mut f32) = match args.parts {
        Parts::ThreeByTwo => three_by_two_twice,
        Parts::ThreeByThree => three_by_three_twice,
        parts => unreachable!("two panels of {parts:?}"),
    };
    // SAFETY: as the caller says.
    unsafe {
        for tile in 0..args.tiles() {
            let (a, c) = (args.a.add(tile * args.a_stride), args.c.add(tile * ROWS * args.c_stride));
            let rows = ROWS.min(args.rows - tile * ROWS);
            two(PanelArgs { rows, a, c, ..args }, args.b.add(of_weights), c.add(of_sums));
        }
    }
}
