//! Tests of the assembly itself on processors that do not know its instructions: each one traps, is decoded and carried out
//! over tiles in plain Rust, and the program goes on behind it. On processors that have tiles they run it themselves.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::sync::Once;

use ndarray::Array2;

use super::detect::has_tiles;
use super::product::{Ahead, PanelArgs, Parts, panel};
use super::software::{WORDS, add_product};
use super::{ROWS, STEP, TileWeight, Unit, WIDTH};
use crate::kernels::{Isa, Store, StoredMatrix, Weight};
use crate::weights::Dtype;

/// What the registers of a thread hold, in words.
struct Tiles {
    configured: bool,
    /// Rows of each register.
    rows: [usize; 8],
    registers: [[[u32; WORDS]; ROWS]; 8],
    /// Products and loads that were carried out.
    done: [u64; 2],
}

thread_local! {
    static TILES: UnsafeCell<Tiles> =
        const { UnsafeCell::new(Tiles { configured: false, rows: [0; 8], registers: [[[0; WORDS]; ROWS]; 8], done: [0; 2] }) };
}

/// Lets programs use tiles, by traps if need be.
fn install() {
    static ONCE: Once = Once::new();
    if has_tiles() {
        return;
    }
    ONCE.call_once(|| {
        // SAFETY: a handler with the signature that SA_SIGINFO asks for; it touches its own thread's state alone.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = carry_out as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            assert_eq!(libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()), 0);
        }
    });
}

extern "C" fn carry_out(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system gives the context of the thread that stopped; its instruction pointer is valid for an instruction.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let at = registers[libc::REG_RIP as usize] as *const u8;
        match TILES.with(|tiles| step(&mut *tiles.get(), at, registers)) {
            Some(length) => registers[libc::REG_RIP as usize] += length,
            // Another illegal instruction: it stops the program, as it would have.
            None => {
                libc::signal(libc::SIGILL, libc::SIG_DFL);
            }
        }
    }
}

/// Carries out one instruction and returns its length; `None` for what is no instruction of tiles.
unsafe fn step(tiles: &mut Tiles, at: *const u8, registers: &[i64]) -> Option<i64> {
    /// General registers in the order of their numbers.
    const ORDER: [libc::c_int; 16] = [
        libc::REG_RAX,
        libc::REG_RCX,
        libc::REG_RDX,
        libc::REG_RBX,
        libc::REG_RSP,
        libc::REG_RBP,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
    ];
    let general = |number: u8| registers[ORDER[usize::from(number)] as usize];
    // SAFETY: the longest of these instructions has ten bytes, and code of this program follows every one.
    let code = unsafe { std::slice::from_raw_parts(at, 10) };
    // VEX of three bytes, opcodes of the second map, no W, 128 bits.
    if code[0] != 0xc4 || code[1] & 0x1f != 2 || code[2] & 0x84 != 0 {
        return None;
    }
    let (extended_x, extended_b) = (!code[1] >> 6 & 1, !code[1] >> 5 & 1);
    let (second, prefix, opcode, modrm) = (usize::from(!code[2] >> 3 & 15), code[2] & 3, code[3], code[4]);
    let (mode, register, low) = (modrm >> 6, usize::from(modrm >> 3 & 7), modrm & 7);
    if mode == 3 {
        match (opcode, prefix) {
            // TILERELEASE
            (0x49, 0) if modrm == 0xc0 => tiles.configured = false,
            // TILEZERO
            (0x49, 3) => tiles.registers[register] = [[0; WORDS]; ROWS],
            // TDPBF16PS
            (0x5c, 2) => {
                assert!(tiles.configured && register != usize::from(low) && register != second);
                let mut b = [0; ROWS * WIDTH];
                for (line, row) in b.chunks_exact_mut(WIDTH).zip(&tiles.registers[second]) {
                    line[..WORDS].copy_from_slice(row);
                }
                let low_rows = tiles.rows[usize::from(low)];
                assert!(
                    tiles.rows[register] == low_rows && tiles.rows[second] == ROWS,
                    "shapes of a product"
                );
                let mut sums = tiles.registers[register].map(|row| row.map(f32::from_bits));
                add_product(&mut sums, tiles.registers[usize::from(low)].as_flattened(), &b, WIDTH);
                tiles.registers[register] = sums.map(|row| row.map(f32::to_bits));
                tiles.done[0] += 1;
            }
            _ => return None,
        }
        return Some(5);
    }
    let (base, stride, mut length) = if low == 4 {
        let sib = code[5];
        assert!(sib & 7 != 5 || mode != 0, "a base register");
        let index = (sib >> 3 & 7) | extended_x << 3;
        let stride = if index == 4 { 0 } else { general(index) << (sib >> 6) };
        (general(sib & 7 | extended_b << 3), stride, 6)
    } else {
        assert!(low != 5 || mode != 0, "no address from the instruction pointer");
        (general(low | extended_b << 3), 0, 5)
    };
    let away = match mode {
        1 => i64::from(code[length] as i8),
        2 => i64::from(i32::from_le_bytes(code[length..length + 4].try_into().expect("four bytes"))),
        _ => 0,
    };
    length += [0, 1, 4][usize::from(mode)];
    let row = |row: usize| (base + away + stride * row as i64) as *mut [u32; WORDS];
    // SAFETY: what the instruction would read and write itself.
    unsafe {
        match (opcode, prefix) {
            // LDTILECFG: whole rows are the only configuration.
            (0x49, 0) => {
                let bytes = std::slice::from_raw_parts(row(0).cast::<u8>(), 64);
                assert_eq!(bytes[..16], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                assert!(
                    bytes[16..32].as_chunks::<2>().0.iter().all(|&bytes| u16::from_le_bytes(bytes) == 64)
                );
                assert!(
                    bytes[32..48].iter().all(|&byte| byte == 0) && bytes[56..].iter().all(|&byte| byte == 0)
                );
                tiles.rows = std::array::from_fn(|register| usize::from(bytes[48 + register]));
                assert!(tiles.rows.iter().all(|rows| (1..=ROWS).contains(rows)));
                tiles.configured = true;
                tiles.registers = [[[0; WORDS]; ROWS]; 8];
            }
            // TILELOADD
            (0x4b, 3) => {
                assert!(tiles.configured);
                for (at, words) in tiles.registers[register].iter_mut().enumerate().take(tiles.rows[register])
                {
                    *words = row(at).read_unaligned();
                }
                tiles.done[1] += 1;
            }
            // TILESTORED
            (0x4b, 2) => {
                assert!(tiles.configured);
                for (at, words) in tiles.registers[register].iter().enumerate().take(tiles.rows[register]) {
                    row(at).write_unaligned(*words);
                }
            }
            _ => return None,
        }
    }
    Some(length as i64)
}

fn bits(count: usize, seed: u32) -> Vec<u16> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Numbers of bf16 from 2^-8 to 2^8 with both signs.
        ((state >> 16) as u16 & 0x80ff) | (0x3b00 + (state >> 28) as u16 * 0x80)
    };
    (0..count).map(next).collect()
}

const ALL: [Parts; 4] = [Parts::OneByOne, Parts::ThreeByOne, Parts::ThreeByTwo, Parts::ThreeByThree];

#[test]
fn assembly_walks_as_plain_rust_does() {
    install();
    for parts in ALL {
        let ([of_a, of_b], width) = (parts.counts(), parts.width());
        // Rows that take one tile, whole pairs, one more, and as many as another function is for; gaps where there may be some.
        for (rows, steps, more, gap) in [
            (16, 1, 0, 0),
            (5, 2, 16, 0),
            (33, 2, 0, 32),
            (32, 3, 16, 0),
            (64, 2, 16, 512),
            (7 * ROWS, 1, 0, 0),
            (7 * ROWS, 2, 16, 512),
        ] {
            let (tiles, stride) = (rows.div_ceil(ROWS), width + more);
            let a_stride = steps * of_a * ROWS * STEP + gap;
            let a = bits(tiles * a_stride, 1);
            let b = bits(steps * of_b * STEP * width, 2);
            let b: Vec<u32> =
                b.as_chunks::<2>().0.iter().map(|[a, b]| u32::from(*a) | u32::from(*b) << 16).collect();
            // Whether places of sums are asked for, for which one product of parts has a function of its own.
            for (resume, asks) in [(false, false), (false, true), (true, false), (true, true)] {
                let run = |unit| {
                    let mut c = vec![1.5; tiles * ROWS * stride];
                    let (a, b, c_stride) = (a.as_ptr(), b.as_ptr(), stride);
                    let (c_start, next) = (c.as_mut_ptr(), [a.cast(), b.cast()]);
                    let sums = if asks { Ahead { first: c_start, stride } } else { Ahead::NOTHING };
                    let args = PanelArgs {
                        parts,
                        rows,
                        steps,
                        a,
                        a_stride,
                        b,
                        c: c_start,
                        c_stride,
                        resume,
                        next,
                        sums,
                    };
                    // SAFETY: vectors of the shapes that were just made; tiles are installed.
                    unsafe { panel(unit, args) }
                    c
                };
                let (found, expected) = (run(Unit::Hardware), run(Unit::Software));
                let own = rows * stride;
                assert_eq!(found[..own], expected[..own], "{parts:?} {rows} {steps} {resume} {asks}");
                assert!(found.chunks(stride).all(|row| row[width..].iter().all(|&gap| gap == 1.5)));
            }
        }
    }
}

#[test]
fn whole_products_are_the_same_by_both() {
    install();
    for (dtype, rounded) in
        [(Dtype::BF16, false), (Dtype::F16, false), (Dtype::F32, false), (Dtype::F32, true)]
    {
        let w = Array2::from_shape_fn((40, 70), |(i, j)| ((i * 37 + j * 11) % 101) as f32 / 50.7 - 1.0);
        let mut bytes = vec![0; dtype.bytes_for(w.len()).unwrap()];
        dtype.narrow(w.as_slice().unwrap(), &mut bytes).unwrap();
        let matrix = StoredMatrix::new(dtype, 40, 70, bytes).unwrap();
        // Few tiles of rows, and more.
        for rows in [35, 70] {
            let x = Array2::from_shape_fn((rows, 70), |(i, j)| ((i * 53 + j * 7) % 97) as f32 / 48.3 - 1.0);
            let run = |unit| {
                let weight = TileWeight::new(unit, Isa::SoftTiles, &matrix, rounded);
                let mut y = Array2::from_elem((rows, 40), f32::NAN);
                let activations = weight.activations(x.view());
                weight.block(&activations, 0..rows, 0..40, Store::Overwrite, y.view_mut());
                y
            };
            assert_eq!(run(Unit::Hardware), run(Unit::Software), "{dtype} {rounded} {rows}");
        }
    }
}

/// What a step costs: products keep the processor's tile unit busy for 16 cycles, loads its ports for 8.
#[test]
fn a_step_has_as_many_products_and_loads_as_it_is_meant_to() {
    if has_tiles() {
        return;
    }
    install();
    let expected = [(4, 4), (12, 7), (20, 14), (24, 18)];
    for (parts, (products, loads)) in ALL.into_iter().zip(expected) {
        // Whole products of four tiles.
        let rows = if parts == Parts::ThreeByOne { ROWS } else { 2 * ROWS };
        let (a, b) = (vec![0; 3 * rows * STEP], vec![0; 3 * STEP / 2 * parts.width()]);
        let mut c = vec![0.0; rows * parts.width()];
        let (a, b, c, next) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), [a.as_ptr().cast(); 2]);
        let (steps, a_stride, c_stride) = (1, parts.counts()[0] * ROWS * STEP, parts.width());
        let args = PanelArgs {
            parts,
            rows,
            steps,
            a,
            a_stride,
            b,
            c,
            c_stride,
            resume: false,
            next,
            sums: Ahead::NOTHING,
        };
        // SAFETY: nobody else reads or writes what this thread's registers hold, and nothing is borrowed while instructions trap.
        let done = || TILES.with(|tiles| unsafe { (*tiles.get()).done });
        let before = done();
        // SAFETY: vectors of that shape.
        unsafe { panel(Unit::Hardware, args) }
        let found = [0, 1].map(|at| done()[at] - before[at]);
        assert_eq!(found, [products, loads], "{parts:?}");
        assert_eq!(products, 4 * parts.products() as u64);
    }
}
