//! The products of a row with sixteen columns twice, in assembly: what is flushed is a matter of a control word that compilers know
//! nothing of.

#![allow(unsafe_code)]

use std::arch::asm;

use half::f16;

use super::super::{STEP, WIDTH};
use super::{Parted, Walk};

/// Flushes what is below the least normal number, before and after, rounds to the nearest and raises nothing.
static FLUSHING: u32 = 0x9fc0;

/// A part of what is in zmm24 into register `$to`, which leaves the rest in zmm24.
macro_rules! part {
    ($to:literal) => {
        concat!(
            "vcvtneps2bf16 ymm",
            $to,
            ", zmm24\n",
            "vpmovzxwd zmm",
            $to,
            ", ymm",
            $to,
            "\n",
            "vpslld zmm",
            $to,
            ", zmm",
            $to,
            ", 16\n",
            "vsubps zmm24, zmm24, zmm",
            $to,
            "\n",
        )
    };
}

/// Part `$p` of number `$k` of the row, times the register `$w`, added to `$sum`.
macro_rules! add {
    ($sum:literal, $w:literal, $k:literal, $p:literal) => {
        concat!(
            "vfmadd231ps zmm",
            $sum,
            ", zmm",
            $w,
            ", dword ptr [{x} + 12*",
            $k,
            " + 4*",
            $p,
            "]{{1to16}}\n"
        )
    };
}

/// Sixteen columns of number `$k`, `$at` bytes from where weights are, and where their sums are.
macro_rules! columns {
    (f32, $at:literal, $k:literal, [$a:literal, $b:literal, $c:literal, $d:literal, $e:literal, $f:literal]) => {
        concat!(
            "vmovups zmm24, [{w} + ",
            $at,
            "]\n",
            part!(25),
            part!(26),
            add!($a, 25, $k, 0),
            add!($b, 25, $k, 1),
            add!($c, 25, $k, 2),
            add!($d, 26, $k, 0),
            add!($e, 26, $k, 1),
            add!($f, 24, $k, 0),
        )
    };
    (f16, $at:literal, $k:literal, [$a:literal, $b:literal, $c:literal, $d:literal, $e:literal, $f:literal]) => {
        concat!(
            "vcvtph2ps zmm24, ymmword ptr [{w} + ",
            $at,
            "]\n",
            part!(25),
            add!($a, 25, $k, 0),
            add!($b, 25, $k, 1),
            add!($c, 25, $k, 2),
            add!($d, 24, $k, 0),
            add!($e, 24, $k, 1),
        )
    };
}

/// What a step has for a pair of parts: even and odd sums of both halves of the columns, which are added and begin anew.
macro_rules! gather {
    ($($even:literal $odd:literal $even_high:literal $odd_high:literal),*) => {
        concat!($(
            "vaddps zmm", $even, ", zmm", $even, ", zmm", $odd, "\n",
            "vaddps zmm", $even_high, ", zmm", $even_high, ", zmm", $odd_high, "\n",
            "vaddps zmm30, zmm30, zmm", $even, "\n",
            "vaddps zmm31, zmm31, zmm", $even_high, "\n",
        )*)
    };
}

macro_rules! clear {
    ($($register:literal)*) => {
        concat!($("vpxord zmm", $register, ", zmm", $register, ", zmm", $register, "\n",)*)
    };
}

macro_rules! walk {
    ($number:ty, $form:ident, $high:literal, $odd:literal, $odd_high:literal, $next:literal, $ahead:expr) => {
        impl Walk for $number {
            unsafe fn walk(row: &[[Parted; STEP]], numbers: &[[Self; STEP * WIDTH]], sums: &mut [f32; WIDTH]) {
                let mut control = 0u32;
                // SAFETY: the caller vouches for the instructions and for as many steps on both sides; of each `x` and `w` go over
                // 32 numbers and rows of 32. Vector registers are named as changed, the control word is put back, and the code leaves
                // the stack alone.
                unsafe {
                    asm!(
                        "stmxcsr [{control}]",
                        "ldmxcsr [{flushing}]",
                        "vmovups zmm30, [{sums}]",
                        "vmovups zmm31, [{sums} + 64]",
                        "2:",
                        clear!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23),
                        "mov {pairs:e}, 16",
                        "3:",
                        $ahead,
                        columns!($form, 0, 0, [0, 1, 2, 3, 4, 5]),
                        columns!($form, $high, 0, [6, 7, 8, 9, 10, 11]),
                        columns!($form, $odd, 1, [12, 13, 14, 15, 16, 17]),
                        columns!($form, $odd_high, 1, [18, 19, 20, 21, 22, 23]),
                        "add {x}, 24",
                        concat!("add {w}, ", $next),
                        "dec {pairs:e}",
                        "jnz 3b",
                        // By the parts of weights, and of each by those of the row.
                        gather!(0 12 6 18, 1 13 7 19, 2 14 8 20, 3 15 9 21, 4 16 10 22, 5 17 11 23),
                        "dec {steps}",
                        "jnz 2b",
                        "vmovups [{sums}], zmm30",
                        "vmovups [{sums} + 64], zmm31",
                        "ldmxcsr [{control}]",
                        control = in(reg) &raw mut control,
                        flushing = in(reg) &raw const FLUSHING,
                        x = inout(reg) row.as_ptr() => _,
                        w = inout(reg) numbers.as_ptr() => _,
                        sums = in(reg) sums.as_mut_ptr(),
                        steps = inout(reg) numbers.len() => _,
                        pairs = out(reg) _,
                        out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                        out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                        out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
                        out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
                        out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm30") _, out("zmm31") _,
                        options(nostack),
                    )
                }
            }
        }
    };
}

/// Asks for a line of weights: far ahead for the second cache, near for the first one.
macro_rules! ahead {
    ($($line:literal)*) => {
        concat!($("prefetcht1 [{w} + 16384 + ", $line, "]\nprefetcht0 [{w} + 2048 + ", $line, "]\n",)*)
    };
}

// In a turn two rows of 32 numbers each, and as much is asked for.
walk!(f32, f32, 64, 128, 192, 256, ahead!(0 64 128 192));
walk!(f16, f16, 32, 64, 96, 128, ahead!(0 64));
