//! Small products of operands at strides, as attention makes them, by tiles: both sides are brought into tiles first.

#![allow(unsafe_code)]

use std::cell::RefCell;

use super::super::aligned::Aligned;
use super::super::layout::MatrixLayout;
use super::product::{PanelArgs, Parts, panel};
use super::split::{PARTS, split_panel, split_row};
use super::{ROWS, STEP, Unit, WIDTH};

/// What one thread works in.
#[derive(Default)]
struct Scratch {
    a: Aligned<u16>,
    wide: Aligned<f32>,
    b: Aligned<u32>,
    sums: Aligned<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// `c = a · b`, or with `resume` `c += a · b`, of numbers of f32; shapes are those of a product whose columns are whole panels.
pub(in super::super) fn multiply(
    unit: Unit,
    (a, a_shape): (&[f32], MatrixLayout),
    (b, b_shape): (&[f32], MatrixLayout),
    c: (&mut [f32], MatrixLayout),
    resume: bool,
) {
    let depth = a_shape.columns;
    let row = |row: usize, between: usize, out: &mut [u16]| {
        split_row(&a[row * a_shape.stride..][..depth], PARTS, between, out);
    };
    let columns = |first: usize, wide: &mut Aligned<f32>, out: &mut [u32]| {
        let wide = &mut wide.reserve(depth * WIDTH)[..depth * WIDTH];
        for (k, wide) in wide.chunks_exact_mut(WIDTH).enumerate() {
            wide.copy_from_slice(&b[k * b_shape.stride + first..][..WIDTH]);
        }
        split_panel(wide, PARTS, out);
    };
    product(unit, Parts::ThreeByThree, depth, (row, columns), c, resume);
}

/// The same of pairs of bf16 numbers: shapes count pairs.
pub(in super::super) fn multiply_pairs(
    unit: Unit,
    (a, a_shape): (&[u32], MatrixLayout),
    (b, b_shape): (&[u32], MatrixLayout),
    c: (&mut [f32], MatrixLayout),
    resume: bool,
) {
    let depth = a_shape.columns;
    let row = |row: usize, between: usize, out: &mut [u16]| {
        for (step, pairs) in a[row * a_shape.stride..][..depth].chunks(STEP / 2).enumerate() {
            let out = &mut out[step * between..][..STEP];
            let (own, rest) = out.split_at_mut(2 * pairs.len());
            own.copy_from_slice(bytemuck::cast_slice(pairs));
            rest.fill(0);
        }
    };
    let columns = |first: usize, _: &mut Aligned<f32>, out: &mut [u32]| {
        let (own, rest) = out.split_at_mut(depth * WIDTH);
        for (k, out) in own.chunks_exact_mut(WIDTH).enumerate() {
            out.copy_from_slice(&b[k * b_shape.stride + first..][..WIDTH]);
        }
        rest.fill(0);
    };
    product(unit, Parts::OneByOne, 2 * depth, (row, columns), c, resume);
}

/// A product of `depth` numbers of K. `row` brings a row of the left side into tiles whose parts are `between` apart, `columns`
/// those of a panel of the right side.
fn product(
    unit: Unit,
    parts: Parts,
    depth: usize,
    (row, columns): (impl Fn(usize, usize, &mut [u16]), impl Fn(usize, &mut Aligned<f32>, &mut [u32])),
    (c, c_shape): (&mut [f32], MatrixLayout),
    resume: bool,
) {
    let MatrixLayout { rows, stride, .. } = c_shape;
    if rows == 0 || depth == 0 {
        if !resume {
            c.chunks_mut(stride.max(1)).take(rows).for_each(|row| row[..c_shape.columns].fill(0.0));
        }
        return;
    }
    let [of_a, of_b] = parts.counts();
    let steps = depth.div_ceil(STEP);
    let tiles = if rows <= ROWS { 1 } else { 2 };
    let in_group = tiles * ROWS;
    let (groups, whole) = (rows.div_ceil(in_group), rows / in_group);
    let (group, between) = (steps * of_a * in_group * STEP, in_group * STEP);
    SCRATCH.with_borrow_mut(|Scratch { a, wide, b, sums }| {
        let a = &mut a.reserve(groups * group)[..groups * group];
        for at in 0..rows {
            row(at, between, &mut a[at / in_group * group + at % in_group * STEP..]);
        }
        let words = steps * of_b * STEP / 2 * WIDTH;
        let b = &mut b.reserve(words)[..words];
        let sums = &mut sums.reserve(in_group * WIDTH)[..in_group * WIDTH];
        for first in (0..c_shape.columns).step_by(WIDTH) {
            columns(first, wide, b);
            let args = PanelArgs {
                parts,
                tiles,
                groups: whole,
                rows: whole * in_group,
                steps,
                a: a.as_ptr(),
                a_gap: 0,
                b: b.as_ptr(),
                c: std::ptr::null_mut(),
                c_stride: stride,
                resume,
            };
            if whole > 0 {
                let last = (whole * in_group - 1) * stride + first + WIDTH;
                let own = &mut c[first..last];
                // SAFETY: as below, but the sums are `own`: the columns of this panel in `whole` groups of rows, at their stride.
                unsafe { panel(unit, PanelArgs { c: own.as_mut_ptr(), ..args }) }
            }
            let left = rows - whole * in_group;
            if left > 0 {
                let own = |row: usize| (whole * in_group + row) * stride + first;
                for (row, sums) in sums.chunks_exact_mut(WIDTH).take(left).enumerate().filter(|_| resume) {
                    sums.copy_from_slice(&c[own(row)..][..WIDTH]);
                }
                let a = &a[whole * group..];
                assert_eq!((a.len(), b.len()), (group, words), "what is left is a group");
                let args = PanelArgs {
                    groups: 1,
                    rows: left,
                    a: a.as_ptr(),
                    c: sums.as_mut_ptr(),
                    c_stride: WIDTH,
                    ..args
                };
                // SAFETY: whoever calls has tiles if they are the processor's. `a` holds a group of rows of `steps` steps and
                // `of_a` parts, `b` as many steps of `of_b` parts, `sums` a group of rows. Tested against sums in f64.
                unsafe { panel(unit, args) }
                for (row, sums) in sums.chunks_exact(WIDTH).take(left).enumerate() {
                    c[own(row)..][..WIDTH].copy_from_slice(sums);
                }
            }
        }
    });
}
