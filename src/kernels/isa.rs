//! Instruction sets of this processor, asked for once at run time.

use std::sync::OnceLock;

use serde::Serialize;

use super::tile::{self, Bf16, F16, F32, PanelFn};
use crate::base::names::name_of;

/// An instruction set for which there are kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isa {
    /// Plain Rust, whatever the processor.
    Plain,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 Foundation.
    Avx512,
    /// The same with products of bytes, AVX-512 VNNI.
    Avx512Vnni,
    /// The same with products of bf16 numbers too, AVX-512 BF16.
    Avx512Bf16,
}

impl Isa {
    /// The widest that this processor has.
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::all().last().copied().unwrap_or(Isa::Plain))
    }

    /// All that this processor has, the narrowest first.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Isa::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            let with_avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            // Each is taken only where those before it are.
            let wider = [
                (Isa::Avx2, with_avx2),
                (Isa::Avx512, is_x86_feature_detected!("avx512f")),
                (Isa::Avx512Vnni, is_x86_feature_detected!("avx512vnni")),
                (Isa::Avx512Bf16, is_x86_feature_detected!("avx512bf16")),
            ];
            all.extend(wider.into_iter().take_while(|(_, is_there)| *is_there).map(|(isa, _)| isa));
        }
        all
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        name_of(&self)
    }

    /// Columns of a panel.
    pub const fn panel_width(self) -> usize {
        match self {
            Isa::Plain | Isa::Avx2 => 16,
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => 32,
        }
    }

    /// Rows of the widest tile.
    pub const fn tile_rows(self) -> usize {
        match self {
            Isa::Plain => 2,
            Isa::Avx2 => 6,
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => 12,
        }
    }

    /// Whether bf16 numbers are multiplied and added in one instruction.
    pub const fn has_bf16_products(self) -> bool {
        matches!(self, Isa::Avx512Bf16)
    }

    /// The product of rows and one panel.
    ///
    /// # Panics
    /// If there is none: pairs of bf16 numbers on an instruction set without [their products](Self::has_bf16_products).
    pub(super) fn panel(self, operands: Operands) -> PanelFn {
        macro_rules! of {
            ($set:ident) => {
                match operands {
                    Operands::Strided => tile::$set::<F32, false>,
                    Operands::F32 => tile::$set::<F32, true>,
                    Operands::F16 => tile::$set::<F16, true>,
                    Operands::Bf16 => tile::$set::<Bf16, true>,
                    Operands::Bf16Pairs | Operands::StridedBf16Pairs => {
                        panic!("{} multiplies no pairs of bf16 numbers", self.name())
                    }
                }
            };
        }
        #[cfg(target_arch = "x86_64")]
        match (self, operands) {
            (Isa::Avx512Bf16, Operands::Bf16Pairs) => return tile::avx512_bf16::<true>,
            (Isa::Avx512Bf16, Operands::StridedBf16Pairs) => return tile::avx512_bf16::<false>,
            _ => {}
        }
        match self {
            Isa::Plain => of!(plain),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => of!(avx2),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => of!(avx512),
            #[cfg(not(target_arch = "x86_64"))]
            _ => of!(plain),
        }
    }
}

/// What a product reads.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operands {
    /// Rows of f32 at strides, on both sides.
    Strided,
    /// Packed activations, and a panel of f32.
    F32,
    /// Packed activations, and a panel of [`F16`].
    F16,
    /// Packed activations, and a panel of [`Bf16`].
    Bf16,
    /// Pairs of bf16 numbers on both sides, packed.
    Bf16Pairs,
    /// The same at strides.
    StridedBf16Pairs,
}
