//! Our own products: packed panels, tiles in registers, one instruction set chosen at run time.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::aligned::Aligned;
use super::amx::{SplitRows, TileWeight};
use super::block_panels::BlockPanels;
use super::int8::Int8Panels;
use super::isa::Operands;
use super::multiply::ROWS;
use super::output::BlockRows;
use super::panels::Panels;
use super::quants;
use super::tile::{PART, TileArgs};
use super::tiled::Tiled;
use super::{ActivationForm, Activations, Isa, MatMul, Precision, Store, StoredMatrix, Weight};
use crate::weights::Dtype;

/// Rows of a block, at most, with weights that are widened on the way.
const WIDENED_ROWS: usize = 4 * ROWS;

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
        isa.is_here().then_some(Self { isa, precision })
    }

    /// What products with weights of a type are made of: with [blocks](BlockPanels) that are not rounded, vectors even where there are
    /// tiles, since these would have every block widened and split for every token that is written.
    fn isa_for(&self, weights: Dtype) -> Isa {
        isa_for(self.isa, self.precision, weights)
    }
}

/// [`Native::isa_for`] of an instruction set and a precision.
pub(super) fn isa_for(isa: Isa, precision: Precision, weights: Dtype) -> Isa {
    if precision == Precision::Exact && BlockPanels::takes(weights) { isa.vectors() } else { isa }
}

impl MatMul for Native {
    fn name(&self) -> &'static str {
        match self.isa {
            Isa::Plain => "portable",
            // Their sums have other bits, so scores of both never stand in one ledger.
            isa if isa.has_tiles() => "tiles",
            _ => "native",
        }
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn bytes_of_activation(&self) -> usize {
        match self.precision {
            Precision::Exact if self.isa.has_tiles() => SplitRows::BYTES,
            _ => size_of::<f32>(),
        }
    }

    /// Numbers of f32 that are numbers of 16 bits take half the memory as such, on tiles half the products or five of six, and have the
    /// same bits.
    fn prepare(&self, matrix: &StoredMatrix<'_>) -> Box<dyn Weight> {
        let halved = (self.precision == Precision::Exact).then(|| matrix.halved()).flatten();
        self.prepare_as_stored(halved.as_ref().unwrap_or(matrix))
    }

    fn prepared_bytes(&self, dtype: Dtype, rows: usize, columns: usize) -> Option<u64> {
        let isa = self.isa_for(dtype);
        let rounded = self.precision == Precision::Bf16;
        match self.precision {
            Precision::Exact | Precision::Bf16 if isa.has_tiles() => {
                TileWeight::bytes_of(dtype, rows, columns, rounded)
            }
            Precision::Exact => Panels::exact_bytes(dtype, rows, columns, isa.panel_width()),
            Precision::Bf16 => Panels::exact_bytes(Dtype::BF16, rows, columns, isa.panel_width()),
            Precision::Int8 => Int8Panels::bytes_of(rows, columns, isa),
        }
    }
}

impl Native {
    /// [`prepare`](MatMul::prepare) of the type that a matrix has.
    pub(super) fn prepare_as_stored(&self, matrix: &StoredMatrix<'_>) -> Box<dyn Weight> {
        let isa = self.isa_for(matrix.dtype());
        if let (Some(unit), Precision::Exact | Precision::Bf16) = (isa.tiles(), self.precision) {
            return Box::new(TileWeight::new(unit, isa, matrix, self.precision == Precision::Bf16));
        }
        match self.precision {
            Precision::Exact => {
                Box::new(PackedWeight { isa, panels: Panels::exact(matrix, isa), rounded: false })
            }
            Precision::Bf16 => {
                let panels = Panels::bf16(matrix, isa.panel_width(), isa.has_bf16_products());
                Box::new(PackedWeight { isa, panels, rounded: true })
            }
            Precision::Int8 => Box::new(Int8Panels::new(matrix, isa)),
        }
    }
}

/// The bits of the nearest number of bf16, ties to even.
pub(super) fn rounded(x: f32) -> u16 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // Not a number stays none: adding could carry its bits over.
    ((if x.is_nan() { bits | 0x0040_0000 } else { nearest }) >> 16) as u16
}

/// Panels of floating-point numbers, summed in f32.
struct PackedWeight {
    isa: Isa,
    panels: Panels,
    /// Whether activations are rounded to bf16 first.
    rounded: bool,
}

thread_local! {
    static SUMS: RefCell<Aligned<f32>> = RefCell::default();
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

    fn rows_of_block(&self) -> usize {
        if self.panels.are_widened() { WIDENED_ROWS } else { ROWS }
    }

    fn form(&self) -> ActivationForm {
        match self.panels.operands() {
            Operands::Bf16Pairs => ActivationForm::Bf16Pairs,
            _ => ActivationForm::Tiled,
        }
    }

    fn activations<'a>(&self, x: ArrayView2<'a, f32>) -> Activations<'a> {
        // A few rows are a tile by themselves: what a step skips would take as much of the nearest cache as what it reads.
        let tile = self.isa.tile_rows().min(x.nrows().max(1));
        match (self.rounded, self.panels.operands()) {
            (false, _) => Activations::Tiled(Tiled::new::<_, 1>(x, tile, PART, |x| x)),
            (true, Operands::Bf16Pairs) => Activations::Bf16Pairs(Tiled::new::<_, 2>(x, tile, PART, rounded)),
            (true, _) => {
                let widened = |x| f32::from_bits(u32::from(rounded(x)) << 16);
                Activations::Tiled(Tiled::new::<_, 1>(x, tile, PART, widened))
            }
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
        let (count, depth, width) = (rows.len(), self.panels.columns, self.panels.width);
        let ((x_rows, x_columns), x_tile, pairs) = match (x, self.panels.operands()) {
            (Activations::Tiled(x), Operands::F32 | Operands::F16 | Operands::Bf16) => {
                (x.dim(), x.tile(), false)
            }
            (Activations::Bf16Pairs(x), Operands::Bf16Pairs) => (x.dim(), x.tile(), true),
            (_, operands) => panic!("expected activations for {operands:?}"),
        };
        let mut y = BlockRows::of_block(self, (x_rows, x_columns), (&rows, &columns), &mut y);
        assert!(
            x_tile == self.isa.tile_rows() || (x_tile == x_rows && x_rows < self.isa.tile_rows()),
            "tiles"
        );
        let product = self.isa.panel(self.panels.operands());
        // Widening pays for more rows than one tile has.
        let blocks = self.panels.quants().filter(|_| count <= self.isa.tile_rows());
        SUMS.with_borrow_mut(|sums| {
            let sums = &mut sums.reserve(count * width)[..count * width];
            for first in columns.clone().step_by(width) {
                if depth == 0 {
                    sums.fill(0.0);
                }
                for from in (0..depth).step_by(PART) {
                    let part = PART.min(depth - from);
                    let a: &[u8] = match x {
                        Activations::Tiled(x) => bytemuck::cast_slice(x.part(rows.start, from)),
                        Activations::Bf16Pairs(x) => bytemuck::cast_slice(x.part(rows.start, from)),
                        _ => unreachable!("activations of another form"),
                    };
                    let k = if pairs { part / 2 } else { part };
                    let tiles = count.next_multiple_of(x_tile);
                    assert!(a.len() >= tiles * k * size_of::<f32>(), "a part of the rows");
                    let mut tile = TileArgs {
                        rows: count,
                        k,
                        a: a.as_ptr().cast(),
                        a_stride: x_tile,
                        b: std::ptr::null(),
                        b_stride: 0,
                        c: sums.as_mut_ptr(),
                        c_stride: width,
                        resume: from > 0,
                    };
                    if let Some((quants, blocks)) = blocks {
                        tile.b = blocks.stored(first / width, from, part).as_ptr();
                        // SAFETY: as below, but `b` holds the blocks of `k` columns. Tested against products with widened
                        // weights, bit for bit.
                        unsafe { quants::multiply(self.isa, quants, tile) };
                        continue;
                    }
                    self.panels.with_part(first / width, from, part, |b| {
                        tile.b = b.as_ptr();
                        // SAFETY: `with_isa` and `best` give instruction sets that the processor has. `a` holds whole tiles, as
                        // many as `count` rows take, of `k` numbers or pairs of them, in cache lines; `b` as many rows of `width`
                        // numbers or pairs, the panel width of this instruction set, in the type of `operands`; `sums` is a
                        // buffer of its own of `count` rows of `width`. Tested against f64 sums at odd shapes.
                        unsafe { product(tile) }
                    });
                }
                let own = width.min(columns.end - first);
                y.put(store, first - columns.start, own, sums, width);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn rounding_is_that_of_half() {
        let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-42];
        let ties = [0x3f80_8000, 0x3f81_8000, 0x3f80_7fff, 0x3f80_8001].map(f32::from_bits);
        let many = (0..10_000u32).map(|i| f32::from_bits(i.wrapping_mul(429_497)));
        for x in special.into_iter().chain(ties).chain(many) {
            let expected = half::bf16::from_f32(x).to_f32();
            let found = half::bf16::from_bits(rounded(x)).to_f32();
            assert!(found.to_bits() == expected.to_bits() || (x.is_nan() && found.is_nan()), "{x:e}");
        }
        assert!(half::bf16::from_bits(rounded(f32::from_bits(0x7f80_0001))).is_nan());
    }
}
