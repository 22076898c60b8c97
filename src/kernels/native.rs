//! Our own products: packed panels, tiles in registers, one instruction set chosen at run time.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, CowArray, s};

use super::int8::Int8Panels;
use super::output::BlockRows;
use super::panels::{Aligned, Panels};
use super::tile::TileArgs;
use super::{Activations, Isa, MatMul, Precision, Store, StoredMatrix, Weight};
use crate::weights::Dtype;

/// Columns that are multiplied before the next ones: so much of a panel stays in the first cache for all rows of a block.
const PART: usize = 256;

/// Products of one precision on one instruction set.
#[derive(Debug, Clone, Copy)]
pub struct Native {
    isa: Isa,
    precision: Precision,
}

impl Native {
    /// The widest instruction set of this processor.
    pub fn new(precision: Precision) -> Self {
        Self { isa: Isa::best(), precision }
    }

    /// A certain instruction set; `None` if this processor does not have it.
    pub fn with_isa(isa: Isa, precision: Precision) -> Option<Self> {
        Isa::all().contains(&isa).then_some(Self { isa, precision })
    }
}

impl MatMul for Native {
    fn name(&self) -> &'static str {
        match self.isa {
            Isa::Plain => "portable",
            _ => "native",
        }
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn prepare(&self, matrix: &StoredMatrix<'_>) -> Box<dyn Weight> {
        let width = self.isa.panel_width();
        match self.precision {
            Precision::Exact => {
                Box::new(PackedWeight { isa: self.isa, panels: Panels::exact(matrix, width), rounded: false })
            }
            Precision::Bf16 => {
                Box::new(PackedWeight { isa: self.isa, panels: Panels::bf16(matrix, width), rounded: true })
            }
            Precision::Int8 => Box::new(Int8Panels::new(matrix, self.isa)),
        }
    }

    fn prepared_bytes(&self, dtype: Dtype, rows: usize, columns: usize) -> u64 {
        match self.precision {
            Precision::Exact => Panels::exact_bytes(dtype, rows, columns, self.isa.panel_width()),
            Precision::Bf16 => Panels::exact_bytes(Dtype::BF16, rows, columns, self.isa.panel_width()),
            Precision::Int8 => Int8Panels::bytes_of(rows, columns),
        }
    }
}

/// Panels of floating-point numbers, multiplied in f32.
struct PackedWeight {
    isa: Isa,
    panels: Panels,
    /// Whether activations are rounded to bf16 first.
    rounded: bool,
}

/// From one row of gathered activations to the next: no power of two, whose rows would share few places of the caches.
const GATHERED: usize = PART + 16;

/// What one thread needs beside its operands.
#[derive(Default)]
struct Scratch {
    gathered: Aligned<f32>,
    part: Aligned<f32>,
    sums: Aligned<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Weight for PackedWeight {
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
        self.panels.width
    }

    fn activations<'a>(&self, x: ArrayView2<'a, f32>) -> Activations<'a> {
        if self.rounded {
            let round = |&x: &f32| half::bf16::from_f32(x).to_f32();
            return Activations::F32(CowArray::from(x.map(round)));
        }
        // Tiles walk along rows.
        match x.is_standard_layout() || x.strides()[1] == 1 {
            true => Activations::F32(CowArray::from(x)),
            false => Activations::F32(CowArray::from(x.as_standard_layout().into_owned())),
        }
    }

    fn block(
        &self,
        x: &Activations<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        store: Store,
        mut y: ArrayViewMut2<f32>,
    ) {
        let x = x.f32().slice_move(s![rows, ..]);
        let (count, depth, width) = (x.nrows(), self.panels.columns, self.panels.width);
        assert_eq!((y.dim(), x.ncols()), ((count, columns.len()), depth), "shapes of the block");
        assert_eq!(columns.start % width, 0, "blocks begin at panels");
        let panels = columns.start / width..columns.end.div_ceil(width);
        let tail = columns.len() % width;
        let mut y = BlockRows::new(&mut y);
        SCRATCH.with_borrow_mut(|Scratch { gathered, part: scratch, sums }| {
            // Sums go straight to their places; those that are to be added, and those of a panel that sticks out, wait in a
            // block of their own until they are complete.
            let waiting = match store {
                Store::Overwrite => panels.len() - usize::from(tail > 0)..panels.len(),
                Store::Add => 0..panels.len(),
            };
            let sums_stride = waiting.len() * width;
            let sums = &mut sums.reserve(count * sums_stride)[..count * sums_stride];
            if depth == 0 {
                sums.fill(0.0);
                (0..waiting.start).for_each(|panel| y.fill(panel * width, width));
            }
            // Parts outside, panels inside: a part of the activations stays in the second cache for all panels.
            for from in (0..depth).step_by(PART) {
                let part = PART.min(depth - from);
                let gathered = &mut gathered.reserve(count * GATHERED)[..count * GATHERED];
                for (to, row) in gathered.chunks_exact_mut(GATHERED).zip(x.rows()) {
                    if let Some(row) = row.as_slice() {
                        to[..part].copy_from_slice(&row[from..from + part]);
                    }
                }
                for (index, panel) in panels.clone().enumerate() {
                    let b = self.panels.part(panel, from, part, scratch);
                    assert!(b.len() == part * width, "a part of a panel");
                    let (c, c_stride) = if waiting.contains(&index) {
                        (sums[(index - waiting.start) * width..].as_mut_ptr(), sums_stride)
                    } else {
                        y.place(index * width)
                    };
                    let tile = TileArgs {
                        rows: count,
                        k: part,
                        a: gathered.as_ptr(),
                        a_stride: GATHERED,
                        b: b.as_ptr(),
                        b_stride: width,
                        c,
                        c_stride,
                        resume: from > 0,
                    };
                    // SAFETY: `with_isa` and `best` give instruction sets that the processor has. `gathered` has `count` rows
                    // of `GATHERED` numbers, of which `part` were just copied; `b` has `part` rows of `width`, the panel width
                    // of this instruction set. `c` is a column of panels in a buffer of its own, or one that lies wholly in
                    // the output, which is borrowed mutably; both have `count` rows. Tested against f64 sums at odd shapes.
                    unsafe { self.isa.panel()(tile) }
                }
            }
            if !waiting.is_empty() {
                let first = waiting.start * width;
                y.put(store, first, columns.len() - first, sums, sums_stride);
            }
        });
    }
}
