//! Products of few rows, for which weights come from memory once: of f16 and f32 they are split on the way.

#![allow(unsafe_code)]

use std::ops::Range;

use half::f16;

use super::super::super::Store;
use super::super::super::isa::Operands;
use super::super::super::output::BlockRows;
use super::super::few;
use super::super::product::{Ahead, PanelArgs, few_rows};
use super::super::rows::{Parted, SplitRows};
use super::super::{CUT, ROWS, STEP, WIDTH};
use super::{SCRATCH, Scratch, TileWeight};

impl TileWeight {
    /// Some columns of a row that is alone.
    pub(super) fn multiply_by_vectors(
        &self,
        x: &[Parted],
        columns: Range<usize>,
        store: Store,
        y: &mut BlockRows<'_>,
    ) {
        for first in columns.clone().step_by(WIDTH) {
            let mut sums = [0.0; WIDTH];
            self.panels.with_part(first / WIDTH, 0, self.panels.columns, |numbers| {
                match self.panels.operands() {
                    Operands::F16 => few::add_products::<f16>(x, bytemuck::cast_slice(numbers), &mut sums),
                    _ => few::add_products::<f32>(x, bytemuck::cast_slice(numbers), &mut sums),
                }
            });
            y.put(store, first - columns.start, WIDTH.min(columns.end - first), &sums, WIDTH);
        }
    }

    /// A block of tiles of rows that are [`FEW`], with weights that are split for them: two panels at a time, since with fewer sums
    /// each product waits for the one before.
    pub(super) fn multiply_few(
        &self,
        x: &SplitRows,
        (rows, columns): (Range<usize>, Range<usize>),
        store: Store,
        y: &mut BlockRows<'_>,
    ) {
        /// What two panels have there in parts stays in the first cache.
        const PART: usize = CUT / 4;
        let (depth, [of_x, of_w]) = (self.panels.columns, self.parts.counts());
        let tiles = rows.len().div_ceil(ROWS);
        let of_panel = tiles * ROWS * WIDTH;
        SCRATCH.with_borrow_mut(|Scratch { sums, split }| {
            let sums = &mut sums.reserve(2 * of_panel)[..2 * of_panel];
            for begin in columns.clone().step_by(2 * WIDTH) {
                let end = columns.end.min(begin + 2 * WIDTH);
                let panels = (end - begin).div_ceil(WIDTH);
                if depth == 0 {
                    sums.fill(0.0);
                }
                for from in (0..depth).step_by(PART) {
                    let count = PART.min(depth - from);
                    let steps = count.div_ceil(STEP);
                    let words = steps * of_w * STEP / 2 * WIDTH;
                    let split = &mut split.reserve(2 * words)[..2 * words];
                    for (panel, split) in (begin / WIDTH..).zip(split.chunks_exact_mut(words).take(panels)) {
                        self.split(panel, from, count, split);
                    }
                    let (a, a_stride) = x.part(rows.start, from);
                    assert!(
                        a.len() >= (tiles - 1) * a_stride + steps * of_x * ROWS * STEP,
                        "a part of the rows"
                    );
                    let args = PanelArgs {
                        parts: self.parts,
                        rows: rows.len(),
                        steps,
                        a: a.as_ptr(),
                        a_stride,
                        b: split.as_ptr(),
                        c: sums.as_mut_ptr(),
                        c_stride: WIDTH,
                        resume: from > 0,
                        next: [a.as_ptr().cast(), self.panels.stored(begin / WIDTH, from)],
                        sums: Ahead::NOTHING,
                    };
                    // SAFETY: as in `block`, for as many panels as there are parts and sums of.
                    unsafe { few_rows(self.unit, args, panels) }
                }
                y.put_panels(store, begin - columns.start, end - begin, (sums, of_panel), WIDTH);
            }
        });
    }
}
