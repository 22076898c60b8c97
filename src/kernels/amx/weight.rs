//! The weight of a linear layer, multiplied by tiles.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::super::aligned::Aligned;
use super::super::block_panels::PIECE;
use super::super::isa::Operands;
use super::super::multiply::ROWS as BLOCK_ROWS;
use super::super::output::BlockRows;
use super::super::panels::Panels;
use super::super::{Activations, Isa, Store, StoredMatrix, Weight};
use super::product::{PanelArgs, Parts, panel};
use super::split::{SplitRows, split_panel};
use super::{ROWS, STEP, Unit, WIDTH};
use crate::weights::Dtype;

/// Columns after which sums go to memory and come back, with weights that are read as they lie: what a panel has there stays in
/// the first cache for all rows.
const CUT: usize = 512;
/// The same with weights that are split on the way: the pieces of ggml's blocks.
const SPLIT_CUT: usize = PIECE;
/// Rows of a block, at most, whose parts of a cut stay in the second cache: three of each number, or one.
const EXACT_ROWS: usize = 2 * BLOCK_ROWS;
/// The same of one part each, and of more where weights are split for them.
const MANY_ROWS: usize = 4 * BLOCK_ROWS;

/// A weight in panels of 32 columns: pairs of bf16 numbers as tiles read them, or any other type, of which a piece of a panel
/// is split at a time.
pub(in super::super) struct TileWeight {
    unit: Unit,
    panels: Panels,
    stored: Dtype,
    /// Whether both sides are rounded to bf16, which is all that is multiplied then.
    rounded: bool,
}

/// What one thread works in.
#[derive(Default)]
struct Scratch {
    sums: Aligned<f32>,
    wide: Aligned<f32>,
    split: Aligned<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl TileWeight {
    /// Packs a matrix, rounded to bf16 or exactly.
    pub(in super::super) fn new(unit: Unit, isa: Isa, matrix: &StoredMatrix<'_>, rounded: bool) -> Self {
        assert_eq!(isa.panel_width(), WIDTH, "two tiles");
        Self { unit, panels: Panels::of_tiles(matrix, isa, rounded, STEP), stored: matrix.dtype(), rounded }
    }

    /// Bytes in memory of a matrix in this form; `None` for more than can be counted.
    pub(in super::super) fn bytes_of(
        dtype: Dtype,
        rows: usize,
        columns: usize,
        rounded: bool,
    ) -> Option<u64> {
        Panels::tiles_bytes(dtype, rows, columns, rounded, WIDTH, STEP)
    }

    fn parts(&self) -> Parts {
        if self.rounded { Parts::OneByOne } else { Parts::exact(self.stored) }
    }

    /// Whether panels are what tiles read.
    fn is_paired(&self) -> bool {
        matches!(self.panels.operands(), Operands::Bf16Pairs)
    }

    /// Calls `work` with `[step][part][16 pairs][32]` of the columns `from..from + count` of a panel.
    fn with_part(
        &self,
        panel: usize,
        from: usize,
        count: usize,
        (wide, split): (&mut Aligned<f32>, &mut Aligned<u32>),
        work: impl FnOnce(&[u32]),
    ) {
        if self.is_paired() {
            let count = count.next_multiple_of(STEP);
            return self.panels.with_part(panel, from, count, |part| work(bytemuck::cast_slice(part)));
        }
        let [_, parts] = self.parts().counts();
        let words = count.div_ceil(STEP) * parts * STEP / 2 * WIDTH;
        let split = &mut split.reserve(words)[..words];
        self.panels.with_part(panel, from, count, |part| match self.panels.operands() {
            Operands::F16 => {
                let wide = &mut wide.reserve(count * WIDTH)[..count * WIDTH];
                Dtype::F16.widen(part, wide).expect("whole numbers of 16 bits");
                split_panel(wide, parts, split);
            }
            _ => split_panel(bytemuck::cast_slice(part), parts, split),
        });
        work(split);
    }
}

impl Weight for TileWeight {
    fn rows(&self) -> usize {
        self.panels.rows
    }

    fn columns(&self) -> usize {
        self.panels.columns
    }

    fn bytes(&self) -> usize {
        self.panels.bytes()
    }

    fn column_unit(&self) -> usize {
        WIDTH
    }

    fn row_unit(&self) -> usize {
        2 * ROWS
    }

    fn rows_of_block(&self) -> usize {
        if self.parts() == Parts::ThreeByOne { EXACT_ROWS } else { MANY_ROWS }
    }

    fn activations<'a>(&self, x: ArrayView2<'a, f32>) -> Activations<'a> {
        let [parts, _] = self.parts().counts();
        Activations::Split(SplitRows::new(x, parts))
    }

    fn block(
        &self,
        x: &Activations<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        store: Store,
        mut y: ArrayViewMut2<f32>,
    ) {
        let Activations::Split(x) = x else { panic!("expected activations in parts of bf16") };
        let (count, depth, parts) = (rows.len(), self.panels.columns, self.parts());
        let [of_x, _] = parts.counts();
        let mut y = BlockRows::of_block(self, x.dim(), (&rows, &columns), &mut y);
        assert_eq!(x.parts(), of_x, "parts of the activations");
        let tiles = x.tiles();
        let groups = count.div_ceil(tiles * ROWS);
        let cut = if self.is_paired() { CUT } else { SPLIT_CUT };
        SCRATCH.with_borrow_mut(|Scratch { sums, wide, split }| {
            let length = groups * tiles * ROWS * WIDTH;
            let sums = &mut sums.reserve(length)[..length];
            for first in columns.clone().step_by(WIDTH) {
                if depth == 0 {
                    sums.fill(0.0);
                }
                for from in (0..depth).step_by(cut) {
                    let part = cut.min(depth - from);
                    let steps = part.div_ceil(STEP);
                    self.with_part(first / WIDTH, from, part, (&mut *wide, &mut *split), |b| {
                        let a = x.from(rows.start, from / STEP);
                        let taken = steps * of_x * tiles * ROWS * STEP;
                        let gap = x.group() - taken;
                        assert!(a.len() + gap >= groups * x.group(), "a part of the rows");
                        assert!(b.len() >= steps * parts.counts()[1] * STEP / 2 * WIDTH, "a part of a panel");
                        let args = PanelArgs {
                            parts,
                            tiles,
                            groups,
                            rows: count,
                            steps,
                            a: a.as_ptr(),
                            a_gap: gap,
                            b: b.as_ptr(),
                            c: sums.as_mut_ptr(),
                            c_stride: WIDTH,
                            resume: from > 0,
                        };
                        // SAFETY: `Native` makes weights of the processor's tiles where they are. `a` begins at a step of the
                        // first group and holds `groups` of them, each `group()` long, of which `steps` are read; `b` as many
                        // steps of this panel, as was just asserted; `sums` whole tiles of its own. Tested against f64 sums at
                        // odd shapes, over tiles in plain Rust on every processor.
                        unsafe { panel(self.unit, args) }
                    });
                }
                let own = WIDTH.min(columns.end - first);
                y.put(store, first - columns.start, own, sums, WIDTH);
            }
        });
    }
}
